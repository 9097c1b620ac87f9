"""What only this store promises: to share a database with other processes, and to outlive it."""

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trustme
from attrs import evolve
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from service.core.conversation import AnswerStatus, Conversation
from service.core.errors import Kind, ServiceError
from service.core.ports import Beginning, Checkpoint, Lost, Position
from service.store.mongo.documents import Document
from service.store.mongo.store import MongoStore, page_query
from store.mongo import MongoServer, database_name, mongo_server, shared_url
from store.samples import OWNER, beginning, ended, growing, kept, moment, question
from store.writer import PIECES, answer

pytestmark = [
    pytest.mark.servers,
    # PyMongo leaves a socket to the collector whose connecting was cut short.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
    ),
]

LEASE_SECONDS = 0.3
LONG = 60.0
BUSY_SECONDS = 1.0
PATIENCE_SECONDS = 10
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": os.environ["PATH"]}


def make_store(
    url: str, *, lease_seconds: float = LEASE_SECONDS, busy_seconds: float = 5.0
) -> MongoStore:
    return MongoStore(url, pool_size=10, lease_seconds=lease_seconds, busy_seconds=busy_seconds)


@asynccontextmanager
async def opened(url: str, *, lease_seconds: float = LEASE_SECONDS) -> AsyncIterator[MongoStore]:
    store = make_store(url, lease_seconds=lease_seconds)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """So that what is left to the collector is not found in another test."""
    yield
    gc.collect()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return shared_url(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MongoServer]:
    with mongo_server(tmp_path) as server:
        yield server


@pytest.fixture
async def store(url: str) -> AsyncIterator[MongoStore]:
    async with opened(url, lease_seconds=LONG) as store:
        yield store


@pytest.fixture
async def other(url: str, store: MongoStore) -> AsyncIterator[MongoStore]:
    """Of another process."""
    async with opened(url, lease_seconds=LONG) as other:
        yield other


@pytest.fixture
async def database(url: str, tmp_path: Path) -> AsyncIterator[AsyncDatabase[Document]]:
    async with AsyncMongoClient[Document](url) as client:
        yield client[database_name(tmp_path)]


@contextmanager
def refused(kind: Kind, *secrets: object) -> Iterator[None]:
    with pytest.raises(ServiceError) as raised:
        yield
    problem = raised.value.problem
    assert problem.kind is kind
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert not [secret for secret in ("127.0.0.1", *secrets) if str(secret) in problem.detail]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await holds():  # noqa: ASYNC110  # it happens in another process
            await asyncio.sleep(0.01)


async def takes(store: MongoStore, name: str, run: str) -> bool:
    """Whether a run gets a conversation that another may have."""
    try:
        return await store.take(OWNER, f"c-{name}", f"r-{run}") is not None
    except ServiceError as exc:
        if exc.problem.kind is not Kind.CONVERSATION_BUSY:
            raise
        return False


async def is_busy(store: MongoStore, name: str) -> bool:
    """Whether another has a conversation; it is left as it is."""
    taken = await takes(store, name, "probe")
    await store.release(f"c-{name}", "r-probe")
    return not taken


async def whole(store: MongoStore, name: str) -> Conversation:
    conversation = await store.get(OWNER, f"c-{name}")
    assert conversation is not None
    return conversation


async def add(store: MongoStore, name: str) -> None:
    await store.begin(beginning(name))
    await store.finish(f"c-{name}", ended(name, "Because."), moment(1))


def going_on(name: str, number: str) -> Beginning:
    return Beginning(OWNER, f"c-{name}", f"r-{number}", growing(number), question(number), None)


# Opening


async def test_indexes_are_made_once_however_many_open(
    url: str, database: AsyncDatabase[Document]
) -> None:
    stores = [make_store(url) for _ in range(8)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(store.close() for store in stores))
    first = await database.conversations.index_information()

    async with opened(url):
        assert await database.conversations.index_information() == first
    assert first.keys() == {"_id_", "latest_first", "claims"}
    assert (await database.messages.index_information()).keys() == {
        "_id_",
        "in_order",
        "of_owner",
        "growing",
    }


async def test_closing_leaves_no_holder_behind(url: str, database: AsyncDatabase[Document]) -> None:
    async with opened(url):
        assert await database.holders.count_documents({}) == 1

    assert await database.holders.count_documents({}) == 0


async def test_opening_that_is_cancelled_may_be_done_again(url: str) -> None:
    store = make_store(url)
    for steps in range(0, 60, 5):
        opening = asyncio.create_task(store.open())
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)

    await store.open()

    await store.ping()
    await store.close()


async def test_a_standalone_is_refused_with_a_hint(tmp_path: Path) -> None:
    with mongo_server(tmp_path, "--standalone") as server:
        with pytest.raises(ServiceError, match="must be a replica set") as raised:
            await make_store(server.url("x")).open()

    assert raised.value.problem.kind is Kind.STORE_UNAVAILABLE


async def test_a_page_is_read_along_the_index(
    store: MongoStore, database: AsyncDatabase[Document]
) -> None:
    query = page_query(OWNER, Position(moment(1), "c-1"))

    plan = await database.conversations.find(query).sort("place", -1).limit(20).explain()

    assert "'indexName': 'latest_first'" in str(plan["queryPlanner"]["winningPlan"])
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])


# Claims


async def test_one_of_two_processes_gets_a_conversation(
    store: MongoStore, other: MongoStore
) -> None:
    await add(store, "1")

    taken = await store.take(OWNER, "c-1", "r-2")

    assert taken == await whole(store, "1")
    with refused(Kind.CONVERSATION_BUSY):
        await other.take(OWNER, "c-1", "r-3")
    with refused(Kind.CONVERSATION_BUSY):
        await other.begin(going_on("1", "3"))
    await store.begin(going_on("1", "2"))
    with refused(Kind.CONVERSATION_BUSY):
        await other.take(OWNER, "c-1", "r-3")
    await store.finish("c-1", ended("2", "text"), moment(2))
    assert await other.take(OWNER, "c-1", "r-3") == await whole(store, "1")
    with refused(Kind.CONVERSATION_BUSY):
        await store.take(OWNER, "c-1", "r-4")


async def test_many_that_take_at_once_are_one_that_has_it(
    store: MongoStore, other: MongoStore
) -> None:
    for name in map(str, range(10)):
        await add(store, name)

        taken = await asyncio.gather(takes(store, name, "2"), takes(other, name, "3"))

        assert sorted(taken) == [False, True]


async def test_who_asks_for_another_owners_conversation_takes_no_claim_away(url: str) -> None:
    async with opened(url, lease_seconds=LONG) as one, opened(url, lease_seconds=LONG) as other:
        await one.begin(beginning("1"))
        taken = await one.take("stranger", "c-1", "r-x")
        lost = await one.renew()
        seen = await other.claimed_by(OWNER, "c-1")

    assert (taken, list(lost), seen) == (None, [], "r-1")


async def test_a_claim_is_seen_by_the_other_process_until_it_is_given_up(url: str) -> None:
    async with opened(url, lease_seconds=LONG) as one, opened(url, lease_seconds=LONG) as other:
        await one.begin(beginning("1"))
        seen = [await store.claimed_by(OWNER, "c-1") for store in (one, other)]
        await one.finish("c-1", ended("1", "text"), moment(2))
        afterwards = await other.claimed_by(OWNER, "c-1")

    assert seen == [None, "r-1"]
    assert afterwards is None


async def test_two_that_begin_one_conversation_are_one(
    store: MongoStore, other: MongoStore
) -> None:
    first, second = beginning("1"), evolve(beginning("2"), conversation_id="c-1")

    outcomes = await asyncio.gather(store.begin(first), other.begin(second), return_exceptions=True)

    assert sum(outcome is None for outcome in outcomes) == 1
    assert len((await whole(store, "1")).messages) == 2


async def test_a_released_conversation_is_free_at_once(
    store: MongoStore, other: MongoStore
) -> None:
    await add(store, "1")
    await store.take(OWNER, "c-1", "r-2")

    await store.release("c-1", "r-9")
    with refused(Kind.CONVERSATION_BUSY):
        await other.take(OWNER, "c-1", "r-3")
    await store.release("c-1", "r-2")

    assert await other.take(OWNER, "c-1", "r-3")


async def test_an_answer_that_ends_late_leaves_the_next_run_its_claim(
    store: MongoStore, other: MongoStore
) -> None:
    await store.begin(beginning("1"))
    await store.release("c-1", "r-1")
    await store.take(OWNER, "c-1", "r-2")

    await store.finish("c-1", ended("1", "late"), moment(2))

    with refused(Kind.CONVERSATION_BUSY):
        await other.take(OWNER, "c-1", "r-3")


async def test_what_a_dead_process_held_is_free_after_its_lease(
    url: str, other: MongoStore
) -> None:
    async with opened(url) as dead:
        await dead.begin(beginning("1"))
        await dead.checkpoint([Checkpoint("a-1", "Because", "Hm", whole=True)])
        await dead.checkpoint([Checkpoint("a-1", " of", "", whole=False)])

        started = time.monotonic()
        await until(lambda: takes(other, "1", "2"))

        assert time.monotonic() - started < LEASE_SECONDS + 2
        assert (await whole(other, "1")).messages[1] == evolve(
            growing("1"), content="Because of", reasoning="Hm", status=AnswerStatus.PARTIAL
        )
        page = await other.page(OWNER, 10, None, ["because"])
        assert [summary.conversation_id for summary in page.items] == ["c-1"]


async def test_renewing_settles_what_dead_processes_held(
    url: str, store: MongoStore, other: MongoStore
) -> None:
    async with opened(url) as dead:
        await dead.begin(beginning("1"))

        async def settled() -> bool:
            assert await other.renew() == []
            said = (await whole(other, "1")).messages[1]
            return said == evolve(growing("1"), status=AnswerStatus.PARTIAL)

        await until(settled)

        assert await store.take(OWNER, "c-1", "r-2")


async def test_who_renews_keeps_what_it_holds(url: str, other: MongoStore) -> None:
    async with opened(url, lease_seconds=1.0) as alive:
        await alive.begin(beginning("1"))

        ends = time.monotonic() + 2.5
        while time.monotonic() < ends:
            assert await alive.renew() == []
            await other.renew()
            with refused(Kind.CONVERSATION_BUSY):
                await other.take(OWNER, "c-1", "r-2")

        assert (await whole(other, "1")).messages[1] == growing("1")


async def lapse(stalled: MongoStore, other: MongoStore) -> None:
    """Let another process find that one is dead; all is settled then."""
    await stalled.begin(beginning("probe"))

    async def settled() -> bool:
        await other.renew()
        _, said = (await whole(other, "probe")).messages
        return said != growing("probe")

    await until(settled)


async def test_a_process_that_stalled_loses_what_others_took(url: str, other: MongoStore) -> None:
    async with opened(url) as stalled:
        await add(stalled, "2")
        await stalled.begin(beginning("1"))
        await stalled.take(OWNER, "c-2", "r-2")
        await lapse(stalled, other)
        await other.take(OWNER, "c-1", "r-9")

        assert list(await stalled.renew()) == [Lost("r-1", removed=False)]

        assert list(await stalled.renew()) == []
        with refused(Kind.CONVERSATION_BUSY):
            await stalled.take(OWNER, "c-1", "r-3")
        with refused(Kind.CONVERSATION_BUSY):
            await other.take(OWNER, "c-2", "r-9")
        await stalled.finish("c-1", ended("1", "late"), moment(3))
        with refused(Kind.CONVERSATION_BUSY):
            await stalled.take(OWNER, "c-1", "r-3")


async def test_a_process_that_stalled_goes_on_with_what_nobody_took(
    url: str, other: MongoStore
) -> None:
    async with opened(url, lease_seconds=1.0) as stalled:
        await stalled.begin(beginning("1"))
        await lapse(stalled, other)

        assert list(await stalled.renew()) == []

        with refused(Kind.CONVERSATION_BUSY):
            await other.take(OWNER, "c-1", "r-9")
        await stalled.finish("c-1", ended("1", "whole"), moment(3))
        assert (await whole(other, "1")).messages[1] == ended("1", "whole")
        assert await other.take(OWNER, "c-1", "r-9")


async def test_what_was_removed_elsewhere_is_lost(store: MongoStore, other: MongoStore) -> None:
    await store.begin(beginning("1"))
    await store.begin(beginning("2"))

    assert await other.delete(OWNER, "c-1")

    assert list(await store.renew()) == [Lost("r-1", removed=True)]
    assert list(await store.renew()) == []
    await store.finish("c-1", ended("1", "late"), moment(3))
    assert await other.get(OWNER, "c-1") is None
    with refused(Kind.CONVERSATION_BUSY):
        await other.take(OWNER, "c-2", "r-3")


async def test_what_was_released_in_vain_is_released_by_the_next_renewal(
    server: MongoServer,
) -> None:
    url = server.url("x")
    store = make_store(url, lease_seconds=LONG, busy_seconds=BUSY_SECONDS)
    await store.open()
    await add(store, "1")
    await store.take(OWNER, "c-1", "r-2")
    server.stop()
    with refused(Kind.STORE_UNAVAILABLE, server.port):
        await store.release("c-1", "r-2")
    server.start()

    async with opened(url) as other:
        with refused(Kind.CONVERSATION_BUSY):
            await other.take(OWNER, "c-1", "r-3")
        assert list(await store.renew()) == []
        assert await other.take(OWNER, "c-1", "r-3")
    await store.close()


@pytest.mark.parametrize("what", ["take", "begin"])
async def test_what_a_cancelled_caller_had_asked_for_is_given_back(
    server: MongoServer, what: str
) -> None:
    async with opened(server.url("x"), lease_seconds=LONG) as store:
        await add(store, "1")
        async with opened(server.url("x"), lease_seconds=LONG) as other:
            os.kill(server.process_id, signal.SIGSTOP)
            asking: asyncio.Future[object] = asyncio.ensure_future(
                store.take(OWNER, "c-1", "r-2")
                if what == "take"
                else store.begin(going_on("1", "2"))
            )
            for _ in range(50):
                await asyncio.sleep(0)
            asking.cancel()
            os.kill(server.process_id, signal.SIGCONT)
            with pytest.raises(asyncio.CancelledError):
                await asking
            await until(lambda: is_busy(other, "1"))

            await store.renew()

            assert await takes(other, "1", "3")
            last = (await whole(other, "1")).messages[-1]
            assert last in (
                ended("1", "Because."),
                evolve(growing("2"), status=AnswerStatus.PARTIAL),
            )


async def test_what_is_written_is_free(store: MongoStore, other: MongoStore) -> None:
    await store.write([kept("1"), kept("2")])

    assert await other.take(OWNER, "c-1", "r-1") == kept("1").conversation


# Users, certificates


async def test_a_user_logs_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    server = MongoServer(tmp_path / "mongo")
    server.start()
    roles = [{"role": "readWriteAnyDatabase", "db": "admin"}]
    async with AsyncMongoClient[Document](server.url("admin")) as client:
        await client.admin.command("createUser", "ann", pwd="p@ss/wörd", roles=roles)
    server.stop()
    server.start("--auth")
    log_in = "?authSource=admin&authMechanism=SCRAM-SHA-256"
    try:
        good = make_store(server.url("x", user="ann:p%40ss%2Fw%C3%B6rd", options=log_in))
        await good.open()
        await add(good, "1")
        assert await good.count() == 1
        await good.close()

        for user in ("ann:p%40ssword", "bob:hidden", ""):
            bad = make_store(server.url("x", user=user, options=log_in if user else ""))
            with refused(Kind.STORE_UNAVAILABLE, "ann", "bob", "hidden", "p@ss", server.port):
                await bad.open()
    finally:
        server.stop()
    assert "hidden" not in caplog.text
    assert "p@ss" not in caplog.text


async def test_a_connection_may_be_encrypted(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key, trusted = (tmp_path / name for name in ("chain.pem", "key.pem", "ca.pem"))
    certificate.private_key_pem.write_to_path(str(key))
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    authority.cert_pem.write_to_path(str(trusted))
    tls = ["--tls-cert-file", str(chain), "--tls-key-file", str(key)]
    with mongo_server(tmp_path, *tls) as server:
        url = server.url("x", options=f"?tls=true&tlsCAFile={trusted}")
        async with opened(url) as store:
            await add(store, "1")
            assert await store.count() == 1

        stranger = make_store(server.url("x", options="?tls=true"), busy_seconds=BUSY_SECONDS)
        with refused(Kind.STORE_UNAVAILABLE, server.port):
            await stranger.open()
        plain = make_store(server.url("x"), busy_seconds=BUSY_SECONDS)
        with refused(Kind.STORE_UNAVAILABLE, server.port):
            await plain.open()


# When the database is away


async def test_opening_waits_a_bounded_time_for_a_database_and_may_be_repeated(
    tmp_path: Path,
) -> None:
    server = MongoServer(tmp_path / "mongo")
    store = make_store(server.url("x"), busy_seconds=BUSY_SECONDS)
    started = time.monotonic()
    with refused(Kind.STORE_UNAVAILABLE, server.port):
        await store.open()
    assert time.monotonic() - started < BUSY_SECONDS + 2
    server.start()
    try:
        await store.open()
        await add(store, "1")
        await store.close()
    finally:
        server.stop()


@pytest.mark.parametrize("away", ["stopped", "killed", "stalled"])
async def test_a_database_that_is_away_fails_all_in_bounded_time_and_may_come_back(
    server: MongoServer, away: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = make_store(server.url("x"), lease_seconds=LONG, busy_seconds=BUSY_SECONDS)
    await store.open()
    await store.begin(beginning("1"))
    if away == "stalled":
        os.kill(server.process_id, signal.SIGSTOP)
    else:
        server.stop() if away == "stopped" else server.kill()

    started = time.monotonic()
    asked = [
        store.ping(),
        store.get(OWNER, "c-1"),
        store.begin(beginning("2")),
        store.take(OWNER, "c-1", "r-1"),
        store.checkpoint([Checkpoint("a-1", "text", "", whole=True)]),
        store.finish("c-1", ended("1", "text"), moment(2)),
        store.page(OWNER, 10, None, ["text"]),
        store.delete(OWNER, "c-1"),
        store.renew(),
    ]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    elapsed = time.monotonic() - started
    if away == "stalled":
        os.kill(server.process_id, signal.SIGCONT)
    else:
        server.start()

    assert elapsed < BUSY_SECONDS + 3
    for outcome in outcomes:
        assert isinstance(outcome, ServiceError)
        assert outcome.problem.kind is Kind.STORE_UNAVAILABLE
        assert outcome.problem.retry_after == 1
        assert str(server.port) not in outcome.problem.detail
    assert str(server.port) not in caplog.text
    await store.ping()
    await store.begin(beginning("3"))
    await store.finish("c-3", ended("3", "text"), moment(2))
    assert (await whole(store, "3")).messages[1] == ended("3", "text")
    await store.close()


async def test_closing_takes_a_bounded_time_when_the_database_is_away(server: MongoServer) -> None:
    store = make_store(server.url("x"), busy_seconds=BUSY_SECONDS)
    await store.open()
    await store.begin(beginning("1"))
    server.kill()

    started = time.monotonic()
    await store.close()

    assert time.monotonic() - started < BUSY_SECONDS + 3


async def test_closing_waits_for_what_is_under_way(store: MongoStore) -> None:
    writes = [asyncio.create_task(store.begin(beginning(str(number)))) for number in range(5)]
    reads = [asyncio.create_task(store.count()) for _ in range(5)]
    await asyncio.sleep(0)

    await store.close()

    assert await asyncio.gather(*writes) == [None] * 5
    assert len(await asyncio.gather(*reads)) == 5
    await store.open()
    assert await store.count() == 5


async def test_deleting_leaves_nothing_behind(
    store: MongoStore, database: AsyncDatabase[Document]
) -> None:
    await add(store, "1")

    await store.delete(OWNER, "c-1")

    assert await database.conversations.count_documents({}) == 0
    assert await database.messages.count_documents({}) == 0


async def test_pieces_are_gone_when_an_answer_has_ended(
    store: MongoStore, database: AsyncDatabase[Document]
) -> None:
    await store.begin(beginning("1"))
    await store.checkpoint([Checkpoint("a-1", "piece", "piece", whole=True)])
    await store.finish("c-1", ended("1", "text"), moment(2))

    [kept_answer] = await database.messages.find({"role": "assistant"}).to_list()

    assert not {"holder", "content_pieces", "reasoning_pieces"} & kept_answer.keys()


# Being killed


@pytest.mark.parametrize("lines", [1, 7, 60])
async def test_what_was_acknowledged_survives_a_kill_of_the_database(
    tmp_path: Path, lines: int
) -> None:
    with mongo_server(tmp_path, "--sync-on-commit") as server:
        said = write_until_killed(server, lines)
        acknowledged = {name: int(step) for name, step in (line.split() for line in said)}
        server.start()

        async with opened(server.url("x")) as store:
            for name, step in acknowledged.items():
                assert_kept(await store.get(OWNER, f"c-{name}"), name, step)


def write_until_killed(server: MongoServer, lines: int) -> list[str]:
    """What a writing program said; the database is killed after so many lines."""
    program = [sys.executable, "-m", "store.writer", server.url("x")]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT
    ) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(lines)]
        server.kill()
        writer.kill()
        return said + writer.stdout.readlines()


def assert_kept(conversation: Conversation | None, name: str, acknowledged: int) -> None:
    """What was acknowledged is there; the step after it may be, but only whole."""
    assert conversation is not None
    asked, said = conversation.messages
    assert asked == question(name)
    complete = ended(name, answer(name, PIECES))
    steps = [
        evolve(growing(name), content=answer(name, pieces), status=status)
        for pieces in range(PIECES + 1)
        for status in (AnswerStatus.PARTIAL, AnswerStatus.STREAMING)  # its lease may last
    ]
    assert said in [*steps, complete, complete][2 * acknowledged : 2 * acknowledged + 4]
