import asyncio
from contextlib import AsyncExitStack

import pytest
from web.outside import Held, Json, faults_of, problem_of, said, until
from web.speaking import PATH, frame, handshake, raw, sockets_open, speaking, text_frame

from support import running

TOO_MANY_MESSAGES = 4429


# Runs.


async def test_a_socket_reads_so_many_runs_and_a_place_is_free_again() -> None:
    held = [Held(), Held()]
    async with running(SOCKET_MAX_RUNS="2") as served, speaking(served) as peer:
        served.script.next(*(one.answer for one in held), said("third"))
        await peer.chat("a")
        await peer.hear_to("delta")
        await peer.chat("b")
        heard = await peer.hear_to("delta")

        await peer.chat("c")
        error = await peer.hear()
        await peer.say("resume", id="c", run_id=heard[0]["run_id"])
        again = await peer.hear()
        held[0].let_go()
        await peer.hear_end("a")
        await peer.chat("c")
        await peer.hear_end("c")
        await peer.say("leave", id="b")
        await peer.hear_to("left")
        await peer.say("resume", id="d", run_id=heard[0]["run_id"])
        resumed = await peer.hear()

    for message in (error, again):
        assert (message["type"], message["id"]) == ("error", "c")
        assert message["error"]["type"] == "/problems/rate-limited"
        assert message["error"]["retry_after"] > 0
    assert resumed["type"] == "resumed"
    assert len(served.script.requests) == 3


async def test_a_refused_run_takes_no_place() -> None:
    async with running(SOCKET_MAX_RUNS="1") as served, speaking(served) as peer:
        await peer.chat("a", model="nope")
        await peer.hear_to("error")
        await peer.chat("a", conversation_id="nope")
        await peer.hear_to("error")

        await peer.chat("a")
        heard = await peer.hear_end("a")

    assert heard[-1]["type"] == "finished"


# Messages.


async def test_a_burst_is_answered_and_one_more_closes() -> None:
    async with (
        running(SOCKET_MESSAGES_PER_SECOND="1", SOCKET_MESSAGES_BURST="5") as served,
        raw(served) as peer,
    ):
        await peer.hear_text()
        await peer.say(text_frame("ping") * 6)
        pongs = [await peer.hear_text() for _ in range(5)]

        assert await peer.close_code() == TOO_MANY_MESSAGES
    assert pongs == 5 * [{"type": "pong"}]


async def test_a_steady_rate_is_allowed_for_ever() -> None:
    async with (
        running(SOCKET_MESSAGES_PER_SECOND="1000", SOCKET_MESSAGES_BURST="2") as served,
        speaking(served) as peer,
    ):
        for _ in range(30):
            await peer.say("ping")
            await asyncio.sleep(0.003)

        assert [await peer.hear() for _ in range(30)] == 30 * [{"type": "pong"}]


@pytest.mark.parametrize("first", [0x89, 0x8A, 0x82], ids=["ping", "pong", "binary"])
async def test_frames_of_every_kind_count(first: int) -> None:
    async with (
        running(SOCKET_MESSAGES_PER_SECOND="1", SOCKET_MESSAGES_BURST="2") as served,
        raw(served) as peer,
    ):
        await peer.say(frame(b"x", first) * 3)

        assert await peer.close_code() == TOO_MANY_MESSAGES


async def test_too_many_messages_end_no_run_and_no_other_socket() -> None:
    held = Held()
    async with running(SOCKET_MESSAGES_BURST="5") as served, speaking(served) as other:
        served.script.next(held.answer)
        async with speaking(served) as peer:
            await peer.chat("a")
            (started, *_) = await peer.hear_to("delta")
            for _ in range(10):
                await peer.say("ping")
            assert await peer.closed() == TOO_MANY_MESSAGES
        await other.say("resume", id="b", run_id=started["run_id"], after=1)
        await other.hear_to("resumed")
        held.let_go()
        heard = await other.hear_end("b")

    assert heard[0]["content"] == "lo"


# Sockets.


async def test_there_are_so_many_sockets_in_all() -> None:
    async with running(MAX_SOCKETS="2") as served, AsyncExitStack() as stack:
        first = await stack.enter_async_context(speaking(served))
        await stack.enter_async_context(speaking(served))
        async with served.client.get(PATH, headers=upgrade()) as response:
            problem = await problem_of(response, 503, "overloaded")
        await first.socket.close()
        await until(lambda: sockets_open(served) == 1)

        async with speaking(served) as peer:
            await peer.nothing_more()

    assert problem["retry_after"] > 0
    assert response.headers["Retry-After"]


async def test_there_are_so_many_from_one_address() -> None:
    async with running(MAX_SOCKETS_PER_ADDRESS="1") as served:
        async with speaking(served) as first:
            async with served.client.get(PATH, headers=upgrade()) as response:
                await problem_of(response, 429, "rate-limited")
            first.cut()
            await until(lambda: sockets_open(served) == 0)

        async with speaking(served) as peer:
            await peer.nothing_more()


async def test_a_handshake_that_is_refused_takes_no_place() -> None:
    problem: Json = {}
    async with running(MAX_SOCKETS="1") as served:
        for _ in range(3):
            async with served.client.get(PATH) as response:
                problem = await problem_of(response, 422, "validation-error")
            async with served.client.get(PATH, headers=upgrade("http://evil.example")) as response:
                await problem_of(response, 403, "forbidden")

        async with speaking(served) as peer:
            await peer.nothing_more()

    assert faults_of(problem).keys() == {"#/headers/Upgrade"}


def upgrade(origin: str | None = None) -> dict[str, str]:
    """Headers of a handshake, for a client that does not go on from it."""
    lines = handshake().decode().split("\r\n")[2:-2]
    named = dict(line.split(": ", 1) for line in lines)
    return named | ({"Origin": origin} if origin else {})
