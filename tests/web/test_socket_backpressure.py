"""Peers that read slowly, or not at all."""

import asyncio
import tracemalloc
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress

from aiohttp.web import RequestHandler
from web.outside import Held, Json, ended, said, start, until
from web.speaking import (
    CLOSE,
    LARGE,
    PING,
    TERMINAL,
    RawPeer,
    check_whole,
    frame,
    large,
    of,
    said_in,
    sockets_open,
    speaking,
    stuck,
    text_frame,
)

from service.simulator import Gate, Raw, in_pieces, stream_of
from support import Running, running

RUNS = 16
TURN = 64 * 1024
"""Bytes that a run has written before it is the next one's turn."""


async def large_run(served: Running) -> str:
    """The id of an ended run with more text than the kernel keeps for a connection."""
    served.script.next(large())
    run_id = await start(served)
    await ended(served, run_id)
    return run_id


def unlimited() -> AbstractAsyncContextManager[Running]:
    """A service that takes any number of messages."""
    return running(SOCKET_MESSAGES_PER_SECOND="1000000", SOCKET_MESSAGES_BURST="1000000")


def resumes(run_id: str, count: int = RUNS) -> bytes:
    """Messages that read a run under so many ids."""
    return b"".join(text_frame("resume", id=f"r{number}", run_id=run_id) for number in range(count))


def links(served: Running) -> list[RequestHandler]:
    """The connections of the service."""
    return served.client.server.handler.connections


async def turns(served: Running) -> None:
    """Let the service do what it would do."""
    for _ in range(50):
        await served.client.get("/health/live")


async def test_a_fast_answer_does_not_wait_for_long_ones(served: Running) -> None:
    run_id = await large_run(served)
    held = Held()
    served.script.next(held.answer)
    long = [f"long{number}" for number in range(4)]

    async with speaking(served) as peer:
        await peer.chat("short")
        heard = await peer.hear_to("delta")
        for reader_id in long:
            await peer.say("resume", id=reader_id, run_id=run_id)
        held.let_go()
        await until(lambda: served.service.chat.runs.active_count == 0)
        heard += await peer.hear_end("short", *long)

    ends = [one["id"] for one in heard if one["type"] == "finished"]
    assert ends[0] == "short"
    assert check_whole(of(heard, "short")) == held.text
    for reader_id in long:
        assert check_whole(of(heard, reader_id)[1:]) == LARGE


async def test_long_answers_advance_side_by_side(served: Running) -> None:
    run_id = await large_run(served)
    got = dict.fromkeys(["r0", "r1", "r2", "r3"], 0)

    async with speaking(served) as peer:
        for reader_id in got:
            await peer.say("resume", id=reader_id, run_id=run_id)
        await peer.hear_to("resumed", "r3")
        message = await peer.hear()
        while message["type"] not in TERMINAL:
            got[message["id"]] += len(message.get("content", ""))
            message = await peer.hear()

    assert max(got.values()) > 8 * TURN
    assert max(got.values()) - min(got.values()) <= 2 * TURN


async def test_a_stuck_peer_with_many_runs_holds_little(served: Running) -> None:
    run_id = await large_run(served)

    tracemalloc.start()
    async with stuck(served, resumes(run_id)):
        await until(lambda: sockets_open(served) == 1)
        await turns(served)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert held < 1024 * 1024


async def test_a_stuck_peer_slows_nobody(served: Running) -> None:
    served.script.next(large(), said("quick"))

    async with AsyncExitStack() as stack:
        chat = text_frame(
            "chat", id="a", request={"model": "openai/gpt-oss-20b", "user_prompt": "Hello"}
        )
        await stack.enter_async_context(stuck(served, chat))
        await served.script.finished(0)
        peer = await stack.enter_async_context(speaking(served))
        await peer.chat("b")
        heard = await peer.hear_end("b")
        await until(lambda: served.service.chat.runs.active_count == 0)

    assert check_whole(heard) == "quick"


async def test_a_peer_that_takes_nothing_is_dropped_in_time_and_resumes_exactly() -> None:
    async with running(SEND_TIMEOUT="0.3") as served:
        run_id = await large_run(served)

        async with stuck(served, resumes(run_id, 1)) as peer:
            await until(lambda: sockets_open(served) == 1)
            await until(lambda: sockets_open(served) == 0)
            heard = await heard_until_the_cut(peer)
        async with speaking(served) as second:
            await second.say("resume", id="r0", run_id=run_id, after=heard[-1]["seq"])
            await second.hear()
            rest = await second.hear_end("r0")

    events = [one for one in heard if "seq" in one]
    assert len(said_in(events)) < len(LARGE)
    assert check_whole(events + rest) == LARGE


async def test_a_run_that_nobody_else_reads_is_cancelled_with_its_stuck_peer() -> None:
    gate = asyncio.Event()
    stream = in_pieces(b"".join(stream_of(LARGE, 2**14)), 2**16)
    async with running(SEND_TIMEOUT="0.2", DISCONNECT_GRACE="0") as served:
        served.script.next(Raw([*stream[:-1], Gate(gate)]))
        request = {
            "model": "openai/gpt-oss-20b",
            "user_prompt": "Hello",
            "save_conversation": False,
        }
        async with stuck(served, text_frame("chat", id="a", request=request)):
            await served.script.disconnected(0)

    assert not gate.is_set()


async def test_a_flood_from_a_peer_that_reads_nothing_is_not_gathered() -> None:
    """Each message has an answer of a kilobyte, and nobody takes them."""
    message = text_frame("chat", id="a", request={"x" * 90 + str(n): 1 for n in range(190)})
    flood = message * 500
    async with unlimited() as served:
        tracemalloc.start()
        async with stuck(served) as peer:
            saying = asyncio.create_task(peer.say(flood))
            await until(lambda: sockets_open(served) == 1)
            await turns(served)
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            stalled = not saying.done()
            saying.cancel()

    assert stalled
    assert held < len(flood) + 1024 * 1024  # the client's own copy, and little more


async def test_pings_that_nobody_reads_are_not_gathered() -> None:
    flood = frame(b"x" * 100, 0x80 | PING) * 20_000
    async with unlimited() as served:
        run_id = await large_run(served)
        async with stuck(served, resumes(run_id, 1)) as peer:
            await until(lambda: sockets_open(served) == 1)
            await turns(served)
            tracemalloc.start()
            saying = asyncio.create_task(peer.say(flood))
            await turns(served)
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            saying.cancel()

    assert held < len(flood) + 1024 * 1024


async def test_a_peer_that_is_not_listened_to_is_not_taken_for_silent() -> None:
    """It asked for something while much was on its way, and may take it within SEND_TIMEOUT."""
    async with running(SOCKET_PING_INTERVAL="0.4", SEND_TIMEOUT="9") as served:
        run_id = await large_run(served)
        async with stuck(served, resumes(run_id, 1)) as peer:
            await until(lambda: any(one.writing_paused for one in links(served)))
            await peer.say(text_frame("ping") * 2)
            await asyncio.sleep(1)

            assert sockets_open(served) == 1


async def test_a_peer_that_closes_and_takes_nothing_leaves_no_connection(served: Running) -> None:
    run_id = await large_run(served)

    async with stuck(served) as peer:
        await until(lambda: sockets_open(served) == 1)
        for link in links(served):
            if link.transport:  # so that all is handed over, and nobody waits for room
                link.transport.set_write_buffer_limits(2 * len(LARGE))
        await peer.say(resumes(run_id, 1))
        await turns(served)
        await peer.say(frame(b"\x03\xe8", 0x80 | CLOSE))

        await until(lambda: len(links(served)) == 1)


async def test_a_peer_that_reads_a_word_at_a_time_gets_every_word(served: Running) -> None:
    held = [Held(first=f"{n}" * 100, rest="x" * 100) for n in range(5)]
    served.script.next(*(one.answer for one in held))

    async with speaking(served) as peer:
        for number in range(5):
            await peer.chat(f"r{number}")
        heard: list[Json] = []
        for one in held:
            one.let_go()
        while sum(one["type"] == "finished" for one in heard) < 5:
            heard.append(await peer.hear())
            await asyncio.sleep(0)

    texts = {check_whole(of(heard, f"r{number}")) for number in range(5)}
    assert texts == {one.text for one in held}


async def heard_until_the_cut(peer: RawPeer) -> list[Json]:
    """Whole messages that still come from a connection that has ended."""
    heard: list[Json] = []
    with suppress(asyncio.IncompleteReadError, ConnectionResetError):
        while True:
            heard.append(await peer.hear_text())
    return heard
