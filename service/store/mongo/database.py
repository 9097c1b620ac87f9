"""How is MongoDB asked? In bounded time, and with failures that tell nothing of addresses."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import pymongo
from bson.binary import UUID_SUBTYPE, Binary
from bson.errors import BSONError
from pymongo import AsyncMongoClient, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure, PyMongoError

from service.core.errors import Kind, ServiceError
from service.store.mongo.documents import Document

T = TypeVar("T")
Collection = AsyncCollection[Document]

DEFAULT_NAME = "ai_library"
"""Of the database, where the URL names none."""
GRACE_SECONDS = 1
"""After its time is up PyMongo itself gives up; should it not, it is left so much later."""
SEARCHES_AT_ONCE = 8
"""Of one process, and sums: they may take seconds, and must leave connections to the rest."""
TRANSACTIONS_AT_ONCE = 16
"""Of one process; more of them only get in each other's way, and are done anew."""
REFUSED = {13, 18}
"""Codes of MongoDB's: Unauthorized and AuthenticationFailed."""

CONVERSATION_INDEXES = [
    IndexModel([("owner", 1), ("place", -1)], name="latest_first"),
    IndexModel([("claim.holder", 1)], name="claims", sparse=True),
]
MESSAGE_INDEXES = [
    IndexModel([("conversation_id", 1), ("number", 1)], name="in_order", unique=True),
    IndexModel([("owner", 1)], name="of_owner"),
    IndexModel([("holder", 1)], name="growing", sparse=True),
]

EXPENSE_INDEXES = [IndexModel([("owner", 1), ("created_at", 1)], name="by_time")]


class Database:
    """A client and its collections, not connected yet. Raises `ValueError` for a bad URL.

    Whatever the URL says: what was acknowledged is on the disks of a majority, and what is read is
    the latest.
    """

    def __init__(self, url: str, *, pool_size: int, busy_seconds: float) -> None:
        self._busy_seconds = busy_seconds
        self._asking: set[asyncio.Task[object]] = set()
        self._transacting = asyncio.Semaphore(TRANSACTIONS_AT_ONCE)
        self.searching = asyncio.Semaphore(SEARCHES_AT_ONCE)
        milliseconds = int(busy_seconds * 1000)
        try:
            self._client: AsyncMongoClient[Document] = AsyncMongoClient(
                url,
                appname="ai-library",
                connect=False,
                maxPoolSize=pool_size,
                timeoutMS=milliseconds,
                serverSelectionTimeoutMS=milliseconds,
                connectTimeoutMS=milliseconds,
                retryReads=True,
                retryWrites=True,
                readPreference="primary",
                w="majority",
                journal=True,
            )
            database = self._client.get_default_database(DEFAULT_NAME)
        except (PyMongoError, ValueError, OSError):  # their words may repeat the URL's
            raise ValueError(
                "this is no URL that MongoDB's driver can use: mongodb://user:password@host/database"
                " or mongodb+srv://…, with user name and password percent-encoded, and files that"
                " can be read"
            ) from None
        self.conversations: Collection = database["conversations"]
        self.messages: Collection = database["messages"]
        self.expenses: Collection = database["expenses"]
        self.holders: Collection = database["holders"]

    async def prepare(self) -> None:
        """Connect, and make the indexes that are not there yet."""
        hello = await self._client.admin.command("hello")
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            raise unavailable("MongoDB must be a replica set; a single node can be one")
        await self.conversations.create_indexes(CONVERSATION_INDEXES)
        await self.messages.create_indexes(MESSAGE_INDEXES)
        await self.expenses.create_indexes(EXPENSE_INDEXES)

    async def wait(self) -> None:
        """Until what is under way has ended."""
        if self._asking:
            await asyncio.wait(self._asking)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._client.close()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncClientSession]:
        """For a transaction, once there is room for one more."""
        async with self._transacting, self._client.start_session() as session:
            yield session

    async def kill_sessions(self, sessions: Iterable[bytes]) -> None:
        """End what was begun in these, where MongoDB allows that; else it does so by itself."""
        ids = [{"id": Binary(session, UUID_SUBTYPE)} for session in sessions]
        with suppress(OperationFailure):
            await self._client.admin.command("killSessions", ids)

    async def ask(self, asking: Coroutine[object, object, T]) -> T:
        """Ask to the end, whatever becomes of the caller: PyMongo closes connections otherwise."""
        task = asyncio.create_task(self._ask(asking))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return await asyncio.shield(task)

    async def _ask(self, asking: Coroutine[object, object, T]) -> T:
        async with self.asked():
            return await asking

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[None]:
        """Ask for no longer than allowed, and turn what PyMongo raises into problems."""
        try:
            async with asyncio.timeout(self._busy_seconds + GRACE_SECONDS):
                with pymongo.timeout(self._busy_seconds):
                    yield
        except OperationFailure as exc:
            refused = exc.code in REFUSED
            detail = "refuses the user or what it may do" if refused else "fails at present"
            raise unavailable(f"the database of conversations {detail}") from None
        except (PyMongoError, BSONError, OverflowError, TimeoutError, OSError):
            # Not `from`: their words hold addresses, and a log would show them.
            raise unavailable("the database of conversations cannot be reached") from None


def unavailable(detail: str) -> ServiceError:
    return ServiceError(Kind.STORE_UNAVAILABLE, detail, retry_after=1)
