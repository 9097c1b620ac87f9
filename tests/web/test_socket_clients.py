"""Clients that are not aiohttp's: Python's websockets, and Node's ws."""

import asyncio
import hashlib
import json
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from web.outside import Held, Json, asked, ended, start, until
from web.speaking import check_whole, of, sockets_open
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from service.simulator import Pause, Raw, in_pieces, stream_of
from support import Running, running

NODE = Path(__file__).parent.parent / "node"
SUBPROTOCOL = "ai-library.v1"
TEXT = "Über 世界 👩‍👩‍👧\n" * 20


def url(served: Running) -> str:
    return f"ws://{served.client.host}:{served.client.port}/api/chat/ws"


def slowly(text: str) -> Raw:
    pieces = in_pieces(b"".join(stream_of(text, 4)), 1000)
    return Raw([part for piece in pieces for part in (piece, Pause(0.001))])


@asynccontextmanager
async def connected(served: Running, **options: object) -> AsyncIterator[ClientConnection]:
    """A client of Python's websockets that has been welcomed."""
    async with connect(url(served), proxy=None, **options) as client:  # type: ignore[arg-type]
        assert (await hear(client))["type"] == "welcome"
        yield client


async def hear(client: ClientConnection) -> Json:
    async with asyncio.timeout(10):
        data = await client.recv()
    assert isinstance(data, str)
    message: Json = json.loads(data)
    return message


async def say(client: ClientConnection, kind: str, **members: object) -> None:
    await client.send(json.dumps({"type": kind} | members))


# Python's websockets.


async def test_websockets_reads_runs_side_by_side(served: Running) -> None:
    served.script.always(slowly(TEXT))

    async with connected(served, subprotocols=[SUBPROTOCOL]) as client:
        for number in range(5):
            await say(client, "chat", id=f"r{number}", request=asked())
        heard: list[Json] = []
        while sum(one["type"] == "finished" for one in heard) < 5:
            heard.append(await hear(client))
        protocol = client.subprotocol

    assert protocol == SUBPROTOCOL
    assert [check_whole(of(heard, f"r{number}")) for number in range(5)] == 5 * [TEXT]


async def test_websockets_own_pings_are_answered_and_count_as_no_fault() -> None:
    async with running(SOCKET_PING_INTERVAL="0.2") as served:
        async with connected(served, ping_interval=0.02, ping_timeout=5) as client:
            for _ in range(8):
                await (await client.ping())
            await asyncio.sleep(0.5)
            await say(client, "ping")

            assert await hear(client) == {"type": "pong"}


async def test_websockets_may_send_fragments_and_compression_is_declined(served: Running) -> None:
    async with connected(served, compression="deflate") as client:
        await client.send(['{"ty', 'pe":', '"ping"}'])

        assert await hear(client) == {"type": "pong"}
        assert client.protocol.extensions == []


async def test_websockets_sees_the_codes_of_a_close(served: Running) -> None:
    async with connected(served) as client:
        for _ in range(3):
            await client.send(b"binary")
        errors = [await hear(client) for _ in range(3)]
        with pytest.raises(ConnectionClosedError) as caught:
            await hear(client)

    assert [error["type"] for error in errors] == 3 * ["error"]
    assert caught.value.rcvd
    assert caught.value.rcvd.code == 4400


async def test_websockets_sees_1001_when_the_service_stops(served: Running) -> None:
    async with connected(served) as client:
        stopping = asyncio.create_task(served.client.server.close())
        with pytest.raises(ConnectionClosed) as caught:
            await hear(client)
        await stopping

    assert caught.value.rcvd
    assert caught.value.rcvd.code == 1001


async def test_websockets_sees_1009_for_a_message_too_big() -> None:
    async with running(MAX_BODY_BYTES="2048") as served, connected(served) as client:
        await client.send("x" * 2049)
        with pytest.raises(ConnectionClosedError) as caught:
            await hear(client)

    assert caught.value.rcvd
    assert caught.value.rcvd.code == 1009


@pytest.mark.parametrize("seed", range(3))
async def test_websockets_resumes_after_cuts(served: Running, seed: int) -> None:
    chance = random.Random(seed)
    served.script.next(slowly(TEXT))
    run_id = await start(served)
    text, after, done, cuts = "", -1, False, 0

    while not done:
        cuts += 1
        async with connected(served) as client:
            await say(client, "resume", id="a", run_id=run_id, after=after)
            assert (await hear(client))["after"] == after
            for _ in range(chance.randint(1, 12)):
                event = await hear(client)
                assert event["seq"] == after + 1
                text, after, done = text + event.get("content", ""), event["seq"], event["finished"]
                if done:
                    break
            client.transport.abort()

    assert text == TEXT
    assert cuts > 1


async def test_websockets_that_vanishes_leaves_its_run(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    async with connected(served) as client:
        await say(client, "chat", id="a", request=asked())
        run_id = (await hear(client))["run_id"]
        client.transport.abort()
    await until(lambda: sockets_open(served) == 0)
    held.let_go()

    assert (await ended(served, run_id))["content"] == "Hello"


# Node's ws.


@pytest.mark.servers
@pytest.mark.parametrize(("runs", "events"), [(1, 3), (5, 20), (8, 9)])
async def test_ws_of_node_resumes_all_its_runs_exactly(
    served: Running, runs: int, events: int
) -> None:
    served.script.always(slowly(TEXT))

    told = await node("talk.mjs", url(served), str(runs), str(events))

    assert (told["protocol"], told["code"]) == (SUBPROTOCOL, 1000)
    assert len(told["runs"]) == runs
    assert len(served.script.requests) == runs
    for run in told["runs"].values():
        assert run["text"] == TEXT
        assert run["end"]["content_sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()


@pytest.mark.servers
async def test_ws_of_node_keeps_its_socket_by_pongs_alone() -> None:
    held = Held()
    async with running(SOCKET_PING_INTERVAL="0.4") as served:
        served.script.next(held.answer)
        talking = asyncio.create_task(node("talk.mjs", url(served), "1", "1000"))
        await served.script.request_count(1)
        await asyncio.sleep(1)
        held.let_go()
        told = await talking

    assert told["runs"]["r0"]["text"] == held.text


async def node(script: str, *arguments: str) -> Json:
    """What a script prints; it must end by itself."""
    program = shutil.which("node")
    assert program, "Node is missing: .ci/programs installs it"
    assert (NODE / "node_modules").is_dir(), "run `npm ci` in tests/node, as `make test` does"
    process = await asyncio.create_subprocess_exec(
        program,
        NODE / script,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    told: Json = json.loads(out)
    return told
