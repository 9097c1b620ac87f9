"""Which store does a URL mean?"""

from pathlib import Path

from service.core.ports import ConversationStore
from service.store.memory import MemoryStore
from service.store.sqlite import SqliteStore

BUSY_SECONDS = 5
"""How long a store is waited for, be it another process, a turn or a network."""
POOL_SIZE = 100
LEASE_SECONDS = 15.0


def open_store(
    url: str, *, pool_size: int = POOL_SIZE, lease_seconds: float = LEASE_SECONDS
) -> ConversationStore:
    """The store that a URL means, not yet opened.

    Raises `ValueError` for any other URL, without repeating it: it may hold a password.
    """
    scheme, _, rest = url.partition("://")
    match scheme:
        case "memory" if not rest:
            return MemoryStore()
        case "sqlite" if rest.startswith("/") and rest.strip("/"):
            return SqliteStore(Path(rest[1:]), busy_seconds=BUSY_SECONDS)
        case "mongodb" | "mongodb+srv":
            try:
                from service.store.mongo.store import MongoStore  # noqa: PLC0415  # optional
            except ModuleNotFoundError:
                raise ValueError(
                    "MongoDB needs its driver: pip install 'ai-library[mongo]'"
                ) from None
            return MongoStore(
                url, pool_size=pool_size, lease_seconds=lease_seconds, busy_seconds=BUSY_SECONDS
            )
        case _:
            raise ValueError(
                "a conversation store is memory://, sqlite:///relative/path,"
                " sqlite:////absolute/path, mongodb://… or mongodb+srv://…"
            )
