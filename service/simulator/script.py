"""What a test chooses, and what it sees."""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum

import msgspec
from aiohttp import web
from attrs import define, field

from service.simulator.answers import Answer, Fault

PATIENCE_SECONDS = 10


class End(Enum):
    """How a request ended."""

    SENT = "the answer was sent to its end, which may be a cut"
    LEFT = "the client closed its connection before"
    STOPPED = "the simulator was stopped before"


@define(eq=False)
class Received:
    """A chat request as it came in; `body` is empty where it was not a JSON object."""

    headers: Mapping[str, str]
    body: dict[str, object]
    end: asyncio.Future[End] = field(repr=False)


class Script:
    """Decides what chat requests are answered, and keeps what was received, in order.

    A request that is not fit (wrong key, malformed body, unknown model) is refused as always, and
    uses up no answer. Every wait ends with TimeoutError after 10 seconds.
    """

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.models_answer: Fault | None = None
        """In the place of the model list, while it is set."""
        self._queue: deque[Answer] = deque()
        self._default: Answer | None = None
        self._arrival = asyncio.Event()

    def next(self, *answers: Answer) -> None:
        """Answer the following requests with these, in order."""
        self._queue.extend(answers)

    def always(self, answer: Answer | None) -> None:
        """Answer so whenever none is queued; None lets the simulator write its own."""
        self._default = answer

    def take(self) -> Answer | None:
        """The answer to the request at hand, or None where the test chose none."""
        return self._queue.popleft() if self._queue else self._default

    async def request_count(self, count: int) -> None:
        """Wait until so many chat requests have arrived."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.requests) < count:
                await self._arrival.wait()

    async def disconnected(self, index: int) -> None:
        """Wait until the client of this request has closed its connection.

        Raises AssertionError when the request ended in another way.
        """
        await self._ended(index, End.LEFT)

    async def finished(self, index: int) -> None:
        """Wait until the answer to this request has been sent to its end, a cut included.

        Raises AssertionError when the request ended in another way.
        """
        await self._ended(index, End.SENT)

    async def _ended(self, index: int, expected: End) -> None:
        await self.request_count(index + 1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            end = await asyncio.shield(self.requests[index].end)
        if end is not expected:
            raise AssertionError(f"request {index}: {end.value}")

    @contextmanager
    def recording(self, request: web.Request, body: bytes) -> Iterator[None]:
        """Keep the request, and how it ends."""
        received = Received(request.headers, decoded(body), asyncio.Future())
        self.requests.append(received)
        self._arrival.set()
        self._arrival = asyncio.Event()
        try:
            yield
            received.end.set_result(End.SENT)
        except ConnectionError:
            received.end.set_result(End.LEFT)
            raise
        except asyncio.CancelledError:
            received.end.set_result(End.LEFT if request.transport is None else End.STOPPED)
            raise
        except Exception:
            received.end.set_result(End.SENT)
            raise


def decoded(body: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
