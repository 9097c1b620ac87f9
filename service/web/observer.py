"""What is told of requests, and what can be read of it?"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Protocol

from aiohttp.typedefs import Middleware
from attrs import frozen

from service.core.errors import Kind, ServiceError

DISCONNECTED = "disconnected"
"""The status of a request whose client has gone before it was answered whole."""


class Transport(StrEnum):
    """How a run is read."""

    SSE = "sse"
    WS = "ws"


class Resume(StrEnum):
    """What became of a reader that came back."""

    RECOVERED = "recovered"
    EXPIRED = Kind.RUN_EXPIRED.slug
    UNKNOWN = Kind.RUN_NOT_FOUND.slug


@frozen
class Exchange:
    """A request that has ended."""

    route: str | None
    """As it stands in the table of routes, never the path; None where there is none for it."""
    method: str
    status: str
    seconds: float
    streamed: bool
    """Answered by a stream or a WebSocket, for as long as that was open."""


class RequestObserver(Protocol):
    """Is told what happens on the web, to count it. Never raises."""

    def request_ended(self, exchange: Exchange) -> None:
        """A request was answered, or its client has gone."""
        ...

    def resumed(self, transport: Transport, outcome: Resume) -> None:
        """A reader came back with a cursor."""
        ...


class Exposition(Protocol):
    """Writes all metrics."""

    async def __call__(self, accepted: str) -> tuple[bytes, str]:
        """The text, and its content type, for what an `Accept` header says."""
        ...


@frozen
class Watch:
    """How the application is watched."""

    observer: RequestObserver
    exposition: Exposition
    around: Sequence[Middleware]
    """Around all other middlewares."""


@contextmanager
def resuming(observer: RequestObserver, transport: Transport) -> Iterator[None]:
    """Tell whether the run of a reader that came back was found; bad requests are not told."""
    try:
        yield
    except ServiceError as error:
        slug = error.problem.kind.slug
        if slug in (Resume.EXPIRED, Resume.UNKNOWN):
            observer.resumed(transport, Resume(slug))
        raise
    observer.resumed(transport, Resume.RECOVERED)
