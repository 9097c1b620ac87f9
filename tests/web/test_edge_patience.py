"""How long is a connection waited for, and how many may there be?"""

import asyncio
from collections.abc import AsyncIterator

import pytest
from web.answering import GUARDS, answer_to, logged, response_on
from web.outside import (
    Held,
    chat_bytes,
    connections,
    exchange,
    later,
    request_bytes,
    until,
    wired,
)

from service.descriptors import SPARE, connections_in
from support import Running, running

GOOD = request_bytes("GET", "/health")


@pytest.fixture
async def hasty() -> AsyncIterator[Running]:
    async with running(HEADER_TIMEOUT="0.1") as service:
        yield service


@pytest.mark.parametrize("said", [b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: a\r\nX: "])
async def test_who_does_not_ask_in_time_is_dropped(hasty: Running, said: bytes) -> None:
    async with wired(hasty.client) as wire:
        await wire.send(said)

        assert await wire.rest() == b""


async def test_who_trickles_is_dropped_as_well(hasty: Running) -> None:
    async with wired(hasty.client) as wire:
        heard = asyncio.create_task(wire.rest())
        for byte in b"GET / HTTP/1.1\r\nX: " + b"a" * 1000:
            await wire.send(bytes([byte]))
            if heard in (await asyncio.wait({heard}, timeout=0.01))[0]:
                break

        assert heard.done()
        assert await heard == b""


async def test_who_has_asked_is_not(hasty: Running) -> None:
    held = Held()
    hasty.script.next(held.answer)
    upload = chat_bytes("/api/chat")

    async with wired(hasty.client) as stream, wired(hasty.client) as idle:
        async with wired(hasty.client) as uploading, hasty.client.ws_connect("/api/chat/ws") as ws:
            await stream.send(chat_bytes("/api/chat/stream"))
            await idle.send(GOOD)
            await uploading.send(upload[:-10])
            first = await response_on(idle)
            await _time_is_over(hasty)
            held.let_go()
            await idle.send(GOOD)
            again = await response_on(idle)
            await uploading.send(upload[-10:])
            uploaded = await response_on(uploading)
            streamed = await response_on(stream)
            await ws.send_str('{"type":"ping"}')
            heard = [(await ws.receive_json())["type"] for _ in range(2)]

    assert first
    assert again
    assert uploaded
    assert streamed
    assert [first.status, again.status, uploaded.status] == [200, 200, 200]
    assert b'"finished":true' in streamed.body
    assert heard == ["welcome", "pong"]


async def _time_is_over(served: Running) -> None:
    """Wait for as long as a client is waited for."""
    async with wired(served.client) as silent:
        await silent.rest()


async def test_between_two_requests_there_is_more_time_but_not_for_ever(
    served: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with wired(served.client) as wire:
        await wire.send(GOOD)
        await response_on(wire)
        await wire.send(b"GET /hea")
        later(monkeypatch, 76)
        await wire.send(b"l")

        assert await wire.rest() == b""


async def test_garbage_behind_a_request_does_not_spoil_its_answer(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)

    async with wired(served.client) as wire:
        await wire.send(chat_bytes("/api/chat/stream"))
        await wire.head()
        await wire.send(b"garbage\r\n\r\n")
        held.let_go()
        stream = await wire.rest()

    assert b'"finish_reason":"stop"' in stream
    assert stream.count(b"/problems/bad-request") == 1


# How many.


async def test_a_connection_too_many_is_told_so_and_the_next_one_has_its_place() -> None:
    async with running(MAX_CONNECTIONS="2") as served:
        with logged() as lines:
            async with wired(served.client) as first, wired(served.client) as second:
                await first.send(GOOD)
                await second.send(GOOD)
                answers = [await response_on(wire) for wire in (first, second)]
                refusals = [await answer_to(served) for _ in range(3)]
            await until(lambda: connections(served) == 0)
            after = await exchange(served.client, request_bytes("GET", "/health", version="1.0"))

    assert [answer and answer.status for answer in answers] == [200, 200]
    for refusal in refusals:
        assert refusal
        assert refusal.problem["type"] == "/problems/overloaded"
        assert refusal.headers["retry-after"] == "1"
        assert refusal.headers["connection"] == "close"
        assert GUARDS.items() <= refusal.headers.items()
    assert after[0] == 200
    told = [line for line in lines if line["event"] == "connections_refused"]
    assert [(line["most"], line["log_level"]) for line in told] == [(2, "warning")]


def test_room_is_left_for_what_the_service_opens_itself() -> None:
    assert connections_in(20_000, outgoing=1000) == 19_000 - SPARE
    assert connections_in(1024, outgoing=1000) == 512
