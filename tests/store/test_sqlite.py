import asyncio
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import aiosqlite
import pytest
from attrs import evolve

from service.core.conversation import Answer, AnswerStatus, Conversation, Usage
from service.core.errors import Kind, ServiceError
from service.core.owners import ANONYMOUS
from service.core.ports import Position
from service.core.spending import By, Spent
from service.store.open import open_store
from service.store.schema import MIGRATIONS, SUMS
from service.store.sqlite import SqliteStore, migrate, page_query
from store.samples import (
    NANODOLLARS,
    OWNER,
    beginning,
    ended,
    growing,
    kept,
    moment,
    question,
)
from store.writer import PIECES, answer

BUSY_SECONDS = 0.2
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "not" / "yet" / "conversations.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, busy_seconds=BUSY_SECONDS)
    await store.open()
    yield store
    await store.close()


@contextmanager
def other_process(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Stands for a full disk: a write beyond that size fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def unavailable(path: Path) -> Iterator[None]:
    with pytest.raises(ServiceError) as raised:
        yield
    problem = raised.value.problem
    assert (problem.kind, problem.retry_after) == (Kind.STORE_UNAVAILABLE, 1)
    assert str(path.parent) not in problem.detail
    assert "SQL" not in problem.detail


def version_of(path: Path) -> int:
    with other_process(path) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


# Opening


async def test_the_directory_is_made(store: SqliteStore, path: Path) -> None:
    assert path.exists()


async def test_a_relative_path_starts_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///data/conversations.db")
    await store.open()
    await store.close()

    assert (tmp_path / "data" / "conversations.db").exists()


async def test_one_file_is_left_when_closed_and_no_thread(path: Path) -> None:
    threads = threading.active_count()
    store = SqliteStore(path, busy_seconds=BUSY_SECONDS)
    await store.open()
    await store.begin(beginning("1"))
    opened = threading.active_count()
    await store.close()

    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert threading.active_count() == opened - 3 >= threads


@pytest.mark.parametrize("obstacle", ["no database", "a directory", "no directory"])
async def test_opening_fails_until_the_obstacle_is_gone(path: Path, obstacle: str) -> None:
    blocked = path.parent if obstacle == "no directory" else path
    blocked.parent.mkdir(parents=True)
    if obstacle == "a directory":
        blocked.mkdir()
    else:
        blocked.write_bytes(b"This is no database. " * 100)
    store = SqliteStore(path, busy_seconds=BUSY_SECONDS)
    for _ in range(2):
        with unavailable(path):
            await store.open()
        with unavailable(path):
            await store.begin(beginning("1"))
        with unavailable(path):
            await store.ping()

    blocked.rmdir() if obstacle == "a directory" else blocked.unlink()
    await store.open()

    await store.begin(beginning("1"))
    assert await store.count() == 1
    await store.close()


async def test_opening_that_is_cancelled_may_be_done_again(path: Path) -> None:
    store = SqliteStore(path, busy_seconds=BUSY_SECONDS)
    for steps in range(12):
        opening = asyncio.create_task(store.open())
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)

    await store.open()

    await store.ping()
    await store.close()


# Versions


async def test_a_newer_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with other_process(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    store = SqliteStore(path, busy_seconds=BUSY_SECONDS)

    with pytest.raises(ServiceError, match="newer version") as raised:
        await store.open()

    assert raised.value.problem.kind is Kind.STORE_UNAVAILABLE
    assert path.read_bytes() == before


async def test_a_database_of_version_1_is_brought_up_to_date(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with other_process(path) as connection:
        connection.create_function("search_words", 1, str.lower)
        connection.executescript(MIGRATIONS[0])
        connection.executescript("""
            PRAGMA user_version = 1;
            INSERT INTO conversations VALUES (1, 'c-1', 'Old', 'then', 'then', 'q-1');
            INSERT INTO messages (conversation, message_id, created_at, content)
            VALUES (1, 'q-1', 'then', 'Why?');
        """)
    store = SqliteStore(path, busy_seconds=BUSY_SECONDS)
    await store.open()

    conversation = await store.get(ANONYMOUS, "c-1")
    listed = await store.page(ANONYMOUS, 10, None, ["old"])
    await store.begin(beginning("2", owner=OWNER))
    of_owner = await store.page(OWNER, 10, None, [])

    await store.close()
    assert version_of(path) == len(MIGRATIONS)
    assert conversation == Conversation(
        "c-1", "Old", "then", "then", "q-1", (evolve(question("1"), created_at="then"),)
    )
    assert [summary.conversation_id for summary in listed.items] == ["c-1"]
    assert [summary.conversation_id for summary in of_owner.items] == ["c-2"]


async def test_a_database_of_version_2_counts_what_is_there(path: Path) -> None:
    path.parent.mkdir(parents=True)
    usage = '{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30,"cached_tokens":3}'
    with other_process(path) as connection:
        connection.create_function("search_words", 1, str.lower)
        connection.executescript("".join(MIGRATIONS[:2]))
        connection.executescript(f"""
            PRAGMA user_version = 2;
            INSERT INTO conversations VALUES (1, 'c-1', 'Old', 'then', 'then', 'a-1', '{OWNER}');
            INSERT INTO messages (
                conversation, message_id, parent_message_id, created_at, content, model, status,
                usage, hyperparameters
            ) VALUES
                (1, 'q-1', NULL, '2025-01-01', 'Why?', NULL, NULL, NULL, NULL),
                (1, 'a-1', 'q-1', '2025-01-01', 'So.', 'small', 'complete', '{usage}', '{{}}'),
                (1, 'a-2', 'q-1', '2025-01-02', 'S', 'small', 'streaming', NULL, '{{}}');
        """)  # nothing here comes from elsewhere
    store = SqliteStore(path, busy_seconds=BUSY_SECONDS)
    await store.open()

    conversation = await store.get(OWNER, "c-1")
    spent = await store.usage(OWNER, "2025", "2026", By.DAY)
    await store.finish("c-1", ended("2", "text"), moment(2))
    later = await store.usage(OWNER, "2025", "2026", By.MODEL)

    await store.close()
    assert version_of(path) == len(MIGRATIONS)
    assert conversation
    answer = conversation.messages[1]
    assert isinstance(answer, Answer)
    assert (answer.usage, answer.cost) == (Usage(10, 20, 30, 0, 3), None)
    assert spent == [
        Spent("2025-01-01", 1, 10, 20, 30, 0, 3, 0, 0, unpriced=1),
        Spent("2025-01-02", 1, 0, 0, 0, 0, 0, 0, 0, unpriced=1),
    ]
    assert [(one.answers, one.unpriced, one.nanodollars) for one in later] == [(2, 1, NANODOLLARS)]


async def test_sums_are_made_along_the_index(store: SqliteStore, path: Path) -> None:
    with other_process(path) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {SUMS[By.DAY]}", ["", "", ""]).fetchall()

    assert rows[0][-1] == (
        "SEARCH expenses USING PRIMARY KEY (owner=? AND created_at>? AND created_at<?)"
    )


async def test_migrations_are_done_once_in_order_and_each_whole(tmp_path: Path) -> None:
    path = tmp_path / "database"
    good = ["CREATE TABLE t (n)", "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)"]
    bad = "INSERT INTO t VALUES (3); INSERT INTO nowhere VALUES (4)"

    for migrations in (good[:1], good, good):
        async with aiosqlite.connect(path, isolation_level=None) as connection:
            await migrate(connection, migrations)
    with pytest.raises(sqlite3.OperationalError):
        async with aiosqlite.connect(path, isolation_level=None) as connection:
            await migrate(connection, [*good, bad])

    assert version_of(path) == 2
    with other_process(path) as connection:
        assert connection.execute("SELECT n FROM t").fetchall() == [(1,), (2,)]


# Reading and writing


async def test_reading_goes_on_while_another_process_writes(store: SqliteStore, path: Path) -> None:
    await store.begin(beginning("1"))

    with other_process(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM conversations")

        assert await store.get(OWNER, "c-1")
        assert await store.count() == 1


async def test_a_locked_database_fails_all_writes_in_bounded_time(
    store: SqliteStore, path: Path
) -> None:
    with other_process(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        writes = [store.begin(beginning(str(number))) for number in range(20)]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        elapsed = time.monotonic() - started

    kinds = {outcome.problem.kind for outcome in outcomes if isinstance(outcome, ServiceError)}
    assert kinds == {Kind.STORE_UNAVAILABLE}
    assert elapsed < 10 * BUSY_SECONDS
    assert await store.count() == 0
    await store.begin(beginning("later"))
    assert await store.count() == 1


async def test_a_write_waits_for_another_process(path: Path) -> None:
    patient = SqliteStore(path, busy_seconds=20)
    await patient.open()

    with other_process(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(patient.begin(beginning("1")))
        await patient.ping()
        connection.execute("COMMIT")

    await writing
    assert await patient.count() == 1
    await patient.close()


async def test_opening_a_locked_database_fails_in_bounded_time(
    store: SqliteStore, path: Path
) -> None:
    second = SqliteStore(path, busy_seconds=BUSY_SECONDS)
    with other_process(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with unavailable(path):
            await second.open()

    await second.open()

    await second.begin(beginning("1"))
    await second.close()


async def test_a_full_disk_fails_a_write_and_not_the_store(store: SqliteStore, path: Path) -> None:
    await store.begin(beginning("1"))
    with file_size_limit(200_000), unavailable(path):
        await store.begin(beginning("2", "long " * 100_000))

    assert await store.get(OWNER, "c-2") is None
    assert await store.get(OWNER, "c-1")
    await store.begin(beginning("2", "long " * 100_000))
    assert await store.get(OWNER, "c-2")


async def test_what_a_cancelled_caller_asked_for_is_done(store: SqliteStore) -> None:
    await store.begin(beginning("1"))
    finishing = asyncio.create_task(store.finish("c-1", ended("1", "text"), moment(2)))
    await asyncio.sleep(0)
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing

    await store.change(OWNER, "c-1", title="Next in turn", active_message_id=None)

    conversation = await store.get(OWNER, "c-1")
    assert conversation is not None
    assert conversation.messages[1] == ended("1", "text")


async def test_closing_waits_for_what_is_under_way(path: Path) -> None:
    store = SqliteStore(path, busy_seconds=20)
    await store.open()
    writes = [asyncio.create_task(store.begin(beginning(str(number)))) for number in range(20)]
    reads = [asyncio.create_task(store.count()) for _ in range(20)]
    await asyncio.sleep(0)

    await store.close()

    assert await asyncio.gather(*writes) == [None] * 20
    assert len(await asyncio.gather(*reads)) == 20
    await store.open()
    assert await store.count() == 20
    await store.close()


async def test_deleting_leaves_nothing_behind(store: SqliteStore, path: Path) -> None:
    await store.begin(beginning("1"))
    await store.finish("c-1", ended("1", "text"), moment(2))
    await store.delete(OWNER, "c-1")

    with other_process(path) as connection:
        for table in ("conversations", "messages", "title_words", "message_words"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


async def test_a_page_is_read_along_the_index(store: SqliteStore, path: Path) -> None:
    query, parameters = page_query(OWNER, 20, Position(moment(1), "c-1"), [])

    with other_process(path) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {query}", parameters).fetchall()

    plan = [row[-1] for row in rows]
    assert plan[:2] == [
        "CO-ROUTINE found",
        "SEARCH conversations USING INDEX conversations_latest_first"
        " (owner=? AND (updated_at,conversation_id)<(?,?))",
    ]
    assert not [step for step in plan[2:] if step.startswith("SCAN") and step != "SCAN found"]
    assert not [step for step in plan if "TEMP B-TREE" in step and step != plan[-1]]


# Writing many at once


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancelled_writing_is_whole_or_nothing(store: SqliteStore, steps: int) -> None:
    await store.write([kept("0", "old")])
    many = [kept("0", "new"), *(kept(str(number)) for number in range(1, 50))]
    writing = asyncio.create_task(store.write(many))
    for _ in range(steps):
        await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)

    await store.begin(beginning("next"))

    await assert_whole_or_nothing(store)
    await store.close()
    await store.open()
    await assert_whole_or_nothing(store)
    assert await store.get(OWNER, "c-next")


async def assert_whole_or_nothing(store: SqliteStore) -> None:
    """All fifty and the new text, or one with the old one; and the conversation begun later."""
    conversation = await store.get(OWNER, "c-0")
    assert conversation
    assert (await store.count(), conversation.messages[1].content) in [(51, "new"), (2, "old")]


async def test_a_writing_may_be_cancelled_wherever_it_is_and_again(
    store: SqliteStore, path: Path
) -> None:
    with other_process(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(store.write([kept("1"), kept("2")]))
        await asyncio.sleep(0)
        for _ in range(3):
            writing.cancel()
            await asyncio.sleep(0)
        connection.execute("COMMIT")
    with pytest.raises(asyncio.CancelledError):
        await writing

    await store.begin(beginning("3"))

    with other_process(path) as connection:
        connection.execute("BEGIN IMMEDIATE")  # nothing is left open
        connection.execute("COMMIT")
    assert await store.get(OWNER, "c-3")


async def test_a_writing_that_fails_half_way_leaves_everything_as_it_was(
    store: SqliteStore,
) -> None:
    await store.write([kept("1", "old")])
    clashing = evolve(kept("2"), conversation=evolve(kept("1").conversation, conversation_id="c-2"))

    with pytest.raises(ServiceError) as raised:
        await store.write([kept("3"), clashing])

    assert raised.value.problem.kind is Kind.STORE_UNAVAILABLE
    assert await store.ids("", 10) == ["c-1"]
    assert await store.read(["c-1"]) == [kept("1", "old")]
    await store.write([kept("3")])
    assert await store.count() == 2


async def test_a_full_disk_fails_a_writing_and_not_the_store(
    store: SqliteStore, path: Path
) -> None:
    await store.write([kept("1", "old")])
    long = [kept("1", "new"), kept("2", "long " * 100_000)]
    with file_size_limit(200_000), unavailable(path):
        await store.write(long)

    assert await store.read(["c-1", "c-2"]) == [kept("1", "old")]
    await store.begin(beginning("3"))
    await store.write(long)
    assert await store.read(["c-1", "c-2"]) == long


# Being killed


@pytest.mark.parametrize("lines", [1, 4, 17, 60, 200, 555])
async def test_what_was_acknowledged_survives_a_kill(path: Path, lines: int) -> None:
    said = write_until_killed(path, lines)
    acknowledged = {name: int(step) for name, step in (line.split() for line in said)}

    store = SqliteStore(path, busy_seconds=BUSY_SECONDS)
    await store.open()
    for name, step in acknowledged.items():
        assert_kept(await store.get(OWNER, f"c-{name}"), name, step)
    found = await store.page(OWNER, len(said), None, ["piece1"])
    assert {summary.conversation_id for summary in found.items} >= {
        f"c-{name}" for name, step in acknowledged.items() if step
    }
    await store.close()
    with other_process(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.execute("INSERT INTO message_words (message_words) VALUES ('integrity-check')")


def write_until_killed(path: Path, lines: int) -> list[str]:
    """What a writing program said, killed after so many lines."""
    program = [sys.executable, "-m", "store.writer", f"sqlite:///{path}"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(lines)]
        writer.kill()
        return said + writer.stdout.readlines()


def assert_kept(conversation: Conversation | None, name: str, acknowledged: int) -> None:
    """What was acknowledged is there; the step after it may be, but only whole."""
    assert conversation is not None
    asked, said = conversation.messages
    assert asked == question(name)
    complete = ended(name, answer(name, PIECES))
    partial = [
        evolve(growing(name), content=answer(name, pieces), status=AnswerStatus.PARTIAL)
        for pieces in range(PIECES + 1)
    ]
    assert said in [*partial, complete][acknowledged : acknowledged + 2]
