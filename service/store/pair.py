"""Between which stores can conversations be moved?"""

from service.core.ports import ConversationStore
from service.store.memory import MemoryStore
from service.store.open import open_store
from service.store.sqlite import SqliteStore


def open_pair(source_url: str, target_url: str) -> tuple[ConversationStore, ConversationStore]:
    """The two stores, not yet opened.

    Raises `ValueError` for what cannot be moved from or to, without repeating a URL: it may hold
    a password.
    """
    source, target = _store("source", source_url), _store("target", target_url)
    if isinstance(source, SqliteStore) and not source.path.is_file():
        raise ValueError(f"the source is not there: {source.path} is no file")
    if source_url == target_url or _same_file(source, target):
        raise ValueError("the source and the target are the same store")
    return source, target


def _store(role: str, url: str) -> ConversationStore:
    try:
        store = open_store(url)
    except ValueError as exc:
        raise ValueError(f"the {role} is no store: {exc}") from None
    if store.kind == MemoryStore.kind:
        raise ValueError(f"the {role} is memory://, which keeps nothing outside its own process")
    return store


def _same_file(source: ConversationStore, target: ConversationStore) -> bool:
    if not isinstance(source, SqliteStore) or not isinstance(target, SqliteStore):
        return False
    return target.path.exists() and source.path.samefile(target.path)
