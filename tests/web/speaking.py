"""How does a client talk on the socket? With messages of the contract, each waited for."""

import asyncio
import base64
import hashlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiohttp import ClientWebSocketResponse, WSMessageTypeError, WSMsgType
from attrs import define, field, frozen
from web.outside import PATIENCE_SECONDS, Json, Wire, asked, wired

from service.simulator import Raw, in_pieces, stream_of
from service.web.keys import SOCKETS
from support import Running

PATH = "/api/chat/ws"
LARGE = "0123456789abcdef" * 3 * 2**17
"""6 MiB: more than the kernel keeps for a connection."""
TERMINAL = ("finished", "failed")


@define
class Peer:
    """A client on one socket."""

    socket: ClientWebSocketResponse
    welcome: Json = field(factory=dict)

    async def say(self, kind: str, **members: object) -> None:
        """Send a message of this type."""
        await self.socket.send_json({"type": kind} | members)

    async def chat(self, reader_id: str, **members: object) -> None:
        """Start a run."""
        await self.say("chat", id=reader_id, request=asked(**members))

    async def hear(self) -> Json:
        """The next message."""
        try:
            message: Json = await self.socket.receive_json(timeout=PATIENCE_SECONDS)
        except WSMessageTypeError as exc:
            raise AssertionError(f"closed with {self.socket.close_code}") from exc
        return message

    async def hear_to(self, kind: str, reader_id: str | None = None) -> list[Json]:
        """Messages up to the first of this type, under this id where one is given."""
        heard = [await self.hear()]
        while heard[-1]["type"] != kind or (reader_id and heard[-1].get("id") != reader_id):
            heard.append(await self.hear())
        return heard

    async def hear_end(self, *reader_ids: str) -> list[Json]:
        """Messages until each of these ids has its terminal event."""
        heard: list[Json] = []
        missing = set(reader_ids)
        while missing:
            heard.append(await self.hear())
            if heard[-1]["type"] in TERMINAL:
                missing.discard(heard[-1]["id"])
        return heard

    async def nothing_more(self) -> None:
        """Nothing comes before the answer to a message that is said now."""
        await self.say("ping")
        assert await self.hear() == {"type": "pong"}

    async def closed(self) -> int | None:
        """The code with which the service closes; messages before it are passed over."""
        message = await self.socket.receive(timeout=PATIENCE_SECONDS)
        while message.type in (WSMsgType.TEXT, WSMsgType.PING, WSMsgType.PONG):
            message = await self.socket.receive(timeout=PATIENCE_SECONDS)
        return self.socket.close_code

    def cut(self) -> None:
        """Go without a word."""
        transport = self.socket._response.connection.transport  # type: ignore[union-attr]  # noqa: SLF001  # nothing public is as rude
        transport.abort()  # type: ignore[union-attr]


@asynccontextmanager
async def speaking(
    served: Running,
    *,
    protocols: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
    autoping: bool = True,
) -> AsyncIterator[Peer]:
    """A client that has been welcomed."""
    async with served.client.ws_connect(
        PATH, protocols=protocols, headers=headers, autoping=autoping, max_msg_size=0
    ) as opened:
        peer = Peer(opened)
        peer.welcome = await peer.hear()
        assert peer.welcome["type"] == "welcome"
        yield peer


async def refused(peer: Peer, status: int, slug: str, reader_id: str | None = None) -> Json:
    """The problem in the next message, which answers under that id and is well-formed."""
    message = await peer.hear()
    assert set(message) == {"type", "id", "error"}, message
    assert (message["type"], message["id"]) == ("error", reader_id)
    problem: Json = message["error"]
    assert (problem["status"], problem["type"]) == (status, f"/problems/{slug}"), problem
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"]
    return problem


def of(heard: list[Json], reader_id: str) -> list[Json]:
    """The messages under one id."""
    return [message for message in heard if message.get("id") == reader_id]


def said_in(heard: list[Json]) -> str:
    """The text that events make, which must be without gap."""
    events = [message for message in heard if "seq" in message]
    first = events[0]["seq"] if events else 0
    assert [event["seq"] for event in events] == list(range(first, first + len(events)))
    return "".join(event.get("content", "") for event in events)


def check_whole(heard: list[Json]) -> str:
    """The text of a run that was read from the start to its end, proven by its hash."""
    text = said_in(heard)
    assert heard[-1]["type"] == "finished", heard[-1]
    assert heard[-1]["content_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert heard[-1]["content_length"] == len(text.encode())
    return text


def large() -> Raw:
    """An answer of so much text."""
    return Raw(in_pieces(b"".join(stream_of(LARGE, 2**14)), 2**16))


def sockets_open(served: Running) -> int:
    """How many sockets the service knows of."""
    return len(served.service.app[SOCKETS]._open)  # noqa: SLF001  # nothing tells it outside


# Bytes.


def frame(data: bytes = b"", first: int = 0x81, *, mask: bytes | None = b"\1\2\3\4") -> bytes:
    """A frame; `first` holds FIN, the reserved bits and the opcode."""
    masked = 0x80 if mask else 0
    if len(data) < 126:
        head = bytes([first, masked | len(data)])
    elif len(data) < 2**16:
        head = struct.pack(">BBH", first, masked | 126, len(data))
    else:
        head = struct.pack(">BBQ", first, masked | 127, len(data))
    if mask:
        key = mask * (len(data) // 4 + 1)
        data = bytes(byte ^ other for byte, other in zip(data, key, strict=False))
    return head + (mask or b"") + data


def text_frame(kind: str, **members: object) -> bytes:
    """A message of the contract as a frame."""
    return frame(json.dumps({"type": kind} | members).encode())


TEXT, PING, PONG, CLOSE = 0x1, 0x9, 0xA, 0x8


@frozen
class RawPeer:
    """A client that says and hears frames."""

    wire: Wire

    async def say(self, data: bytes) -> None:
        """Send bytes, whatever they are."""
        await self.wire.send(data)

    async def hear(self) -> tuple[int, bytes]:
        """The opcode and the payload of the next frame, which must be whole and unmasked."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            first, length = await self.wire.reader.readexactly(2)
            assert first & 0xF0 == 0x80
            assert length < 0x80
            if length == 126:
                (length,) = struct.unpack(">H", await self.wire.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", await self.wire.reader.readexactly(8))
            return first & 0xF, await self.wire.reader.readexactly(length)

    async def hear_text(self) -> Json:
        """The next message; pings are passed over."""
        opcode, data = await self.hear()
        while opcode == PING:
            opcode, data = await self.hear()
        assert opcode == TEXT, (opcode, data)
        message: Json = json.loads(data)
        return message

    async def close_code(self) -> int:
        """The code with which the service closes; what comes before is passed over."""
        opcode, data = await self.hear()
        while opcode != CLOSE:
            opcode, data = await self.hear()
        return int.from_bytes(data[:2], "big")


def handshake(*headers: str, path: str = PATH) -> bytes:
    """The request for a socket."""
    key = base64.b64encode(b"0123456789abcdef").decode()
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: service",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@asynccontextmanager
async def raw(served: Running, *headers: str, limit: int = 2**16) -> AsyncIterator[RawPeer]:
    """A client on bare TCP, after the handshake; the welcome is still to come."""
    async with wired(served.client, limit=limit) as wire:
        await wire.send(handshake(*headers))
        assert (await wire.head()).startswith(b"HTTP/1.1 101 ")
        yield RawPeer(wire)


@asynccontextmanager
async def stuck(served: Running, messages: bytes = b"") -> AsyncIterator[RawPeer]:
    """A client that says something, and then takes next to nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (served.client.host, served.client.port))
    async with wired(served.client, sock=sock, limit=1024) as wire:
        await wire.send(handshake())
        assert (await wire.head()).startswith(b"HTTP/1.1 101 ")
        await wire.send(messages)
        yield RawPeer(wire)
