"""Does what the fuzzer once found still hold? Every input that is kept, through its parser."""

from pathlib import Path

import pytest

from fuzzing.requests import request_of
from fuzzing.targets import CORPUS, TARGETS

MOST_BYTES = 500_000
"""Of the whole corpus: it is in everybody's checkout."""


def inputs(name: str) -> list[Path]:
    return sorted((CORPUS / name).iterdir())


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_that_was_kept_breaks_a_promise(name: str) -> None:
    kept = inputs(name)

    for file in kept:
        TARGETS[name](file.read_bytes())

    assert kept


def test_there_is_a_corpus_for_each_target_and_no_other() -> None:
    assert sorted(directory.name for directory in CORPUS.iterdir()) == sorted(TARGETS)


def test_the_corpus_stays_small() -> None:
    sizes = [file.stat().st_size for name in TARGETS for file in inputs(name)]

    assert 0 < sum(sizes) < MOST_BYTES


def test_what_is_sent_to_parsers_of_requests_does_arrive_there() -> None:
    request = request_of(b"/?after=1&%FF=%0A", ("Last-Event-ID", b"run:\xff"))

    assert request
    assert request.query["after"] == "1"
    assert request.headers["Last-Event-ID"] == "run:\udcff"
