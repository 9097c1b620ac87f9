import asyncio

import pytest
from aiohttp import WSMsgType
from web.outside import Held, Json, begun, connections, ended, start, state_of, until
from web.speaking import (
    LARGE,
    PING,
    check_whole,
    frame,
    large,
    of,
    raw,
    sockets_open,
    speaking,
    stuck,
    text_frame,
)

from service.web.keys import SOCKETS
from support import Running, running

BAD_MESSAGES, GOING_AWAY = 4400, 1001
SOON = "0.05"


# Bad messages.


async def test_three_unreadable_messages_in_a_row_close(served: Running) -> None:
    async with speaking(served) as peer:
        await peer.socket.send_str("{")
        await peer.socket.send_str("[]")
        await peer.socket.send_bytes(b"{}")
        errors = [await peer.hear() for _ in range(3)]

        assert await peer.closed() == BAD_MESSAGES
    assert [error["error"]["type"] for error in errors] == 3 * ["/problems/malformed-json"]


async def test_a_readable_one_between_begins_the_count_anew(served: Running) -> None:
    async with speaking(served) as peer:
        for _ in range(4):
            await peer.socket.send_str("{")
            await peer.socket.send_str("{")
            await peer.say("what")
            assert [(await peer.hear())["type"] for _ in range(3)] == 3 * ["error"]
        await peer.nothing_more()


async def test_refused_messages_are_not_unreadable_ones(served: Running) -> None:
    async with speaking(served) as peer:
        for _ in range(5):
            await peer.say("what")
            await peer.hear()
        await peer.nothing_more()


async def test_pings_between_unreadable_messages_change_nothing(served: Running) -> None:
    async with raw(served) as peer:
        await peer.hear_text()
        await peer.say((frame(b"x") + frame(b"", 0x80 | PING)) * 3)

        assert await peer.close_code() == BAD_MESSAGES


# The peer closes.


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_a_close_is_answered(served: Running, code: int) -> None:
    async with speaking(served) as peer:
        await peer.socket.close(code=code)

        assert peer.socket.close_code == 1000
        await until(lambda: (sockets_open(served), connections(served)) == (0, 0))


async def test_what_is_said_after_a_close_is_not_heard(served: Running) -> None:
    async with raw(served) as peer:
        await peer.hear_text()
        await peer.say(frame(b"\x03\xe8", 0x88) + text_frame("chat", id="a", request={}))

        assert await peer.close_code() == 1000
        assert await peer.wire.rest() == b""


# The service goes away.


async def test_draining_is_told_to_all_and_runs_go_on(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)

    async with speaking(served) as peer, speaking(served) as idle:
        await peer.chat("a")
        await peer.hear_to("delta")
        drained = asyncio.create_task(served.service.chat.drain(10))
        served.service.app[SOCKETS].announce_draining()
        told = [await peer.hear(), await idle.hear()]
        await until(lambda: served.service.chat.draining)
        await idle.chat("b")
        refused = await idle.hear()
        held.let_go()
        heard = await peer.hear_end("a")
        await drained

    assert [set(message) for message in told] == 2 * [{"type", "retry_after"}]
    assert [message["type"] for message in told] == 2 * ["draining"]
    assert all(0 < message["retry_after"] < 10 for message in told)
    assert refused["error"]["type"] == "/problems/draining"
    assert heard[-1]["finish_reason"] == "stop"


async def test_who_comes_while_the_service_drains_is_told_at_once(served: Running) -> None:
    served.service.app[SOCKETS].announce_draining()

    async with speaking(served) as peer:
        told = await peer.hear()

    assert told["type"] == "draining"


async def test_when_the_service_stops_every_socket_closes_with_1001(served: Running) -> None:
    async with speaking(served) as first, speaking(served) as second:
        async with asyncio.timeout(5):
            stopping = asyncio.create_task(served.client.server.close())
            codes = [await first.closed(), await second.closed()]
            await stopping

    assert codes == [GOING_AWAY, GOING_AWAY]


async def test_interrupted_runs_are_told_before_1001(served: Running) -> None:
    served.script.next(Held().answer)

    async with speaking(served) as peer:
        await peer.chat("a")
        await peer.hear_to("delta")
        await served.service.chat.drain(0)
        stopping = asyncio.create_task(served.client.server.close())
        failed = await peer.hear()
        code = await peer.closed()
        await stopping

    assert (failed["type"], failed["error"]["type"]) == ("failed", "/problems/interrupted")
    assert code == GOING_AWAY


async def test_what_is_on_its_way_goes_before_1001(served: Running) -> None:
    served.script.next(large())
    run_id = await start(served)
    await ended(served, run_id)

    ids = ["a", "b", "c", "d"]
    async with speaking(served) as peer:
        for reader_id in ids:
            await peer.say("resume", id=reader_id, run_id=run_id)
        await until(
            lambda: any(one.writing_paused for one in served.client.server.handler.connections)
        )
        stopping = asyncio.create_task(served.client.server.close())
        heard = await peer.hear_end(*ids)
        code = await peer.closed()
        await stopping

    for reader_id in ids:
        assert check_whole(of(heard, reader_id)[1:]) == LARGE
    assert code == GOING_AWAY


async def test_peers_that_take_nothing_do_not_hold_up_the_end(served: Running) -> None:
    served.script.next(large())
    run_id = await start(served)
    await ended(served, run_id)
    resume = text_frame("resume", id="a", run_id=run_id)

    async with stuck(served, resume), stuck(served, resume + text_frame("ping") * 20):
        await until(lambda: sockets_open(served) == 2)
        await served.client.get("/health/live")
        async with asyncio.timeout(10):
            await served.client.server.close()

    assert sockets_open(served) == 0


# The heartbeat.


async def test_a_peer_that_says_nothing_is_pinged_and_dropped() -> None:
    async with running(SOCKET_PING_INTERVAL=SOON) as served:
        async with speaking(served, autoping=False) as peer:
            first = await peer.socket.receive(timeout=5)
            closed = await peer.closed()
        await until(lambda: (sockets_open(served), connections(served)) == (0, 0))

    assert first.type is WSMsgType.PING
    assert closed == 1006


async def test_a_peer_is_silent_for_no_longer_than_two_intervals() -> None:
    async with running(SOCKET_PING_INTERVAL="1") as served, raw(served) as peer:
        loop = asyncio.get_running_loop()
        await peer.hear_text()
        await asyncio.sleep(1.25)
        await peer.say(frame(b"", 0x8A))
        said_at = loop.time()
        await peer.wire.rest()

        assert 1.9 <= loop.time() - said_at < 2.7


@pytest.mark.parametrize("sign", [frame(b"", 0x8A), frame(b"x", 0x89), text_frame("ping")])
async def test_any_sign_of_life_keeps_the_socket(sign: bytes) -> None:
    # Several intervals, and far more than one between two signs on a machine that is busy.
    async with running(SOCKET_PING_INTERVAL="0.8") as served, raw(served) as peer:
        for _ in range(24):
            await asyncio.sleep(0.1)
            await peer.say(sign)

        assert sockets_open(served) == 1


async def test_a_client_that_answers_pings_stays_without_a_word() -> None:
    async with running(SOCKET_PING_INTERVAL="0.2") as served, speaking(served) as peer:
        listening = asyncio.create_task(peer.hear())
        await asyncio.sleep(0.6)
        assert sockets_open(served) == 1
        served.service.app[SOCKETS].announce_draining()

        assert (await listening)["type"] == "draining"


async def test_who_vanishes_stops_reading_and_its_run_is_cancelled() -> None:
    async with running(SOCKET_PING_INTERVAL="0.3", DISCONNECT_GRACE="0") as served:
        served.script.next(Held().answer)
        async with speaking(served, autoping=False) as peer:
            await peer.chat("a", on_disconnect="cancel")
            (started, *_) = await peer.hear_to("delta")
            await served.script.disconnected(0)
            state = await ended(served, started["run_id"])

    assert (state["status"], state["content"]) == ("cancelled", "Hel")


async def test_who_vanishes_from_a_saved_run_finds_it_whole() -> None:
    held = Held()
    async with running(SOCKET_PING_INTERVAL=SOON) as served:
        served.script.next(held.answer)
        async with raw(served) as peer:
            await peer.say(text_frame("chat", id="a", request=HELLO))
            await served.script.request_count(1)
            await until(lambda: sockets_open(served) == 0)
        (run,) = served.service.chat.runs.active()
        await begun(served, run.run_id, held.first)
        held.let_go()
        state: Json = await ended(served, run.run_id)
        assert await state_of(served, run.run_id) == state

    assert (state["status"], state["content"]) == ("finished", "Hello")


HELLO = {"model": "openai/gpt-oss-20b", "user_prompt": "Hello"}
