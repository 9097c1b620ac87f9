"""How are conversations kept in MongoDB? Changes of several documents are transactions."""

from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import wraps
from itertools import groupby
from typing import Concatenate, ParamSpec, TypeVar

from attrs import frozen
from pymongo import ReturnDocument, UpdateOne

from service.core.conversation import Answer, AnswerStatus, Conversation
from service.core.errors import ServiceError, busy, no_conversation
from service.core.ports import Beginning, Checkpoint, Kept, Lost, Page, Position
from service.core.spending import By, Spent
from service.store.mongo import changes, ledger
from service.store.mongo.database import Database, unavailable
from service.store.mongo.documents import (
    SUMMARY_FIELDS,
    Document,
    conversation_of,
    gains,
    holding_pipeline,
    place,
    summary_of,
    title_fields,
)
from service.store.mongo.leases import Leases

P = ParamSpec("P")
T = TypeVar("T")

ATTEMPTS = 3
"""How often something is tried that others were in the way of."""


@frozen
class _Opened:
    database: Database
    leases: Leases


def _asked(
    method: Callable[Concatenate["MongoStore", _Opened, P], Coroutine[object, object, T]],
) -> Callable[Concatenate["MongoStore", P], Coroutine[object, object, T]]:
    """A method that asks what is open: to the end, and in bounded time."""

    @wraps(method)
    async def ask(self: "MongoStore", /, *args: P.args, **kwargs: P.kwargs) -> T:
        opened = self._check_open()
        return await opened.database.ask(method(self, opened, *args, **kwargs))

    return ask


class MongoStore:
    """Conversations in a database that several processes may share.

    Nothing takes longer than `busy_seconds`; a process that is silent for `lease_seconds` loses
    what it has claimed. Raises `ValueError` for a URL that cannot be one.
    """

    kind = "mongodb"

    def __init__(
        self, url: str, *, pool_size: int, lease_seconds: float, busy_seconds: float
    ) -> None:
        self._url = url
        self._pool_size = pool_size
        self._lease_seconds = lease_seconds
        self._busy_seconds = busy_seconds
        self._opened: _Opened | None = None
        self._make_database()  # only whether the URL is one

    async def open(self) -> None:
        if self._opened:
            return
        database = self._make_database()
        leases = Leases(database, self._lease_seconds)
        try:
            async with database.asked():
                await database.prepare()
                await leases.begin()
            await _settle_dead(database, leases)
        except BaseException:
            await database.close()
            raise
        self._opened = _Opened(database, leases)

    async def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is None:
            return
        try:
            await opened.database.wait()
            with suppress(ServiceError):  # then the lease lapses, and others settle it
                async with opened.database.asked():
                    await opened.leases.end()
        finally:
            await opened.database.close()

    @_asked
    async def ping(self, opened: _Opened) -> None:
        await opened.database.conversations.find_one({}, {"_id": 1})

    @_asked
    async def get(self, opened: _Opened, owner: str, conversation_id: str) -> Conversation | None:
        condition = {"_id": conversation_id, "owner": owner}
        for _ in range(ATTEMPTS):
            found = await opened.database.conversations.find_one(condition)
            if found is None:
                return None
            if conversation := await _whole(opened.database, found):
                return conversation
        return None

    async def take(self, owner: str, conversation_id: str, run_id: str) -> Conversation | None:
        leases = self._check_open().leases
        with leases.claiming(conversation_id, run_id):
            taken = await self._take(owner, conversation_id, run_id)
        if taken is None:
            leases.forget(run_id)
        return taken

    @_asked
    async def _take(
        self, opened: _Opened, owner: str, conversation_id: str, run_id: str
    ) -> Conversation | None:
        for _ in range(ATTEMPTS):
            found = await opened.database.conversations.find_one_and_update(
                {"_id": conversation_id, "owner": owner, **opened.leases.free()},
                {"$set": {"claim": opened.leases.claim(run_id)}},
                return_document=ReturnDocument.AFTER,
            )
            if found and (conversation := await _whole(opened.database, found)):
                return conversation
            if not await _make_way(opened, owner, conversation_id):
                return None
        raise busy()

    @_asked
    async def release(self, opened: _Opened, conversation_id: str, run_id: str) -> None:
        await opened.leases.release(conversation_id, run_id)

    @_asked
    async def claimed_by(self, opened: _Opened, owner: str, conversation_id: str) -> str | None:
        return await opened.leases.claimed_by_another(owner, conversation_id)

    async def renew(self) -> Sequence[Lost]:
        opened = self._check_open()
        lost = await opened.database.ask(opened.leases.renew())
        await opened.database.ask(_settle_dead(opened.database, opened.leases))
        return lost

    async def begin(self, beginning: Beginning) -> None:
        growing = [beginning.answer.message_id]
        leases = self._check_open().leases
        with leases.claiming(beginning.conversation_id, beginning.run_id, growing):
            await self._begin(beginning)

    @_asked
    async def _begin(self, opened: _Opened, beginning: Beginning) -> None:
        for _ in range(ATTEMPTS):
            if await changes.begin(opened.database, opened.leases, beginning):
                return
            if not await _make_way(opened, beginning.owner, beginning.conversation_id):
                raise no_conversation()
        raise busy()

    @_asked
    async def checkpoint(self, opened: _Opened, checkpoints: Sequence[Checkpoint]) -> None:
        growing = {"status": AnswerStatus.STREAMING.value}
        updates = [
            UpdateOne({"_id": message_id, **growing}, gain)
            for message_id, gain in gains(checkpoints).items()
        ]
        if updates:
            await opened.database.messages.bulk_write(updates, ordered=False)

    async def finish(self, conversation_id: str, answer: Answer, updated_at: str) -> None:
        leases = self._check_open().leases
        with leases.finishing(conversation_id, answer.message_id) as claim:
            await self._finish(conversation_id, answer, updated_at, claim)

    @_asked
    async def _finish(
        self,
        opened: _Opened,
        conversation_id: str,
        answer: Answer,
        updated_at: str,
        claim: Document,
    ) -> None:
        await changes.end(
            opened.database, opened.leases, conversation_id, answer, updated_at, claim
        )

    @_asked
    async def page(
        self, opened: _Opened, owner: str, limit: int, after: Position | None, words: Sequence[str]
    ) -> Page:
        query = page_query(owner, after)
        if words:
            pipeline: list[Document] = [
                *holding_pipeline(owner, list(dict.fromkeys(words))),
                {"$match": query},
                {"$sort": {"place": -1}},
                {"$limit": limit + 1},
                {"$project": SUMMARY_FIELDS},
            ]
            async with opened.database.searching:
                found = await opened.database.messages.aggregate(pipeline, allowDiskUse=True)
                documents = await found.to_list()
        else:
            listed = opened.database.conversations.find(query, SUMMARY_FIELDS)
            documents = await listed.sort("place", -1).limit(limit + 1).to_list()
        items = tuple(map(summary_of, documents[:limit]))
        return Page(items, last=len(documents) <= limit)

    @_asked
    async def change(
        self,
        opened: _Opened,
        owner: str,
        conversation_id: str,
        *,
        title: str | None,
        active_message_id: str | None,
    ) -> None:
        fields = {} if title is None else title_fields(title)
        if active_message_id is not None:
            fields["active_message_id"] = active_message_id
        if fields:
            await opened.database.conversations.update_one(
                {"_id": conversation_id, "owner": owner}, {"$set": fields}
            )

    @_asked
    async def delete(self, opened: _Opened, owner: str, conversation_id: str) -> bool:
        return await changes.remove(opened.database, opened.leases, owner, conversation_id)

    @_asked
    async def count(self, opened: _Opened) -> int:
        return await opened.database.conversations.count_documents({})

    @_asked
    async def record(self, opened: _Opened, owner: str, answer: Answer) -> None:
        await ledger.count(opened.database, owner, answer)

    @_asked
    async def usage(
        self, opened: _Opened, owner: str, start: str, end: str, by: By
    ) -> Sequence[Spent]:
        async with opened.database.searching:
            return await ledger.sums(opened.database, owner, start, end, by)

    @_asked
    async def ids(self, opened: _Opened, after: str, limit: int) -> Sequence[str]:
        found = opened.database.conversations.find({"_id": {"$gt": after}}, {"_id": 1})
        return [one["_id"] for one in await found.sort("_id", 1).limit(limit).to_list()]

    @_asked
    async def read(self, opened: _Opened, ids: Sequence[str]) -> Sequence[Kept]:
        database = opened.database
        found = await database.conversations.find({"_id": {"$in": list(ids)}}).to_list()
        said = database.messages.find({"conversation_id": {"$in": list(ids)}})
        in_order = await said.sort([("conversation_id", 1), ("number", 1)]).to_list()
        messages = {
            name: list(some) for name, some in groupby(in_order, lambda one: one["conversation_id"])
        }
        wholes = [(one, conversation_of(one, messages.get(one["_id"], []))) for one in found]
        kept = [Kept(one["owner"], whole) for one, whole in wholes if whole]
        return sorted(kept, key=lambda one: one.conversation.conversation_id)

    async def write(self, kept: Sequence[Kept]) -> None:
        self._check_open()
        for one in kept:
            await self._write(one)

    @_asked
    async def _write(self, opened: _Opened, kept: Kept) -> None:
        await changes.write(opened.database, opened.leases, kept)

    def _make_database(self) -> Database:
        return Database(self._url, pool_size=self._pool_size, busy_seconds=self._busy_seconds)

    def _check_open(self) -> _Opened:
        if self._opened is None:
            raise unavailable("the conversation store is not open")
        return self._opened


async def _settle_dead(database: Database, leases: Leases) -> None:
    """As far as it can be done at present: nothing else has to wait for it."""
    with suppress(ServiceError):
        async with database.asked():
            await leases.settle_dead()


def page_query(owner: str, after: Position | None) -> Document:
    """The condition on a conversation of the list after that position."""
    if after is None:
        return {"owner": owner}
    return {"owner": owner, "place": {"$lt": place(after.updated_at, after.conversation_id)}}


async def _whole(database: Database, found: Document) -> Conversation | None:
    """A conversation with its messages; None where it was removed after it was found."""
    said = database.messages.find({"conversation_id": found["_id"]})
    return conversation_of(found, await said.sort("number", 1).to_list())


async def _make_way(opened: _Opened, owner: str, conversation_id: str) -> bool:
    """Give up the claim of a dead holder; whether there is such a conversation.

    Raises `ServiceError(CONVERSATION_BUSY)` where the holder is alive.
    """
    found = await opened.database.conversations.find_one(
        {"_id": conversation_id, "owner": owner}, {"claim": 1}
    )
    if found is None:
        return False
    claim: Document = found["claim"] or {"holder": opened.leases.holder}
    is_free = claim["holder"] == opened.leases.holder  # by now
    if not is_free and not await opened.leases.settle_if_dead(claim["holder"]):
        raise busy()
    return True
