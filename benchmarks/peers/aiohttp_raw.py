"""What is the least that an aiohttp gateway does? It passes the upstream's bytes on, unread.

python aiohttp_raw.py PORT
"""

import os
import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

UPSTREAM = os.environ.get("UPSTREAM", "http://127.0.0.1:9100")
COPIED = ("Content-Type", "Cache-Control", "X-Request-Id")
SESSION = web.AppKey("session", aiohttp.ClientSession)


async def relay(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    headers = {"Content-Type": "application/json"}
    url = UPSTREAM + request.path
    async with request.app[SESSION].post(url, data=body, headers=headers) as answer:
        copied = {name: answer.headers[name] for name in COPIED if name in answer.headers}
        response = web.StreamResponse(status=answer.status, headers=copied)
        await response.prepare(request)
        async for data in answer.content.iter_any():
            await response.write(data)
        await response.write_eof()
    return response


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
    app.router.add_post("/openai/v1/chat/completions", relay)
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
