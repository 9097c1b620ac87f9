"""How are conversations kept in SQLite? Every change is one statement, so one transaction.

A statement that was handed to the connection's thread runs whole or not at all, whatever becomes
of the caller. Changes take turns on one connection. Reads have others, so they see no change half
done (WAL) and wait for none; and lists have their own, since a search may take seconds.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import aiosqlite
import msgspec

from service.core.conversation import (
    Answer,
    AnswerStatus,
    Conversation,
    FinishReason,
    HyperparameterValue,
    Message,
    Question,
    Summary,
    Usage,
)
from service.core.errors import Kind, ServiceError, no_conversation
from service.core.ports import Beginning, Checkpoint, Kept, Lost, Page, Position
from service.core.search import words as words_of
from service.core.spending import By, Spent
from service.store.schema import COMMANDS, MIGRATIONS, SETTLE, SUMS

# Sorting and the journal of a statement would otherwise go to a directory that containers lack.
_TEMPORARY = "PRAGMA temp_store = MEMORY;"
_WRITING = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA foreign_keys = ON;
"""
_READING = "PRAGMA query_only = ON;" + _TEMPORARY

_BEGIN = "INSERT INTO beginning VALUES "
_GAIN = "INSERT INTO gain VALUES "
_END = "INSERT INTO ending VALUES "
_CHANGE = """
    UPDATE conversations
    SET title = coalesce(?, title), active_message_id = coalesce(?, active_message_id)
    WHERE owner = ? AND conversation_id = ?
"""
_DELETE = "DELETE FROM conversations WHERE owner = ? AND conversation_id = ?"
_WRITE = "INSERT INTO whole VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_COUNT_EXPENSE = "INSERT INTO expense VALUES "

_PING = "SELECT 1 FROM conversations LIMIT 1"
_COUNT = "SELECT count(*) FROM conversations"
_MESSAGES = """
    SELECT
        conversation_id, owner, title, conversations.created_at AS begun_at, updated_at,
        active_message_id, messages.*
    FROM conversations JOIN messages ON conversation = conversations.number
"""
_GET = _MESSAGES + "WHERE conversation_id = ? AND owner = ? ORDER BY messages.number"
_IDS = """
    SELECT conversation_id FROM conversations
    WHERE conversation_id > ? ORDER BY conversation_id LIMIT ?
"""
# Messages are counted only for what is on the page, hence the query in the query.
_SUMMARIES = """
    SELECT
        conversation_id, title, created_at, updated_at,
        (SELECT count(*) FROM messages WHERE conversation = found.number),
        (
            SELECT model FROM messages
            WHERE conversation = found.number AND model IS NOT NULL
            ORDER BY number DESC LIMIT 1
        )
    FROM (SELECT * FROM conversations
"""
_LATEST_FIRST = " ORDER BY updated_at DESC, conversation_id DESC "
_AFTER = "(updated_at, conversation_id) < (?, ?)"
_HOLDS = """number IN (
    SELECT rowid FROM title_words WHERE title_words MATCH ?
    UNION ALL
    SELECT conversation FROM messages
    WHERE number IN (SELECT rowid FROM message_words WHERE message_words MATCH ?)
)"""

_usage = msgspec.json.Decoder(Usage).decode
_hyperparameters = msgspec.json.Decoder(dict[str, HyperparameterValue]).decode


class SqliteStore:
    """Conversations in a file.

    A change waits at most `busy_seconds` for its turn, and as long for another process.
    """

    kind = "sqlite"

    def __init__(self, path: Path, *, busy_seconds: float) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self._turn = asyncio.Lock()
        self._search_turn = asyncio.Lock()
        self._opened = AsyncExitStack()
        self._writer: aiosqlite.Connection | None = None
        self._reader: aiosqlite.Connection | None = None
        self._lister: aiosqlite.Connection | None = None

    async def open(self) -> None:
        if self._writer:
            return
        with _failures():
            await asyncio.to_thread(self.path.parent.mkdir, parents=True, exist_ok=True)
            async with AsyncExitStack() as opening:
                writer = await opening.enter_async_context(self._connect())
                await writer.create_function("search_words", 1, _search_words, deterministic=True)
                await writer.executescript(_TEMPORARY)  # first: to migrate takes room as well
                await migrate(writer, MIGRATIONS)
                await writer.executescript(_WRITING + COMMANDS)
                await writer.execute(SETTLE)
                reader, lister = [
                    await opening.enter_async_context(self._connect()) for _ in range(2)
                ]
                for connection in (reader, lister):
                    connection.row_factory = sqlite3.Row
                    await connection.executescript(_READING)
                self._opened = opening.pop_all()
            self._writer, self._reader, self._lister = writer, reader, lister

    async def close(self) -> None:
        async with self._turn:  # after all changes that were asked for before
            self._writer = self._reader = self._lister = None
            opened, self._opened = self._opened, AsyncExitStack()
            with _failures():
                await opened.aclose()

    async def ping(self) -> None:
        await _read(self._reader, _PING)

    async def get(self, owner: str, conversation_id: str) -> Conversation | None:
        rows = await _read(self._reader, _GET, [conversation_id, owner])
        return _conversation(rows) if rows else None

    async def take(self, owner: str, conversation_id: str, run_id: str) -> Conversation | None:
        return await self.get(owner, conversation_id)

    async def release(self, conversation_id: str, run_id: str) -> None:
        """One process has the file: `Runs` knows all its claims."""

    async def claimed_by(self, owner: str, conversation_id: str) -> str | None:
        return None

    async def renew(self) -> Sequence[Lost]:
        return ()

    async def begin(self, beginning: Beginning) -> None:
        head = (beginning.owner, beginning.conversation_id, beginning.title)
        messages = (beginning.question, beginning.answer)
        await self._insert(_BEGIN, [head + _row(message) for message in messages if message])

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> None:
        await self._insert(
            _GAIN, [(c.message_id, c.content, c.reasoning, c.whole) for c in checkpoints]
        )

    async def finish(self, conversation_id: str, answer: Answer, updated_at: str) -> None:
        await self._insert(_END, [(updated_at, *_row(answer))])

    async def page(
        self, owner: str, limit: int, after: Position | None, words: Sequence[str]
    ) -> Page:
        rows = await self._search(*page_query(owner, limit + 1, after, words))
        return Page(tuple(Summary(*row) for row in rows[:limit]), last=len(rows) <= limit)

    async def change(
        self, owner: str, conversation_id: str, *, title: str | None, active_message_id: str | None
    ) -> None:
        await self._write(_CHANGE, [title, active_message_id, owner, conversation_id])

    async def delete(self, owner: str, conversation_id: str) -> bool:
        return await self._write(_DELETE, [owner, conversation_id]) > 0

    async def count(self) -> int:
        [(count,)] = await _read(self._reader, _COUNT)
        return int(count)

    async def record(self, owner: str, answer: Answer) -> None:
        usage = _json(answer.usage) if answer.usage else None
        begun = (answer.message_id, owner, answer.created_at, answer.model)
        row = (*begun, usage, answer.milliseconds, answer.nanodollars)
        await self._insert(_COUNT_EXPENSE, [row])

    async def usage(self, owner: str, start: str, end: str, by: By) -> Sequence[Spent]:
        return [Spent(*row) for row in await self._search(SUMS[by], [owner, start, end])]

    async def ids(self, after: str, limit: int) -> Sequence[str]:
        return [known for (known,) in await _read(self._reader, _IDS, [after, limit])]

    async def read(self, ids: Sequence[str]) -> Sequence[Kept]:
        places = ", ".join("?" * len(ids))
        wanted = f"WHERE conversation_id IN ({places}) ORDER BY conversation_id, messages.number"
        rows = await _read(self._reader, _MESSAGES + wanted, ids)
        grouped = groupby(rows, key=itemgetter("conversation_id"))
        return [_kept(list(messages)) for _, messages in grouped]

    async def write(self, kept: Sequence[Kept]) -> None:
        async with self._changing() as writer:
            try:
                await writer.execute("BEGIN IMMEDIATE")
                await writer.executemany(_WRITE, [row for one in kept for row in _rows(one)])
                await writer.commit()
            except BaseException:  # also cancelled, when the thread still does what it was given
                await writer.rollback()
                raise

    async def _search(self, query: str, parameters: Sequence[object]) -> list[sqlite3.Row]:
        """Read a list in its turn; one that nobody waits for any more is not read to its end."""
        with _failures():
            async with asyncio.timeout(self._busy_seconds):
                await self._search_turn.acquire()
            try:
                return await _read(self._lister, query, parameters)
            except asyncio.CancelledError:
                if self._lister:
                    await self._lister.interrupt()
                raise
            finally:
                self._search_turn.release()

    def _connect(self) -> aiosqlite.Connection:
        return aiosqlite.connect(self.path, timeout=self._busy_seconds, isolation_level=None)

    async def _insert(self, insert: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Hand rows to one of the schema's commands, all in one statement."""
        if rows:
            places = "(" + ", ".join("?" * len(rows[0])) + ")"
            values = ", ".join([places] * len(rows))
            await self._write(insert + values, [value for row in rows for value in row])

    async def _write(self, statement: str, parameters: Sequence[object]) -> int:
        """Run a statement in its turn; how many rows it changed."""
        async with self._changing() as writer:
            return (await writer.execute(statement, parameters)).rowcount

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[aiosqlite.Connection]:
        """The writing connection, for one that has its turn."""
        with _failures():
            async with asyncio.timeout(self._busy_seconds):
                await self._turn.acquire()
            try:
                yield _opened(self._writer)
            finally:
                self._turn.release()


async def _read(
    connection: aiosqlite.Connection | None, query: str, parameters: Sequence[object] = ()
) -> list[sqlite3.Row]:
    with _failures():
        return list(await _opened(connection).execute_fetchall(query, parameters))


async def migrate(connection: aiosqlite.Connection, migrations: Sequence[str]) -> None:
    """Bring a database up to date: version n is the first n migrations, each done whole.

    Raises `ServiceError(STORE_UNAVAILABLE)` where the database is newer than that.
    """
    [(version,)] = await connection.execute_fetchall("PRAGMA user_version")
    if version > len(migrations):
        raise _unavailable("the database was written by a newer version of this service")
    for number, script in enumerate(migrations[version:], version + 1):
        await connection.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT"
        )


def page_query(
    owner: str, limit: int, after: Position | None, words: Sequence[str]
) -> tuple[str, list[object]]:
    """The query for one page of an owner's list, and its parameters."""
    conditions = ["owner = ?"]
    parameters: list[object] = [owner]
    if after:
        conditions.append(_AFTER)
        parameters += (after.updated_at, after.conversation_id)
    for word in dict.fromkeys(words):
        conditions.append(_HOLDS)
        parameters += [f'"{word}"*'] * 2
    where = f"WHERE {' AND '.join(conditions)}"
    query = _SUMMARIES + where + _LATEST_FIRST + "LIMIT ?) AS found" + _LATEST_FIRST
    return query, [*parameters, limit]


def _row(message: Message) -> tuple[object, ...]:
    """A message as the schema's commands take it."""
    said = (message.message_id, message.parent_message_id, message.content, message.created_at)
    if isinstance(message, Question):
        return (*said, None, None, None, None, None, None, None, None, None)
    return (
        *said,
        message.model,
        message.status,
        message.reasoning,
        message.finish_reason,
        _json(message.usage) if message.usage else None,
        message.system_prompt,
        _json(message.hyperparameters),
        message.milliseconds,
        message.nanodollars,
    )


def _rows(kept: Kept) -> Iterator[tuple[object, ...]]:
    """A conversation as the schema takes it whole: a row for each message."""
    conversation = kept.conversation
    head = (
        kept.owner,
        conversation.conversation_id,
        conversation.title,
        conversation.created_at,
        conversation.updated_at,
        conversation.active_message_id,
    )
    for position, message in enumerate(conversation.messages):
        yield (*head, position, *_row(message))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _kept(rows: Sequence[sqlite3.Row]) -> Kept:
    return Kept(rows[0]["owner"], _conversation(rows))


def _conversation(rows: Sequence[sqlite3.Row]) -> Conversation:
    """From the rows of its messages."""
    first = rows[0]
    return Conversation(
        first["conversation_id"],
        first["title"],
        first["begun_at"],
        first["updated_at"],
        first["active_message_id"],
        tuple(map(_message, rows)),
    )


def _message(row: sqlite3.Row) -> Message:
    said = (row["message_id"], row["parent_message_id"], row["content"], row["created_at"])
    if row["model"] is None:
        return Question(*said)
    return Answer(
        *said,
        row["model"],
        AnswerStatus(row["status"]),
        row["reasoning"],
        FinishReason(row["finish_reason"]) if row["finish_reason"] else None,
        _usage(row["usage"]) if row["usage"] else None,
        row["system_prompt"],
        _hyperparameters(row["hyperparameters"]),
        row["milliseconds"],
        row["nanodollars"],
    )


def _search_words(text: str) -> str:
    """What is indexed of a text. Line by line, so that a long one leaves time to other threads."""
    return " ".join(dict.fromkeys(word for line in text.splitlines() for word in words_of(line)))


def _opened(connection: aiosqlite.Connection | None) -> aiosqlite.Connection:
    if connection is None:
        raise _unavailable("the conversation store is not open")
    return connection


@contextmanager
def _failures() -> Iterator[None]:
    """Turn what SQLite raises into problems that tell nothing of the file or of SQL."""
    try:
        yield
    except (sqlite3.Error, OSError) as exc:
        if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_TRIGGER:
            raise no_conversation() from exc
        raise _unavailable("the database of conversations does not work at present") from exc


def _unavailable(detail: str) -> ServiceError:
    return ServiceError(Kind.STORE_UNAVAILABLE, detail, retry_after=1)
