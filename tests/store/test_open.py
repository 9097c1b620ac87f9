import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.store.memory import MemoryStore
from service.store.mongo.store import MongoStore
from service.store.open import open_store
from service.store.sqlite import SqliteStore


@pytest.mark.parametrize(
    ("url", "store"),
    [
        ("memory://", MemoryStore),
        ("sqlite:///relative/path.db", SqliteStore),
        ("sqlite:////absolute/path.db", SqliteStore),
        ("mongodb://127.0.0.1:1", MongoStore),
        ("mongodb://user:p%40ss@one.example,two.example/name?replicaSet=rs0", MongoStore),
        ("mongodb+srv://user:p%40ss@no.such.host.example/name", MongoStore),
    ],
)
def test_a_url_means_a_store(url: str, store: type) -> None:
    assert isinstance(open_store(url), store)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "data/conversations.db",
        "memory:",
        "memory://secret",
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite:////",
        "sqlite://secret/path",
        "postgresql://user:secret@host/database",
        "mongodb//user:secret@host",
    ],
)
def test_another_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"memory://, sqlite:///relative") as raised:
        open_store(url)

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://",
        "mongodb://user:secret@",
        "mongodb://user:sec@ret@host",
        "mongodb://user:secret%@host",
        "mongodb://user:secret@host:port",
        "mongodb://user:secret@host/$secret",
        "mongodb://user:secret@host/?tls=true&tlsCAFile=/no/secret",
        "mongodb+srv://user:secret@host.example:27017/name",
    ],
)
def test_a_url_that_the_driver_cannot_use_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="percent-encoded") as raised:
        open_store(url)

    assert "secret" not in str(raised.value)
    assert "ret@host" not in str(raised.value)
    assert raised.value.__suppress_context__


WITHOUT_DRIVER = """
import sys
sys.modules["pymongo"] = None
from service.store.open import open_store
open_store("memory://")
try:
    open_store("mongodb://user:secret@host")
except ValueError as exc:
    print(exc)
"""


def test_a_missing_driver_is_named() -> None:
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_DRIVER],
        cwd=Path(__file__).parents[2],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "pip install 'ai-library[mongo]'" in said
    assert "secret" not in said
