import pytest

from service.store.memory import MemoryStore
from service.store.open import open_store
from service.store.sqlite import SqliteStore


@pytest.mark.parametrize(
    ("url", "store"),
    [
        ("memory://", MemoryStore),
        ("sqlite:///relative/path.db", SqliteStore),
        ("sqlite:////absolute/path.db", SqliteStore),
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
