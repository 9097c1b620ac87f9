"""How does a bad network look? A TCP proxy that breaks streams off where a test wants it."""

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

PIECE_BYTES = 61
"""So few of a stream at once that lines and characters come apart."""

READ_BYTES = 65536

STREAMS = re.compile(rb"text/event-stream|Upgrade: websocket")
"""In the headers of what is cut: event streams and WebSockets."""

LONGEST_SIGN = 64


class Network:
    """Passes everything on, and breaks the next streams off after so many bytes each.

    They are counted from what its headers tell it by, so that 0 is within them. Streams after the
    last cut are whole.
    """

    def __init__(self, port: int, cuts: Sequence[int]) -> None:
        self.cuts = list(cuts)
        """Those that are still to come."""
        self.url = ""
        self._port = port
        self._writers: set[StreamWriter] = set()
        self._tasks: set[asyncio.Task[object]] = set()

    async def connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Join a client's connection to one of its own."""
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, up_writer}
        await asyncio.gather(_pass_on(reader, up_writer), self._answer(up_reader, writer))
        up_writer.close()

    async def close(self) -> None:
        """Break off what is still connected."""
        for writer in self._writers:
            writer.transport.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _answer(self, reader: StreamReader, writer: StreamWriter) -> None:
        head, left, piece_bytes = b"", None, READ_BYTES
        with suppress(ConnectionError):
            while data := await reader.read(piece_bytes):
                if piece_bytes != PIECE_BYTES:
                    # A file may be long: what tells a stream is in one read, or at the seam of two.
                    head = head[-LONGEST_SIGN:] + data
                    if found := STREAMS.search(head):
                        piece_bytes = PIECE_BYTES
                        if self.cuts:
                            left = self.cuts.pop(0) + len(data) - len(head) + found.end()
                if left is not None:
                    data, left = data[: max(0, left)], left - len(data)
                await _write(data, writer, piece_bytes)
                if left is not None and left <= 0:
                    break
        writer.close()


async def _write(data: bytes, writer: StreamWriter, piece_bytes: int) -> None:
    for start in range(0, len(data), piece_bytes):
        writer.write(data[start : start + piece_bytes])
        await writer.drain()


async def _pass_on(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(PIECE_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def cutting(port: int, cuts: Sequence[int] = ()) -> AsyncIterator[Network]:
    """A network in front of what listens on that port of loopback."""
    network = Network(port, cuts)
    server = await asyncio.start_server(network.connected, "127.0.0.1", 0)
    host, own_port = server.sockets[0].getsockname()
    network.url = f"http://{host}:{own_port}"
    try:
        yield network
    finally:
        server.close()
        await network.close()
        await server.wait_closed()
