"""Services on one MongoDB, as processes: raced, killed, and left without their database."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from test_process import Process, groq, serving
from web.conversing import (
    AWAY,
    BUSY,
    PATIENCE_SECONDS,
    Load,
    Told,
    ask,
    ask_until_let_in,
    begun,
    check_kept,
    check_whole,
    ready,
    shown,
    slow,
    streaming,
    until_shown,
)
from web.outside import Held, Json, asked, said

from service.simulator import Gate, Script, Text
from store.mongo import MongoServer, mongo_server, shared_url
from support import frames_of, text_of

pytestmark = pytest.mark.servers

SLACK_SECONDS = 1.5
"""What a busy machine may take for a request."""
ATTEMPT_SECONDS = 5
"""That the store asks a database which does not answer."""
REFUSAL_SECONDS = ATTEMPT_SECONDS + 1 + 1
"""That a refusal waits for the store: for an attempt, its grace, and a claim to be given up."""
ROUNDS = 8


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield session


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MongoServer]:
    with mongo_server(tmp_path, "--sync-on-commit") as server:
        yield server


@asynccontextmanager
async def two(
    directory: Path, url: str, variables: dict[str, str], **more: str
) -> AsyncIterator[tuple[Process, Process]]:
    """Two services on the database of that URL, of one Groq."""
    all_of_them = {"CONVERSATION_STORE": url, **variables, **more}
    async with serving(directory, **all_of_them) as one, serving(directory, **all_of_them) as other:
        yield one, other


# Two at once.


async def test_of_two_services_that_are_asked_at_once_one_answers(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    script = Script()
    url = await asyncio.to_thread(shared_url, tmp_path)
    async with groq(script) as variables, two(tmp_path, url, variables) as both:
        names = [await begun(http, both[0]) for _ in range(4)]
        for _ in range(ROUNDS):
            held = Held()
            script.always(held.answer)
            asking = [
                [asyncio.create_task(ask(http, one, conversation_id=name)) for one in both]
                for name in names
            ]
            refused = [await _first(pair) for pair in asking]
            growing = [await until_shown(http, both[1], name, streaming) for name in names]
            held.let_go()
            ends = [sorted([told.end for told in await asyncio.gather(*pair)]) for pair in asking]

            assert [told.end for told in refused] == [BUSY] * 4
            assert [streaming(messages) for messages in growing] == [1] * 4
            assert ends == [[BUSY, "finished"]] * 4
        wholes = [await shown(http, both[1], name) for name in names]

    assert len(script.requests) == 4 * (1 + ROUNDS)
    for messages in wholes:
        check_whole(messages)
        assert [message["status"] for message in messages[1::2]] == ["complete"] * (1 + ROUNDS)


async def _first(asking: Sequence[asyncio.Task[Told]]) -> Told:
    done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    return done.pop().result()


async def test_those_that_come_late_wait_their_turn_and_see_all_that_was_said(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    script, askers, questions = Script(), 4, 6
    script.next(Text("first"), *(slow(f"answer {n} of all", seconds=0.02) for n in range(24)))
    url = await asyncio.to_thread(shared_url, tmp_path)
    async with groq(script) as variables, two(tmp_path, url, variables) as both:
        name = await begun(http, both[0])

        async def converse(asker: int) -> list[str]:
            members = {"conversation_id": name, "user_prompt": f"{asker} asks"}
            service = both[asker % 2]
            return [
                (await ask_until_let_in(http, service, **members))[0].end for _ in range(questions)
            ]

        ends = await asyncio.gather(*map(converse, range(askers)))
        messages = await shown(http, both[0], name)

    contents = [message["content"] for message in messages]
    assert ends == [["finished"] * questions] * askers
    check_whole(messages)
    assert [_prompted(one.body) for one in script.requests] == [
        contents[:end] for end in range(1, 2 * (1 + askers * questions), 2)
    ]


def _prompted(body: Json) -> list[str]:
    return [turn["content"] for turn in body["messages"] if turn["role"] != "system"]


async def test_a_conversation_removed_at_one_service_is_answered_no_more_at_the_other(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    script, lease = Script(), 5
    script.always(Held().answer)
    url = await asyncio.to_thread(shared_url, tmp_path)
    async with (
        groq(script) as variables,
        two(tmp_path, url, variables, CLAIM_LEASE=str(lease)) as (one, other),
        http.post(f"{one.url}/api/chat/stream", json=asked()) as response,
    ):
        frames = frames_of(response)
        path = f"/api/conversations/{(await anext(frames)).data['conversation_id']}"
        async with http.delete(other.url + path) as removed:
            removed_at = time.monotonic()
        ended = [frame.data async for frame in frames][-1]
        waited = time.monotonic() - removed_at
        await script.disconnected(0)
        async with http.get(one.url + path) as gone:
            assert (removed.status, gone.status) == (204, 404)

    assert (ended["type"], ended["finish_reason"]) == ("finished", "cancelled")
    assert waited < lease / 5 + SLACK_SECONDS


# A service is killed.


async def test_what_a_killed_service_answered_is_kept_and_gone_on_from_within_the_lease(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    script, lease = Script(), 2
    text = "".join(f"{number} " for number in range(400))
    script.always(slow(text, seconds=0.02))
    heard: list[tuple[float, str]] = []
    url = await asyncio.to_thread(shared_url, tmp_path)
    async with (
        groq(script) as variables,
        two(tmp_path, url, variables, CLAIM_LEASE=str(lease)) as (one, other),
    ):
        async with http.post(f"{one.url}/api/chat/stream", json=asked()) as response:
            frames = frames_of(response)
            name = (await anext(frames)).data["conversation_id"]
            refused = await ask(http, other, conversation_id=name)
            while not heard or heard[-1][0] < heard[0][0] + 2:
                heard.append((time.monotonic(), str((await anext(frames)).data["content"])))
            killed = time.monotonic()
            one.process.kill()
        script.always(Text("and on"))
        told, let_in = await ask_until_let_in(http, other, conversation_id=name)
        messages = await shown(http, other, str(name))

    partial = str(messages[1]["content"])
    assert (refused.end, told.end) == (BUSY, "finished")
    assert let_in - killed < lease + SLACK_SECONDS
    check_whole(messages)
    assert [message["content"] for message in messages[::2]] == ["Hello", "Hello"]
    assert [message["status"] for message in messages[1::2]] == ["partial", "complete"]
    assert text.startswith(partial)
    assert partial.startswith("".join(word for at, word in heard if at < killed - 1))


# The database is away.


async def test_a_service_whose_database_is_away_starts_says_so_and_recovers(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    server, script = MongoServer(tmp_path / "mongo"), Script()
    script.always(Text("an answer"))
    started = time.monotonic()
    async with (
        groq(script) as variables,
        serving(tmp_path, CONVERSATION_STORE=server.url("late"), **variables) as service,
    ):
        served = time.monotonic()
        parts = await ready(http, service, 503)
        refused = await ask(http, service)
        answered = time.monotonic()
        unsaved = await ask(http, service, save_conversation=False)
        await asyncio.to_thread(server.start)
        try:
            await ready(http, service)
            saved = await ask(http, service)
            messages = await shown(http, service, saved.conversation_id)
        finally:
            server.kill()

    assert served - started < 8
    assert (parts["store"], parts["groq"]) == ("the conversation store is not open", "ok")
    assert answered - served < REFUSAL_SECONDS + SLACK_SECONDS
    assert refused.end == AWAY
    assert refused.problem["retry_after"] >= 1
    assert unsaved.end == "finished"
    check_kept(saved, messages)


async def test_a_database_that_is_killed_in_mid_answer_gets_the_answer_when_it_is_back(
    tmp_path: Path, http: aiohttp.ClientSession, server: MongoServer
) -> None:
    script, gate = Script(), asyncio.Event()
    words = [f"{number} " for number in range(50)]
    script.always(said("first ", Gate(gate), *words))
    async with (
        groq(script) as variables,
        two(tmp_path, server.url("killed"), variables, CLAIM_LEASE="1") as (one, other),
        http.post(f"{one.url}/api/chat/stream", json=asked()) as response,
    ):
        frames = frames_of(response)
        heard = [await anext(frames), await anext(frames)]
        server.kill()
        gate.set()
        while len(text_of(heard)) < len("first " + "".join(words)):
            heard.append(await anext(frames))
        killed = time.monotonic()
        refused = await asyncio.gather(*(ask(http, service) for service in (one, other)))
        waited = time.monotonic() - killed
        async with http.get(f"{one.url}/health/live") as live:
            alive = live.status
        await asyncio.to_thread(server.start)
        told = Told([*heard, *[frame async for frame in frames]])
        await ready(http, other)
        messages = await shown(http, other, told.conversation_id)
        script.always(Text("and on"))
        further, _ = await ask_until_let_in(http, other, conversation_id=told.conversation_id)

    assert [one.end for one in refused] == [AWAY, AWAY]
    assert waited < REFUSAL_SECONDS + SLACK_SECONDS
    assert alive == 200
    check_kept(told, messages)
    assert messages[1]["status"] == "complete"
    assert further.end == "finished"


async def test_a_database_that_stays_away_ends_an_answer_in_bounded_time_and_memory(
    tmp_path: Path, http: aiohttp.ClientSession, server: MongoServer
) -> None:
    script, held = Script(), Held()
    script.always(held.answer)
    variables = {"CONVERSATION_STORE": server.url("away"), "DRAIN_TIMEOUT": "1"}
    async with (
        groq(script) as of_groq,
        serving(tmp_path, **variables, **of_groq) as service,
        http.post(f"{service.url}/api/chat/stream", json=asked()) as response,
    ):
        frames = frames_of(response)
        heard = [await anext(frames), await anext(frames)]
        server.kill()
        killed = time.monotonic()
        held.let_go()
        refused = await asyncio.gather(*(ask(http, service) for _ in range(100)))
        told = Told([*heard, *[frame async for frame in frames]])
        waited = time.monotonic() - killed
        memory = _resident_bytes(service)
        refused += await asyncio.gather(*(ask(http, service) for _ in range(100)))
        grown = _resident_bytes(service) - memory
        async with http.get(f"{service.url}/health") as health:
            active = (await health.json())["active_runs"]
        await asyncio.to_thread(server.start)
        await ready(http, service)
        messages = await until_shown(
            http, service, told.conversation_id, lambda said: said[1]["status"] == "complete"
        )

    assert {one.end for one in refused} == {AWAY}
    assert (told.end, told.last["error"]["type"]) == ("failed", AWAY)
    assert waited < REFUSAL_SECONDS + SLACK_SECONDS
    assert active == 0
    assert grown < 10 * 2**20  # what Python's memory swings by
    assert messages[1]["content"] == held.text


def _resident_bytes(service: Process) -> int:
    status = Path(f"/proc/{service.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


# All of it.


@pytest.mark.parametrize("seed", range(1))
async def test_whatever_is_killed_what_was_told_to_be_finished_is_kept(
    tmp_path: Path, http: aiohttp.ClientSession, server: MongoServer, seed: int
) -> None:
    chance, script, lease = random.Random(seed), Script(), 2
    script.next(*(slow(f"answer number {n} in words", seconds=0.02) for n in range(2000)))
    async with AsyncExitStack() as stack, groq(script) as variables:
        variables |= {"CONVERSATION_STORE": server.url("load"), "CLAIM_LEASE": str(lease)}

        async def start() -> Process:
            return await stack.enter_async_context(serving(tmp_path, **variables))

        load = Load(http, [await start(), await start()], chance)
        async with asyncio.TaskGroup() as clients:
            for client in range(5):
                clients.create_task(load.converse(client))
            for victims in chance.sample(["database", "service", "database and service"], 3):
                await load.answered(chance.randint(3, 15))
                await asyncio.sleep(chance.random() / 3)
                number = chance.randrange(2)
                if "database" in victims:
                    server.kill()
                if "service" in victims:
                    load.services[number].process.kill()
                    load.services[number] = await start()
                if "database" in victims:
                    await asyncio.to_thread(server.start)
            await load.answered(5)
            load.stopped = True
        await asyncio.gather(*(ready(http, service) for service in load.services))
        for name in {told.conversation_id for told in load.finished}:
            await _check_conversation(load, name)
    # A lease; where the database was away, from the first renewal on that comes through, another.
    assert load.longest_busy < 2 * lease + ATTEMPT_SECONDS + SLACK_SECONDS


async def _check_conversation(load: Load, name: str) -> None:
    """It is whole, has all that was told, and can be gone on with at either service."""
    for service in load.services:
        told, _ = await ask_until_let_in(
            load.http, service, conversation_id=name, user_prompt=f"last at {service.url}"
        )
        load.finished.append(told)
    messages = await shown(load.http, load.services[0], name)
    prompts = [message["content"] for message in messages[::2]]
    check_whole(messages)
    assert len(set(prompts)) == len(prompts)
    assert not streaming(messages)
    for told in load.finished:
        if told.conversation_id == name:
            check_kept(told, messages)
