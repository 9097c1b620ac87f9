"""Who writes to a socket, and whose turn is it? One writer, and the runs in turn."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Literal, Protocol

import structlog
from aiohttp import WSMsgType, web

AT_ONCE = 16 * 1024
"""Bytes that a transport with an empty buffer takes without waiting."""

Socket = web.WebSocketResponse[Literal[False]]
"""One that gives text as bytes."""
Batch = list[tuple[bytes, WSMsgType]]

log = structlog.get_logger()


class Source(Protocol):
    """Something that has frames for a socket."""

    has_more: bool
    """Whether there was more than what was taken last."""

    def take(self) -> Sequence[bytes]:
        """The next text frames, of at most 64 KiB or one; none where there is no more for now."""
        ...


class Outlet:
    """The only writer to one socket.

    What the socket itself says goes first; then each run that has news has its turn. Where the
    transport has room it is written at once, within the step that brought the news; else by a task
    that lives as long as there is something to write.
    """

    def __init__(
        self,
        socket: Socket,
        transport: asyncio.WriteTransport,
        timeout_seconds: float,
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._timeout_seconds = timeout_seconds
        self._said: deque[tuple[bytes, WSMsgType]] = deque()
        self._turns: dict[Source, None] = {}
        self._writing: asyncio.Task[None] | None = None
        self._taken: asyncio.Future[None] | None = None

    def say(self, message: bytes, kind: WSMsgType = WSMsgType.TEXT) -> None:
        """Send a message of the socket's own."""
        self._said.append((message, kind))
        self._write()

    def has_news(self, source: Source) -> None:
        """Give a source its turn."""
        self._turns[source] = None
        self._write()

    def forget(self, source: Source) -> None:
        """No more turns for a source."""
        self._turns.pop(source, None)

    async def caught_up(self) -> None:
        """Wait until what the socket itself said was handed to the transport."""
        if self._said and self._writing:
            self._taken = asyncio.get_running_loop().create_future()
            await self._taken

    async def settled(self) -> None:
        """Wait until everything was handed to the transport."""
        if self._writing:
            await asyncio.wait({self._writing})

    def close(self) -> None:
        """Write nothing more."""
        self._said.clear()
        self._turns.clear()
        self._free()
        if self._writing:
            self._writing.cancel()

    def _free(self) -> None:
        if self._taken and not self._taken.done():
            self._taken.set_result(None)

    def _write(self) -> None:
        if self._writing:
            return  # it goes on until there is nothing left
        try:
            batch = self._at_once(self._next())
        except ConnectionError:
            self.close()
        except Exception as error:  # noqa: BLE001  # who brings news is not to blame
            self._give_up(error)
        else:
            if batch or self._said or self._turns:
                self._writing = asyncio.create_task(self._write_all(batch))

    def _at_once(self, batch: Batch) -> Batch:
        """Write what the transport has room for; what it has none for is given back."""
        size = len(batch[0][0]) if len(batch) == 1 else sum(len(message) for message, _ in batch)
        if size > AT_ONCE or self._transport.get_write_buffer_size():
            return batch
        for message, kind in batch:
            try:  # noqa: SIM105  # `suppress` costs as much as a write
                # It would await room in the buffer only, and there is room.
                self._socket.send_frame(message, kind).send(None)
            except StopIteration:
                pass
        return []

    async def _write_all(self, batch: Batch) -> None:
        try:
            batch = batch or self._next()
            while batch:
                async with asyncio.timeout(self._timeout_seconds):
                    for message, kind in batch:
                        await self._socket.send_frame(message, kind)
                batch = self._next()
        except ConnectionError:
            self.close()
        except TimeoutError:
            self.close()
            self._transport.abort()
        except Exception as error:  # noqa: BLE001  # a gap in what is sent must not stay unseen
            self._give_up(error)
        finally:
            self._writing = None

    def _give_up(self, error: Exception) -> None:
        """Drop the peer: it can resume, and would miss something otherwise."""
        log.error("defect", exc_info=error)
        self.close()
        self._transport.abort()

    def _next(self) -> Batch:
        """What the socket has to say, else what the next source has."""
        if self._said:
            said = list(self._said)
            self._said.clear()
            self._free()
            return said
        turns = self._turns
        while turns:
            if len(turns) == 1:  # as it is most of the time
                source, _ = turns.popitem()
            else:
                source = next(iter(turns))
                del turns[source]
            frames = source.take()
            if source.has_more:
                turns[source] = None  # behind the others
            if len(frames) == 1:
                return [(frames[0], WSMsgType.TEXT)]
            if frames:
                return [(frame, WSMsgType.TEXT) for frame in frames]
        return []
