"""How is a run read over server-sent events?"""

import asyncio
from collections.abc import Mapping

from aiohttp import HttpVersion11, hdrs, web
from aiohttp_sse import EventSourceResponse

from service.core.run import Run
from service.core.silence import Silence
from service.web.keys import SETTINGS
from service.web.wire import KEEP_ALIVE, sse_frames

NEVER_SECONDS = 1e9
"""The library's ping does not fit the contract; ours comes from the one task that writes."""

AT_ONCE = 16 * 1024
"""Bytes that a transport with an empty buffer takes without waiting."""


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
    if request.version < HttpVersion11:  # no chunks: the end of the connection is the end
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"
    transport = request.transport
    try:
        await response.prepare(request)
        assert transport  # else preparing had failed
        async with response:
            await _Reader(response, transport, run, after).read(
                settings.keepalive_seconds, settings.send_timeout_seconds
            )
    except ConnectionError:
        pass  # the reader has gone; it can come back
    except TimeoutError:
        if transport:
            transport.abort()
    return response


class _Reader:
    """Copies a run's log to one response, as the only writer to it."""

    def __init__(
        self,
        response: EventSourceResponse,
        transport: asyncio.WriteTransport,
        run: Run,
        after: int,
    ) -> None:
        self._response = response
        self._transport = transport
        self._run = run
        self._run_id = run.run_id.encode()
        self._after = after
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._silent = False
        self._silence: Silence

    async def read(self, keepalive_seconds: float, timeout_seconds: float) -> None:
        """Write to the end; raises `TimeoutError` where a write is not taken in time."""
        run = self._run
        self._silence = Silence(keepalive_seconds, self._break_silence)
        try:
            with run.following(self._on_news):
                while True:
                    if payloads := run.after(self._after):
                        frames = sse_frames(self._run_id, self._after + 1, payloads)
                        await self._write(frames, timeout_seconds)
                        self._after += len(payloads)
                    elif run.done:
                        break
                    elif self._silent:
                        await self._write(KEEP_ALIVE, timeout_seconds)
                    else:
                        self._waiter = self._loop.create_future()
                        await self._waiter
        finally:
            self._silence.stop()
        await self._end(timeout_seconds)

    async def _end(self, timeout_seconds: float) -> None:
        """End the response, and see its last bytes off: after that nobody watches the reader."""
        self._transport.set_write_buffer_limits(0)
        async with asyncio.timeout(timeout_seconds):
            await self._response.write_eof()
        self._transport.set_write_buffer_limits()

    async def _write(self, data: bytes, timeout_seconds: float) -> None:
        async with asyncio.timeout(timeout_seconds):
            await self._response.write(data)
        self._silent = False
        self._silence.touch()

    def _on_news(self) -> None:
        """Write at once where that cannot wait, which spares a turn of the loop; else wake up."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            return  # under way, and will see it
        payloads = self._run.after(self._after)
        frames = sse_frames(self._run_id, self._after + 1, payloads)
        if self._run.ending or len(frames) > AT_ONCE or self._transport.get_write_buffer_size():
            waiter.set_result(None)
            return
        try:
            # It would await room in the buffer only, and there is room.
            self._response.write(frames).send(None)
        except StopIteration:
            pass
        except Exception:  # noqa: BLE001  # the task meets it again, where it can be told
            waiter.set_result(None)
            return
        self._after += len(payloads)
        self._silence.touch()

    def _break_silence(self) -> None:
        self._silent = True
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)
