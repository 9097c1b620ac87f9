"""How long does the store take, and when can it not? A store around the store, with a clock."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from service.core.conversation import Answer, Conversation
from service.core.errors import Kind, ServiceError
from service.core.ports import (
    Beginning,
    Checkpoint,
    ConversationStore,
    Kept,
    Lost,
    Page,
    Position,
)
from service.core.spending import By, Spent


class Told(Protocol):
    """Is told of every operation."""

    def __call__(self, operation: str, seconds: float, *, failed: bool) -> None: ...


class TimedStore:
    """Does what the store behind it does (`service.core.ports.ConversationStore`)."""

    def __init__(self, store: ConversationStore, told: Told) -> None:
        self.kind = store.kind
        self._store = store
        self._told = told

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        began = time.perf_counter()
        failed = False
        try:
            yield
        except Exception as error:
            failed = not _is_refusal(error)
            raise
        finally:
            self._told(operation, time.perf_counter() - began, failed=failed)

    async def open(self) -> None:
        with self._timed("open"):
            await self._store.open()

    async def close(self) -> None:
        with self._timed("close"):
            await self._store.close()

    async def ping(self) -> None:
        with self._timed("ping"):
            await self._store.ping()

    async def get(self, owner: str, conversation_id: str) -> Conversation | None:
        with self._timed("get"):
            return await self._store.get(owner, conversation_id)

    async def take(self, owner: str, conversation_id: str, run_id: str) -> Conversation | None:
        with self._timed("take"):
            return await self._store.take(owner, conversation_id, run_id)

    async def release(self, conversation_id: str, run_id: str) -> None:
        with self._timed("release"):
            await self._store.release(conversation_id, run_id)

    async def claimed_by(self, owner: str, conversation_id: str) -> str | None:
        with self._timed("claimed_by"):
            return await self._store.claimed_by(owner, conversation_id)

    async def begin(self, beginning: Beginning) -> None:
        with self._timed("begin"):
            await self._store.begin(beginning)

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> None:
        with self._timed("checkpoint"):
            await self._store.checkpoint(checkpoints)

    async def finish(self, conversation_id: str, answer: Answer, updated_at: str) -> None:
        with self._timed("finish"):
            await self._store.finish(conversation_id, answer, updated_at)

    async def record(self, owner: str, answer: Answer) -> None:
        with self._timed("record"):
            await self._store.record(owner, answer)

    async def usage(self, owner: str, start: str, end: str, by: By) -> Sequence[Spent]:
        with self._timed("usage"):
            return await self._store.usage(owner, start, end, by)

    async def renew(self) -> Sequence[Lost]:
        with self._timed("renew"):
            return await self._store.renew()

    async def page(
        self, owner: str, limit: int, after: Position | None, words: Sequence[str]
    ) -> Page:
        with self._timed("page"):
            return await self._store.page(owner, limit, after, words)

    async def change(
        self, owner: str, conversation_id: str, *, title: str | None, active_message_id: str | None
    ) -> None:
        with self._timed("change"):
            await self._store.change(
                owner, conversation_id, title=title, active_message_id=active_message_id
            )

    async def delete(self, owner: str, conversation_id: str) -> bool:
        with self._timed("delete"):
            return await self._store.delete(owner, conversation_id)

    async def count(self) -> int:
        with self._timed("count"):
            return await self._store.count()

    async def ids(self, after: str, limit: int) -> Sequence[str]:
        with self._timed("ids"):
            return await self._store.ids(after, limit)

    async def read(self, ids: Sequence[str]) -> Sequence[Kept]:
        with self._timed("read"):
            return await self._store.read(ids)

    async def write(self, kept: Sequence[Kept]) -> None:
        with self._timed("write"):
            await self._store.write(kept)


def _is_refusal(error: Exception) -> bool:
    """Whether the store has answered: a conversation is busy, or is not there."""
    return isinstance(error, ServiceError) and error.problem.kind is not Kind.STORE_UNAVAILABLE
