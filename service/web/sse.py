"""How is a run read over server-sent events?"""

import asyncio
from collections.abc import Mapping

from aiohttp import hdrs, web
from aiohttp_sse import EventSourceResponse

from service.core.run import Run
from service.core.silence import Silence
from service.web.keys import SETTINGS
from service.web.wire import KEEP_ALIVE, sse_frames

NEVER_SECONDS = 1e9
"""The library's ping does not fit the contract; ours comes from the one task that writes."""

NEVER_WAITS = 16 * 1024
"""Bytes that a transport with nothing in its buffer takes at once: no deadline is needed."""


async def follow(
    request: web.Request, run: Run, after: int, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Send every event after a cursor, until the log ends or the reader is gone."""
    settings = request.app[SETTINGS]
    response = EventSourceResponse(
        headers=headers,
        allow_all_methods=True,
        send_timeout=settings.send_timeout_seconds,
        ping_interval=NEVER_SECONDS,
    )
    response.headers[hdrs.CACHE_CONTROL] = "no-cache, no-transform"
    await response.prepare(request)
    transport = request.transport
    assert transport  # else preparing had failed
    async with response:
        try:
            reader = _Reader(response, transport, run, settings.send_timeout_seconds)
            await reader.read(after, settings.keepalive_seconds)
        except ConnectionResetError:
            pass  # the reader has gone; it can come back
        except TimeoutError:
            transport.abort()
    return response


class _Reader:
    """Copies a run's log to one response, as the only writer to it."""

    def __init__(
        self,
        response: EventSourceResponse,
        transport: asyncio.WriteTransport,
        run: Run,
        timeout_seconds: float,
    ) -> None:
        self._response = response
        self._transport = transport
        self._run = run
        self._timeout_seconds = timeout_seconds
        self._waiter: asyncio.Future[None] | None = None
        self._silent = False

    async def read(self, after: int, keepalive_seconds: float) -> None:
        """Write to the end; raises `TimeoutError` where a write is not taken in time."""
        run, run_id = self._run, self._run.run_id.encode()
        silence = Silence(keepalive_seconds, self._break_silence)
        try:
            while True:
                if payloads := run.after(after):
                    await self._write(sse_frames(run_id, after + 1, payloads))
                    after += len(payloads)
                    silence.touch()
                elif run.done:
                    break
                elif self._silent:
                    await self._write(KEEP_ALIVE)
                else:
                    await self._news()
        finally:
            silence.stop()
        async with asyncio.timeout(self._timeout_seconds):
            await self._response.write_eof()

    async def _write(self, data: bytes) -> None:
        self._silent = False
        if len(data) < NEVER_WAITS and not self._transport.get_write_buffer_size():
            await self._response.write(data)
            return
        async with asyncio.timeout(self._timeout_seconds):
            await self._response.write(data)

    async def _news(self) -> None:
        self._waiter = waiter = self._run.news()
        try:
            await waiter
        finally:
            self._run.forget(waiter)

    def _break_silence(self) -> None:
        self._silent = True
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)
