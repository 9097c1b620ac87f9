"""Who asks? A load client of raw asyncio protocols, without an HTTP library.

While it runs, a connection only notes the time and the bytes of each read, and looks for the end
of the answer. All else is done afterwards (analysis.py), so that it does not disturb the run.
"""

import asyncio
import gc
import random
import time
from collections.abc import Callable, Mapping
from typing import cast

import msgspec
from attrs import Factory, define, frozen

from benchmarks.adapters import (
    LAST_OVER_WEBSOCKET,
    PING,
    PONG,
    TEXT,
    Adapter,
    client_frame,
    websocket_frames,
)
from benchmarks.wire import Plan

HOST = "127.0.0.1"
LAST_CHUNK = b"\r\n0\r\n\r\n"
"""Of the chunked transfer coding, with the line end before it."""

now = time.monotonic_ns


@frozen(kw_only=True)
class Job:
    """What to ask for, and how often."""

    port: int
    plan: Plan
    adapter: Adapter
    concurrency: int = 32
    requests: int = 1_000_000
    """After so many, no more are sent,"""
    seconds: float = 3.0
    """nor after so long."""
    spread_seconds: float = 0.0
    """The connections start over so long,"""
    once: bool = False
    """and each asks once, however late it is."""
    patience_seconds: float = 10.0
    """Waits so long after the last answer should have ended."""


@define
class Sample:
    """One request: when it was asked, and each read with its time; an error if it broke off."""

    asked: int
    times: list[int] = Factory(list)
    reads: list[bytes] = Factory(list)
    error: str = ""


class Load:
    """Does a job; keeps every sample."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.samples: list[Sample] = []
        self.streams: set[Stream] = set()
        self.request = _request(job)
        self.started = self.ended = 0
        self._asked = 0
        self._stopped = False
        self._launched = False
        self._deadline = 1 << 63
        self._idle = asyncio.Event()

    async def run(self, marks: Mapping[float, Callable[[], object]] | None = None) -> None:
        """Do the job; `marks` are functions to call so many seconds after the start."""
        gc.collect()
        gc.disable()
        self.started = now()
        self._deadline = self.started + int(self.job.seconds * 1e9)
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(after, call) for after, call in (marks or {}).items()]
        await self._launch()
        last = self.job.spread_seconds if self.job.once else self.job.seconds
        limit = last + self.job.plan.seconds() + self.job.patience_seconds - self._elapsed()
        try:
            async with asyncio.timeout(max(limit, 1.0)):
                await self._idle.wait()
        except TimeoutError:
            self.abort("not finished in time")
            await asyncio.sleep(0.05)
        self.ended = now()
        for timer in timers:
            timer.cancel()
        gc.enable()

    def take(self) -> bool:
        """Whether a connection may ask once more."""
        late = now() >= self._deadline and not self.job.once
        if late or self._stopped or self._asked >= self.job.requests:
            return False
        self._asked += 1
        return True

    def left(self, stream: "Stream") -> None:
        self.streams.discard(stream)
        if self._launched and not self.streams:
            self._idle.set()

    def abort(self, why: str) -> None:
        """End every connection; what is under way becomes an error."""
        self._stopped = True
        for stream in list(self.streams):
            stream.finish(why)
            stream.transport.abort()

    async def _launch(self) -> None:
        """Open the connections, spread at random but alike in every run."""
        chance = random.Random(1)
        moments = (chance.random() for _ in range(self.job.concurrency))
        async with asyncio.TaskGroup() as group:
            for moment in sorted(moments):
                ahead = moment * self.job.spread_seconds - self._elapsed()
                if ahead > 0.0005:
                    await asyncio.sleep(ahead)
                group.create_task(self._connect())
        self._launched = True
        if not self.streams:
            self._idle.set()

    async def _connect(self) -> None:
        kind = WebSocketStream if self.job.adapter.websocket else Stream
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: kind(self), HOST, self.job.port)
        except OSError as exc:
            self.samples.append(Sample(now(), error=f"connect: {exc}"))

    def _elapsed(self) -> float:
        return (now() - self.started) / 1e9


class Stream(asyncio.Protocol):
    """One kept-alive connection, which asks again when an answer is complete."""

    def __init__(self, load: Load) -> None:
        self.sample: Sample | None = None
        """Of the answer that is under way."""
        self._load = load
        self._head = self._tail = b""
        self._in_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._load.streams.add(self)
        self._opened()

    def data_received(self, data: bytes) -> None:
        sample = self.sample
        if not sample:
            return  # closing
        sample.times.append(now())
        sample.reads.append(data)
        if not self._in_body:
            data = self._after_head(data)
        self._tail = data[-7:] if len(data) >= 7 else (self._tail + data)[-7:]
        if self._tail == LAST_CHUNK:
            self.finish()

    def finish(self, error: str = "") -> None:
        """Keep the sample, if there is one; without an error, go on."""
        sample, self.sample = self.sample, None
        if not sample:
            return
        sample.error = error
        self._load.samples.append(sample)
        if not error:
            if self._load.job.once:
                self.transport.close()
            else:
                self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self.finish(f"connection lost: {exc}")
        self._load.left(self)

    def _opened(self) -> None:
        self._ask()

    def _ask(self) -> None:
        if self._load.take():
            self._head = self._tail = b""
            self._in_body = False
            self.sample = Sample(now())
            self.transport.write(self._load.request)
        else:
            self.transport.close()

    def _after_head(self, data: bytes) -> bytes:
        """What of a read belongs to the body, with the line end before it."""
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return b""
        head = self._head[:end]
        if not head.startswith(b"HTTP/1.1 200") or b"chunked" not in head.lower():
            self._refuse(f"refused: {self._head[:300]!r}")
            return b""
        self._in_body = True
        return self._head[end + 2 :]

    def _refuse(self, why: str) -> None:
        self.finish(why)
        self.transport.abort()


class WebSocketStream(Stream):
    """One WebSocket; an answer ends with a message that says so."""

    open = False
    _rest = b""

    def data_received(self, data: bytes) -> None:
        if not self.open:
            data = self._after_head(data)
        if sample := self.sample:
            sample.times.append(now())
            sample.reads.append(data)
        if data and self._scan(data):
            self.finish()

    def _opened(self) -> None:
        job = self._load.job
        self.transport.write(
            f"GET {job.adapter.path} HTTP/1.1\r\nHost: {HOST}:{job.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def _after_head(self, data: bytes) -> bytes:
        self._head += data
        head, found, rest = self._head.partition(b"\r\n\r\n")
        if not found:
            return b""
        if not head.startswith(b"HTTP/1.1 101"):
            self.sample = Sample(now())
            self._refuse(f"refused: {head[:300]!r}")
            return b""
        self.open = True
        self._ask()
        return rest

    def _scan(self, data: bytes) -> bool:
        """Follow the frames; whether this read completes the last message of an answer."""
        data, at, ended = self._rest + data, 0, False
        for opcode, end, payload in websocket_frames(data):
            at = end
            if opcode == PING:
                self.transport.write(client_frame(PONG, payload))
            ended = ended or LAST_OVER_WEBSOCKET in payload
        self._rest = data[at:]
        return ended


class IdleSocket(WebSocketStream):
    """A WebSocket that is opened, and asks nothing."""

    def _ask(self) -> None:
        """Leave it at that."""


def _request(job: Job) -> bytes:
    body = msgspec.json.encode(job.adapter.body)
    if job.adapter.websocket:
        return client_frame(TEXT, body)
    return (
        f"POST {job.adapter.path} HTTP/1.1\r\nHost: {HOST}:{job.port}\r\n"
        "Content-Type: application/json\r\nAccept: text/event-stream\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
