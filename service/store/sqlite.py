"""How are conversations kept in SQLite? Every change is one statement, so one transaction.

A statement that was handed to the connection's thread runs whole or not at all, whatever becomes
of the caller. Changes take turns on one connection. Reads have others, so they see no change half
done (WAL) and wait for none; and lists have their own, since a search may take seconds.
"""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
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
from service.core.errors import Kind, ServiceError
from service.core.ports import Beginning, Checkpoint, Page, Position
from service.core.search import words as words_of
from service.store.schema import COMMANDS, MIGRATIONS, SETTLE

# temp_store: the journal of a statement would otherwise go to a directory that containers lack.
_WRITING = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA foreign_keys = ON;
    PRAGMA temp_store = MEMORY;
"""
_READING = "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;"

_BEGIN = "INSERT INTO beginning VALUES "
_GAIN = "INSERT INTO gain VALUES "
_END = "INSERT INTO ending VALUES "
_CHANGE = """
    UPDATE conversations
    SET title = coalesce(?, title), active_message_id = coalesce(?, active_message_id)
    WHERE conversation_id = ?
"""
_DELETE = "DELETE FROM conversations WHERE conversation_id = ?"

_PING = "SELECT 1 FROM conversations LIMIT 1"
_COUNT = "SELECT count(*) FROM conversations"
_GET = """
    SELECT
        title, conversations.created_at AS begun_at, updated_at, active_message_id, messages.*
    FROM conversations JOIN messages ON conversation = conversations.number
    WHERE conversation_id = ?
    ORDER BY messages.number
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
        self._path = path
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
            await asyncio.to_thread(self._path.parent.mkdir, parents=True, exist_ok=True)
            async with AsyncExitStack() as opening:
                writer = await opening.enter_async_context(self._connect())
                await writer.create_function("search_words", 1, _search_words, deterministic=True)
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

    async def get(self, conversation_id: str) -> Conversation | None:
        rows = await _read(self._reader, _GET, [conversation_id])
        if not rows:
            return None
        first = rows[0]
        return Conversation(
            conversation_id,
            first["title"],
            first["begun_at"],
            first["updated_at"],
            first["active_message_id"],
            tuple(map(_message, rows)),
        )

    async def begin(self, beginning: Beginning) -> None:
        head = (beginning.conversation_id, beginning.title)
        messages = (beginning.question, beginning.answer)
        await self._insert(_BEGIN, [head + _row(message) for message in messages if message])

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> None:
        await self._insert(
            _GAIN, [(c.message_id, c.content, c.reasoning, c.whole) for c in checkpoints]
        )

    async def finish(self, conversation_id: str, answer: Answer, updated_at: str) -> None:
        await self._insert(_END, [(updated_at, *_row(answer))])

    async def page(self, limit: int, after: Position | None, words: Sequence[str]) -> Page:
        rows = await self._search(*page_query(limit + 1, after, words))
        return Page(tuple(Summary(*row) for row in rows[:limit]), last=len(rows) <= limit)

    async def change(
        self, conversation_id: str, *, title: str | None, active_message_id: str | None
    ) -> None:
        await self._write(_CHANGE, [title, active_message_id, conversation_id])

    async def delete(self, conversation_id: str) -> bool:
        return await self._write(_DELETE, [conversation_id]) > 0

    async def count(self) -> int:
        [(count,)] = await _read(self._reader, _COUNT)
        return int(count)

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
        return aiosqlite.connect(self._path, timeout=self._busy_seconds, isolation_level=None)

    async def _insert(self, insert: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Hand rows to one of the schema's commands, all in one statement."""
        if rows:
            places = "(" + ", ".join("?" * len(rows[0])) + ")"
            values = ", ".join([places] * len(rows))
            await self._write(insert + values, [value for row in rows for value in row])

    async def _write(self, statement: str, parameters: Sequence[object]) -> int:
        """Run a statement in its turn; how many rows it changed."""
        with _failures():
            async with asyncio.timeout(self._busy_seconds):
                await self._turn.acquire()
            try:
                return (await _opened(self._writer).execute(statement, parameters)).rowcount
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
    limit: int, after: Position | None, words: Sequence[str]
) -> tuple[str, list[object]]:
    """The query for one page of the list, and its parameters."""
    conditions = []
    parameters: list[object] = []
    if after:
        conditions.append(_AFTER)
        parameters += (after.updated_at, after.conversation_id)
    for word in dict.fromkeys(words):
        conditions.append(_HOLDS)
        parameters += [f'"{word}"*'] * 2
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    query = _SUMMARIES + where + _LATEST_FIRST + "LIMIT ?) AS found" + _LATEST_FIRST
    return query, [*parameters, limit]


def _row(message: Message) -> tuple[object, ...]:
    """A message as the schema's commands take it."""
    said = (message.message_id, message.parent_message_id, message.content, message.created_at)
    if isinstance(message, Question):
        return (*said, None, None, None, None, None, None, None)
    return (
        *said,
        message.model,
        message.status,
        message.reasoning,
        message.finish_reason,
        _json(message.usage) if message.usage else None,
        message.system_prompt,
        _json(message.hyperparameters),
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


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
            gone = Kind.CONVERSATION_NOT_FOUND
            raise ServiceError(gone, "there is no conversation of that id") from exc
        raise _unavailable("the database of conversations does not work at present") from exc


def _unavailable(detail: str) -> ServiceError:
    return ServiceError(Kind.STORE_UNAVAILABLE, detail, retry_after=1)
