"""What is the least that our service does, in aiohttp? Parse every chunk, send an event for it.

    python aiohttp_relay.py PORT

The events of one read go in one write. No conversations, no limits, no checks: a floor for the
service's hot path, not a service.
"""

import os
import sys
import uuid
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web
from orjson import dumps, loads

UPSTREAM = os.environ.get("UPSTREAM", "http://127.0.0.1:9100") + "/openai/v1/chat/completions"
SESSION = web.AppKey("session", aiohttp.ClientSession)


async def chat(request: web.Request) -> web.StreamResponse:
    asked = loads(await request.read())
    body = {
        "model": asked["model"],
        "messages": [{"role": "user", "content": asked["user_prompt"]}],
        "stream": True,
    }
    headers = {"Content-Type": "application/json"}
    async with request.app[SESSION].post(UPSTREAM, data=dumps(body), headers=headers) as answer:
        answer.raise_for_status()
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        await response.prepare(request)
        out, rest = event({"conversation_id": str(uuid.uuid4())}), b""
        async for data in answer.content.iter_any():
            *lines, rest = (rest + data).split(b"\n\n")
            out += b"".join(map(translated, lines))
            if out:
                await response.write(out)
                out = b""
        await response.write_eof()
    return response


def translated(line: bytes) -> bytes:
    if not line.startswith(b"data: ") or line == b"data: [DONE]":
        return b""
    choice = loads(line[6:])["choices"][0]
    out = b""
    if content := choice["delta"].get("content"):
        out = event({"content": content, "finished": False})
    if choice["finish_reason"]:
        out += event({"content": "", "finished": True})
    return out


def event(value: object) -> bytes:
    return b"data: " + dumps(value) + b"\n\n"


async def session(app: web.Application) -> AsyncIterator[None]:
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as app[SESSION]:
        yield


async def health(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


def main() -> None:
    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_get("/health", health)
    app.router.add_post("/api/chat/stream", chat)
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main()
