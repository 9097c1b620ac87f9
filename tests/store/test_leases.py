"""What a process leaves behind that dies within a transaction, and whom that keeps waiting."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession

from service.core.conversation import Conversation
from service.core.errors import Kind, ServiceError
from service.store.mongo.database import Database
from service.store.mongo.documents import Document
from service.store.mongo.leases import Leases
from service.store.mongo.store import MongoStore
from store.mongo import shared_url
from store.samples import OWNER, kept

pytestmark = pytest.mark.servers

LEASE_SECONDS = 0.3
BUSY_SECONDS = 1.0
PATIENCE_SECONDS = 10


@pytest.fixture
def url(tmp_path: Path) -> str:
    return shared_url(tmp_path)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url, pool_size=10, busy_seconds=BUSY_SECONDS)
    yield database
    await database.close()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[MongoStore]:
    store = MongoStore(url, pool_size=10, lease_seconds=60, busy_seconds=BUSY_SECONDS)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def keep_claimed(url: str, database: Database, holder: str) -> None:
    """`c-a`, which that holder has, and `c-b`, which nobody has."""
    async with opened(url) as store:
        await store.write([kept("a"), kept("b")])
    claim: Document = {"holder": holder, "run_id": "r-a"}
    await database.conversations.update_one({"_id": "c-a"}, {"$set": {"claim": claim}})


async def taken(store: MongoStore) -> Conversation | None:
    """`c-a`, as soon as it can be had."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await store.take(OWNER, "c-a", "r-next")
            except ServiceError as exc:
                if exc.problem.kind is not Kind.CONVERSATION_BUSY:
                    raise


async def test_what_a_dead_process_was_about_to_change_is_free_after_its_lease(
    url: str, database: Database
) -> None:
    dead = Leases(database, LEASE_SECONDS)
    await dead.begin()
    await keep_claimed(url, database, dead.holder)
    begun = asyncio.Event()

    async def change_and_die(session: AsyncClientSession) -> None:
        await database.conversations.update_one(
            {"_id": "c-a"}, {"$set": {"title": "Half"}}, session=session
        )
        begun.set()
        await asyncio.Event().wait()

    dying = asyncio.create_task(dead.transact(change_and_die))
    await begun.wait()

    async with opened(url) as store:
        conversation = await taken(store)
    dying.cancel()
    await asyncio.wait({dying})

    assert conversation
    assert conversation.title == "Title"


async def test_what_cannot_be_settled_yet_keeps_nothing_else_waiting(
    url: str, database: Database
) -> None:
    await keep_claimed(url, database, "long gone")
    async with database.session() as session:
        await session.start_transaction()
        await database.conversations.update_one(
            {"_id": "c-a"}, {"$set": {"title": "Half"}}, session=session
        )

        async with opened(url) as store:
            lost = await store.renew()
            other = await store.get(OWNER, "c-b")
            with pytest.raises(ServiceError) as refused:
                await store.take(OWNER, "c-a", "r-next")
            await session.abort_transaction()
            conversation = await taken(store)

    assert not lost
    assert other
    assert refused.value.problem.kind is Kind.STORE_UNAVAILABLE
    assert conversation
    assert conversation.title == "Title"
