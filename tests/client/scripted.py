"""What does a service look like that does what this one never would? One that a test writes out."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler
from attrs import Factory, define
from web.outside import Json

HANG = b""
"""In the place of a piece: nothing more comes, and the connection stays."""

Answer = Sequence[bytes | float] | web.Response
"""Pieces, and seconds between them."""


def frame(seq: int, kind: str = "delta", **members: object) -> bytes:
    """An event as it goes over a stream."""
    event = {"type": kind, "finished": kind in ("finished", "failed")} | members
    data = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return f"data: {data}\nid: run:{seq}\n\n".encode()


def message(seq: int, kind: str = "delta", **members: object) -> Json:
    """The same over a socket; the id comes later."""
    return {
        "seq": seq,
        "type": kind,
        "finished": kind in ("finished", "failed"),
    } | members


STARTED: Json = {"run_id": "run", "conversation_id": None, "message_id": None, "model": "m"}


@define
class Scripted:
    """Answers streams, and messages on sockets, in order; keeps what it was asked."""

    streams: list[Answer] = Factory(list)
    sockets: list[list[Json | str | int]] = Factory(list)
    """What is said on the next sockets to the first message with an id; a number closes."""
    losses: int = 0
    """Of the next connections: each ends without a word."""
    asked: list[Json] = Factory(list)
    url: str = ""

    @web.middleware
    async def lose(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Break the connection off as long as there are losses to come."""
        if not self.losses:
            return await handler(request)
        self.losses -= 1
        assert request.transport
        request.transport.abort()
        return web.Response()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """The next answer, to whatever is asked."""
        names = ("Last-Event-ID", "Idempotency-Key", "Authorization")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        loop = asyncio.get_running_loop()
        self.asked.append({"path": request.path_qs, "at": loop.time()} | headers)
        answer = self.streams.pop(0)
        if isinstance(answer, web.Response):
            return answer
        headers = {"Content-Type": "text/event-stream", "X-Run-Id": "run"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for piece in answer:
            if piece == HANG:
                await asyncio.Event().wait()
            if isinstance(piece, bytes):
                await response.write(piece)
            else:
                await asyncio.sleep(piece)
        return response

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """The next socket."""
        socket = web.WebSocketResponse(protocols=("ai-library.v1",))
        await socket.prepare(request)
        said = self.sockets.pop(0)
        limits = {"runs": 16, "message_bytes": 10**6}
        await socket.send_json({"type": "welcome", "protocol": 1, "limits": limits})
        async for heard in socket:
            asked = heard.json()
            if asked["type"] == "ping":
                continue  # its end of the line is dead
            self.asked.append(asked)
            for one in said:
                if isinstance(one, int):
                    await socket.close(code=one)
                elif isinstance(one, str):
                    await socket.send_str(one)
                else:
                    await socket.send_json({"id": asked["id"]} | one)
            said = []
        return socket


@asynccontextmanager
async def scripted(
    streams: Sequence[Answer] = (),
    sockets: Sequence[list[Json | str | int]] = (),
    losses: int = 0,
) -> AsyncIterator[Scripted]:
    """Serve that on loopback."""
    service = Scripted(list(streams), list(sockets), losses)
    app = web.Application(middlewares=[service.lose])
    app.router.add_get("/api/chat/ws", service.socket)
    app.router.add_route("*", "/{path:.*}", service.stream)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        service.url = f"http://{host}:{port}/"
        yield service
    finally:
        await runner.cleanup()
