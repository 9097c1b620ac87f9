"""How is one response read? As it comes, unless Groq is silent for too long."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import httpx

from service.core.conversation import Usage
from service.core.errors import Kind, ServiceError
from service.core.events import Delta, Ending
from service.core.silence import Silence
from service.groq.breaker import Trial
from service.groq.chunks import Chunks

DRAIN_SECONDS = 0.2
"""For the end of the body after `[DONE]`, so that the connection can be used again."""
SILENT = "Groq was silent for too long"


class Reading:
    """Reads a response that Groq has begun with status 200."""

    def __init__(
        self,
        response: httpx.Response,
        idle_seconds: float,
        deadline: asyncio.Timeout,
        trial: Trial,
    ) -> None:
        """`deadline` is the reader's. It stands still until `parts`, and goes until a first byte.

        `trial` is told whether there was one.
        """
        self.chunks = Chunks()
        self._response = response
        self._idle_seconds = idle_seconds
        self._deadline = deadline
        self._seconds_left = _paused(deadline)
        self._trial = trial
        self._reader: asyncio.Task[object] | None = None
        self._silence: Silence | None = None
        self._waiting = False
        self._interrupted = False

    async def parts(self) -> AsyncGenerator[Delta | Usage | Ending, None]:
        """Deltas, what Groq tells of usage, and the ending.

        Raises `ServiceError(UPSTREAM_ERROR)` where the answer breaks off, and `UPSTREAM_TIMEOUT`
        where it falls silent.
        """
        chunks = self.chunks
        stream = _bytes_of(self._response)
        self._reader = asyncio.current_task()
        self._deadline.reschedule(asyncio.get_running_loop().time() + self._seconds_left)
        with self._failures():
            self._waiting = True
            async for data in stream:
                (self._silence or self._begin()).touch()
                delta = chunks.feed(data)
                self._waiting = False
                if delta:
                    yield delta
                if chunks.usage:
                    yield chunks.usage
                self._waiting = True
                if chunks.done:
                    break
        if not chunks.done:
            self._trial.failed()
            raise ServiceError(Kind.UPSTREAM_ERROR, "Groq ended the answer before its end")
        ending = chunks.ending()
        await _drained(stream)
        yield ending

    def _begin(self) -> Silence:
        """The first byte is there: from now on only silence is a failure."""
        self._deadline.reschedule(None)
        self._trial.succeeded()
        self._silence = Silence(self._idle_seconds, self._interrupt)
        return self._silence

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what breaks the reading off into problems."""
        try:
            yield
        except httpx.HTTPError as exc:
            self._trial.failed()
            raise ServiceError(Kind.UPSTREAM_ERROR, "the connection to Groq broke off") from exc
        except asyncio.CancelledError as exc:
            if self._cancelled():
                raise
            raise ServiceError(Kind.UPSTREAM_TIMEOUT, SILENT) from exc
        finally:
            self._waiting = False
            if self._silence:
                self._silence.stop()

    async def close(self) -> None:
        """Leave the connection, so that nothing more is written, and paid for."""
        await self._response.aclose()

    def _interrupt(self) -> None:
        """Groq is silent. Only the wait for it is given up, unless the reader is elsewhere."""
        if self._waiting and not self._interrupted:
            assert self._reader
            self._interrupted = self._reader.cancel()
        elif not self._interrupted and not self._deadline.expired():
            self._deadline.reschedule(0)

    def _cancelled(self) -> bool:
        """Whether somebody else than `_interrupt` has cancelled the reader, as in `Timeout`."""
        assert self._reader
        return not self._interrupted or self._reader.uncancel() > 0


def _bytes_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """What is read from the network: `aiter_raw` without its layer around each read."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return aiter(response.stream)


def _paused(deadline: asyncio.Timeout) -> float:
    """Stop a deadline while something other than Groq is waited for; the seconds it had left."""
    when = deadline.when()
    assert when is not None  # it is running
    deadline.reschedule(None)
    return when - asyncio.get_running_loop().time()


async def _drained(stream: AsyncIterator[bytes]) -> None:
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in stream:
                pass
