"""Frames that are not as RFC 6455 has them, byte by byte."""

import asyncio
import json
import random
import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from web.outside import Held, connections, exchange, until
from web.speaking import (
    PING,
    PONG,
    TEXT,
    RawPeer,
    check_whole,
    frame,
    handshake,
    of,
    raw,
    sockets_open,
    speaking,
    text_frame,
)

from support import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROTOCOL_ERROR, TOO_BIG = 1002, 1009
FIN = 0x80

BROKEN = {
    "opcode 3": frame(b"x", 0x83),
    "opcode 7": frame(b"x", 0x87),
    "opcode 11": frame(b"x", 0x8B),
    "opcode 15": frame(b"x", 0x8F),
    "reserved bit 1": frame(b"x", 0xC1),
    "reserved bit 2": frame(b"x", 0xA1),
    "reserved bit 3": frame(b"x", 0x91),
    "long ping": frame(b"x" * 126, FIN | PING),
    "long close": frame(b"x" * 126, FIN | 0x8),
    "fragmented ping": frame(b"x", PING),
    "continuation of nothing": frame(b"x", FIN | 0x0),
    "close of one byte": frame(b"\3", FIN | 0x8),
    "close with a code that is none": frame(struct.pack(">H", 999), FIN | 0x8),
    "a text within a text": frame(b"{", 0x1) + frame(b"{}", FIN | 0x1),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Running]:
    """One for all: nothing that is tried here may leave something behind."""
    async with running() as service:
        yield service


async def welcomed(peer: RawPeer) -> None:
    assert (await peer.hear_text())["type"] == "welcome"


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_frame_ends_its_socket_and_no_other(served: Running, data: bytes) -> None:
    held = Held()
    served.script.next(held.answer)

    async with speaking(served) as other:
        await other.chat("a")
        heard = await other.hear_to("delta")
        async with raw(served) as peer:
            await welcomed(peer)
            await peer.say(data)
            code = await peer.close_code()
        held.let_go()
        heard += await other.hear_end("a")
        await until(lambda: sockets_open(served) == 1)

    assert code == PROTOCOL_ERROR
    assert check_whole(heard) == "Hello"


async def test_a_close_whose_reason_is_not_utf_8_is_refused(served: Running) -> None:
    async with raw(served) as peer:
        await welcomed(peer)
        await peer.say(frame(struct.pack(">H", 1000) + b"\xff", FIN | 0x8))

        assert await peer.close_code() == 1007


async def test_text_that_is_not_utf_8_is_malformed_and_harms_nothing(served: Running) -> None:
    async with raw(served) as peer:
        await welcomed(peer)
        for data in (b"\xff\xfe", b'{"type":"\xff"}', b'{"type":"\xed\xa0\x80"}'):
            await peer.say(frame(data) + text_frame("ping"))
            error, pong = await peer.hear_text(), await peer.hear_text()

            assert (error["type"], error["id"]) == ("error", None)
            assert error["error"]["type"] == "/problems/malformed-json"
            assert pong == {"type": "pong"}


async def test_a_message_may_come_in_fragments_with_control_frames_between(
    served: Running,
) -> None:
    async with raw(served) as peer:
        await welcomed(peer)
        await peer.say(frame(b'{"ty', TEXT))
        await peer.say(frame(b"between", FIN | PING))
        await peer.say(frame(b"", 0x0) + frame(b'pe":"pi', 0x0) + frame(b'ng"}', FIN | 0x0))

        assert await peer.hear() == (PONG, b"between")
        assert await peer.hear_text() == {"type": "pong"}


async def test_a_ping_is_answered_with_its_own_data(served: Running) -> None:
    async with raw(served) as peer:
        await welcomed(peer)
        for data in (b"", b"\x00\xff", b"x" * 125):
            await peer.say(frame(data, FIN | PING))

            assert await peer.hear() == (PONG, data)


async def test_a_pong_that_nobody_asked_for_is_passed_over(served: Running) -> None:
    async with raw(served) as peer:
        await welcomed(peer)
        await peer.say(frame(b"x", FIN | PONG) * 3 + text_frame("ping"))

        assert await peer.hear_text() == {"type": "pong"}


@pytest.mark.parametrize("seed", range(5))
async def test_bytes_may_come_in_any_pieces(served: Running, seed: int) -> None:
    chance = random.Random(seed)
    held = Held()
    served.script.next(held.answer)
    request = {"model": "openai/gpt-oss-20b", "user_prompt": "Ü" * 200}
    data = text_frame("ping") + text_frame("chat", id="a", request=request) + text_frame("ping")

    async with raw(served) as peer:
        await welcomed(peer)
        while data:
            size = chance.randint(1, 60)
            await peer.say(data[:size])
            await asyncio.sleep(0)
            data = data[size:]
        held.let_go()
        heard = [await peer.hear_text()]
        while heard[-1]["type"] != "finished":
            heard.append(await peer.hear_text())

    assert [message for message in heard if message["type"] == "pong"] == 2 * [{"type": "pong"}]
    assert check_whole(of(heard, "a")) == "Hello"


LIMIT = 2048
HEAD = {
    "a length of 16 bits": struct.pack(">BBH", 0x81, 0x80 | 126, LIMIT + 1),
    "a length of 64 bits": struct.pack(">BBQ", 0x81, 0x80 | 127, LIMIT + 1),
    "the longest length": struct.pack(">BBQ", 0x81, 0x80 | 127, 2**63 - 1),
    "a length that is none": struct.pack(">BBQ", 0x81, 0x80 | 127, 2**64 - 1),
    "two fragments": frame(b"x" * LIMIT, TEXT) + frame(b"x", FIN | 0x0),
    "a binary one": struct.pack(">BBH", 0x82, 0x80 | 126, LIMIT + 1),
}


@pytest.mark.parametrize("data", HEAD.values(), ids=HEAD.keys())
async def test_a_message_too_big_is_refused_before_it_is_read(data: bytes) -> None:
    async with running(MAX_BODY_BYTES=str(LIMIT)) as served, raw(served) as peer:
        await welcomed(peer)
        await peer.say(data)

        assert await peer.close_code() == TOO_BIG


async def test_a_message_of_exactly_the_limit_is_read() -> None:
    async with running(MAX_BODY_BYTES=str(LIMIT)) as served, raw(served) as peer:
        await welcomed(peer)
        await peer.say(frame(b'{"type":"ping"}'.ljust(LIMIT)))

        assert await peer.hear_text() == {"type": "pong"}


@pytest.mark.parametrize(
    "data", [b"\x81", b"\x81\xfe\x00", frame(b"x" * 100)[:50], b"\x01\x80abcd"]
)
async def test_half_a_frame_and_then_silence_is_dropped(data: bytes) -> None:
    async with running(SOCKET_PING_INTERVAL="0.05") as served:
        async with raw(served) as peer:
            await welcomed(peer)
            await peer.say(data)
            await peer.wire.rest()
            await until(lambda: sockets_open(served) == 0)
        await until(lambda: connections(served) == 0)


async def test_a_frame_cut_in_the_middle_by_the_end_is_the_end(served: Running) -> None:
    async with raw(served) as peer:
        await welcomed(peer)
        await peer.say(text_frame("ping")[:-1])
        peer.wire.writer.write_eof()
        await peer.wire.rest()
        await until(lambda: sockets_open(served) == 0)


@pytest.mark.parametrize("seed", range(10))
async def test_noise_harms_nobody(served: Running, seed: int) -> None:
    noise = random.Random(seed).randbytes(3000)

    async with speaking(served) as other:
        async with raw(served) as peer:
            await welcomed(peer)
            await peer.say(noise)
        await other.nothing_more()
        await until(lambda: sockets_open(served) == 1)


async def test_frames_without_a_mask_are_read_or_refused_but_harm_nothing(
    served: Running,
) -> None:
    """RFC 6455, 5.1 wants them refused; aiohttp reads them."""
    async with raw(served) as peer:
        await welcomed(peer)
        await peer.say(frame(b'{"type":"ping"}', mask=None))

        assert await peer.hear_text() == {"type": "pong"}


# The handshake.


@pytest.mark.parametrize(
    "wrong",
    [
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
    ],
)
async def test_what_is_no_handshake_is_told_so(served: Running, wrong: bytes) -> None:
    request = handshake().replace(wrong + b"\r\n", b"X-Nothing: there\r\n")
    request = request.replace(b"\r\n\r\n", b"\r\nX-Request-Id: abc\r\n\r\n")

    async with served.client.get("/health/live"):
        status, head, body = await exchange(served.client, closing(request))

    assert status == 422
    assert b"application/problem+json" in head
    assert json.loads(body)["errors"][0]["pointer"] == "#/headers/Upgrade"


def closing(request: bytes) -> bytes:
    """The same request, whose connection ends with its answer."""
    if b"Connection: " in request:
        return request.replace(b"Connection: Upgrade", b"Connection: Upgrade, close")
    return request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


async def test_compression_is_not_offered(served: Running) -> None:
    async with raw(served, "Sec-WebSocket-Extensions: permessage-deflate") as peer:
        await welcomed(peer)
        await peer.say(frame(b"x", 0xC1))

        assert await peer.close_code() == PROTOCOL_ERROR
