"""Who answers in Groq's place? A server that spends as little CPU as Python allows.

    python -m benchmarks.upstream --port 9100

POST /openai/v1/chat/completions            an answer as SSE, whatever is asked
GET  /openai/v1/models                      the list of its one model
GET  /_plan?tokens=…&rate=…&burst=…         how it answers from now on
GET  /_stats[?reset=1]                      requests, streams that run, its own lateness in ms

A stream costs one write to the socket per unit of the script, on a schedule that is kept in one
heap and served by one timer of 1 ms.
"""

import argparse
import asyncio
import heapq
import os
import re
import signal
import time
from functools import lru_cache
from typing import cast
from urllib.parse import parse_qs

import msgspec
import uvloop

from benchmarks.script import CREATED, Script
from benchmarks.wire import MODEL, Plan

TICK_SECONDS = 0.001
LATEST_MS = 2000
"""Later writes count as this late."""

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CHUNKED = re.compile(rb"(?i)\r\ntransfer-encoding: *chunked")


class Upstream:
    """What all connections share: the plan, the schedule, the counters."""

    def __init__(self) -> None:
        self.plan = Plan()
        self.script = lru_cache(maxsize=256)(Script)
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[int, int, Connection]] = []  # paced streams, soonest first
        self._eager: list[Connection] = []  # streams that go as fast as they can
        self._sequence = 0
        self._ticking = self._rushing = False
        self.reset()

    def reset(self) -> None:
        self.requests = 0
        self._late_ms = [0] * (LATEST_MS + 1)  # how many paced writes were how late

    def stats(self) -> dict[str, int]:
        writes = sum(self._late_ms)
        counts = {
            "requests": self.requests,
            "active": len(self._due) + len(self._eager),
            "writes": writes,
        }
        seen = 0
        for late_ms, count in enumerate(self._late_ms):
            seen += count
            if writes and seen >= 0.99 * writes:
                return counts | {"late_p99_ms": late_ms}
        return counts

    def schedule(self, connection: "Connection", due_ns: int) -> None:
        self._sequence += 1
        heapq.heappush(self._due, (due_ns, self._sequence, connection))
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(TICK_SECONDS, self._tick)

    def rush(self, connection: "Connection") -> None:
        self._eager.append(connection)
        if not self._rushing:
            self._rushing = True
            self._loop.call_soon(self._round)

    def _tick(self) -> None:
        """Write what is due. A stream that fell behind catches up one unit at a time."""
        due, now = self._due, time.monotonic_ns()
        while due and due[0][0] <= now:
            at, sequence, connection = due[0]
            if following := connection.advance():
                heapq.heapreplace(due, (following, sequence, connection))
            else:
                heapq.heappop(due)
            self._late_ms[min(LATEST_MS, (now - at) // 1_000_000)] += 1
        if due:
            delay = (due[0][0] - time.monotonic_ns()) / 1e9
            self._loop.call_later(max(TICK_SECONDS, delay), self._tick)
        else:
            self._ticking = False

    def _round(self) -> None:
        """One unit for each stream that can take it, so that streams interleave."""
        self._eager = [connection for connection in self._eager if connection.step()]
        if self._eager:
            self._loop.call_soon(self._round)
        else:
            self._rushing = False


class Connection(asyncio.Protocol):
    """Reads requests, one after the other, and writes its part of the schedule."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._buffer = b""
        self._script: Script | None = None
        self._unit = 0
        self._start = 0
        self._blocked = self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)
        self._descriptor = transport.get_extra_info("socket").fileno()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._script = None

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        if self._script and not self._script.step_ns:
            self._upstream.rush(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n") + 4
        if head_end < 4:
            return
        if found := _LENGTH.search(self._buffer, 0, head_end):
            end = head_end + int(found[1])
        elif _CHUNKED.search(self._buffer, 0, head_end):
            last = self._buffer.find(b"\r\n0\r\n\r\n", head_end - 2)
            end = last + 7 if last >= 0 else len(self._buffer) + 1
        else:
            end = head_end
        if end > len(self._buffer):
            return
        method, target, _ = self._buffer.split(b"\r\n", 1)[0].decode().split(" ", 2)
        self._buffer = self._buffer[end:]
        self._handle(method, target)

    @property
    def may_write(self) -> bool:
        return self._script is not None and not self._blocked

    def advance(self) -> int:
        """Write the next unit; the time when the one after it is due, 0 if the clock rules none."""
        script = self._script
        if not script:
            return 0
        if self._unit < 0:
            self._write(script.opening)
            self._write(script.first_unit(self._start))
        else:
            self._write(script.units[self._unit])
        self._unit += 1
        if self._unit == len(script.units):
            self._script = None
            return 0
        return self._start + (self._unit + 1) * script.step_ns if script.step_ns else 0

    def step(self) -> bool:
        """One unit, unless the socket is full; whether there may be another at once."""
        if self.may_write:
            self.advance()
        return self.may_write

    def _handle(self, method: str, target: str) -> None:
        path, _, query = target.partition("?")
        upstream = self._upstream
        if method == "POST" and path == "/openai/v1/chat/completions":
            self._complete()
        elif path == "/openai/v1/models":
            model = {
                "id": MODEL,
                "object": "model",
                "created": CREATED,
                "owned_by": "Meta",
                "active": True,
            }
            self._reply({"object": "list", "data": [model]})
        elif path == "/_plan":
            given = {name: values[0] for name, values in parse_qs(query).items()}
            upstream.plan = msgspec.convert(given, Plan, strict=False)
            self._reply(upstream.plan)
        elif path == "/_stats":
            self._reply(upstream.stats())
            if "reset" in query:
                upstream.reset()
        else:
            self._reply({"error": {"message": f"no route {path}"}}, "404 Not Found")

    def _complete(self) -> None:
        self._upstream.requests += 1
        self._script = self._upstream.script(self._upstream.plan)
        self._unit, self._start = -1, time.monotonic_ns()
        if following := self.advance():
            self._upstream.schedule(self, following)
        elif self.may_write:
            self._upstream.rush(self)

    def _reply(self, value: object, status: str = "200 OK") -> None:
        body = msgspec.json.encode(value)
        self._write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status.encode(), len(body), body)
        )

    def _write(self, data: bytes) -> None:
        """Straight to the socket; what it does not take goes through the transport."""
        if self._lost:
            return
        if not self._blocked:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                pass
            except OSError:
                self._transport.abort()
                return
        if data:
            self._transport.write(data)


async def serve(port: int) -> None:
    """Serve on loopback until a signal says to stop."""
    loop = asyncio.get_running_loop()
    upstream, stopped = Upstream(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(lambda: Connection(upstream), "127.0.0.1", port, backlog=4096)
    await stopped.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upstream")
    parser.add_argument("--port", type=int, default=9100)
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
