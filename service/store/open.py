"""Which store does a URL mean?"""

from pathlib import Path

from service.core.ports import ConversationStore
from service.store.memory import MemoryStore
from service.store.sqlite import SqliteStore

BUSY_SECONDS = 5
"""How long a write waits for another process, or for its turn, before it fails."""


def open_store(url: str) -> ConversationStore:
    """The store that a URL means, not yet opened.

    Raises `ValueError` for any other URL, without repeating it: it may hold a password.
    """
    scheme, _, rest = url.partition("://")
    match scheme:
        case "memory" if not rest:
            return MemoryStore()
        case "sqlite" if rest.startswith("/") and rest.strip("/"):
            return SqliteStore(Path(rest[1:]), busy_seconds=BUSY_SECONDS)
        case _:
            raise ValueError(
                "a conversation store is memory://, sqlite:///relative/path"
                " or sqlite:////absolute/path"
            )
