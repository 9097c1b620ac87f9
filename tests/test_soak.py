"""Does the soak find what grows? And does the service pass a short one?"""

import asyncio
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.soak import Sample, grown, table
from benchmarks.visitors import Visitor, WrongError

ROOT = Path(__file__).parent.parent
SECONDS = 10
ALLOWANCE = 25
"""Percent: in so short a time much is used for the first time."""


def test_what_is_flat_after_the_first_third_has_not_grown() -> None:
    first = [Sample(50_000 + 1000 * number, 20 + number) for number in range(30)]
    noise = [Sample(80_000 + number % 7 * 900, 50 + number % 5) for number in range(60)]

    assert grown([*first, *noise], 10) == []


def test_a_peak_is_no_growth() -> None:
    flat = [Sample(80_000, 50)] * 90

    assert grown([*flat[:70], *[Sample(400_000, 900)] * 10, *flat[:10]], 10) == []


def test_what_grows_slowly_has_grown() -> None:
    leaking = [Sample(80_000 + 400 * number, 50 + number // 3) for number in range(90)]

    memory, descriptors = grown(leaking, 10)

    assert memory == "memory grew from 97600 to 109600 KiB"
    assert descriptors == "descriptors grew from 64 to 74"


def test_the_table_has_the_medians() -> None:
    samples = [Sample(1024 * number, number) for number in range(9)]

    assert table(samples).splitlines()[2:] == [
        "| 1 | 1.0 | 1 |",
        "| 2 | 4.0 | 4 |",
        "| 3 | 7.0 | 7 |",
    ]


def event(seq: int, kind: str = "delta", **members: object) -> dict[str, object]:
    return {"seq": seq, "type": kind, "content": ""} | members


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        ([], "no end"),
        ([event(0, "started"), event(1)], "no end"),
        ([event(0, "started"), event(2, "finished")], "gap"),
        ([event(0, content="a"), event(1, "finished", content_sha256="0")], "not what it was"),
        ([event(0, "failed", error={"type": "/problems/internal-error", "detail": "?"})], "intern"),
    ],
)
def test_a_wrong_log_is_found(events: list[dict[str, object]], fault: str) -> None:
    visitor = Visitor(http=None, url="", chance=random.Random(1))  # type: ignore[arg-type]  # asks nothing

    with pytest.raises(WrongError, match=fault):
        visitor.proved(events)


@pytest.mark.servers
async def test_the_service_passes_a_short_soak() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.soak"),
        *("--seconds", str(SECONDS), "--allowance", str(ALLOWANCE)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        told = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert process.returncode == 0, told
    assert int(re.findall(r"(\d+) read a stream", told)[0]) > 5
    assert int(re.findall(r"(\d+) lose a stream and resume", told)[0]) > 5
    assert "| 3 |" in told
