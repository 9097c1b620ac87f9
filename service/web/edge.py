"""What happens on a connection before there is a request?

aiohttp parses, and answers what it cannot parse. Here that answer becomes a problem, a peer that
says nothing is not waited for, and there are only so many connections. This leans on insides of
aiohttp's `RequestHandler`: its queue of messages, and `_make_server` of its runner.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import cast

import structlog
from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong
from aiohttp.streams import StreamReader
from attrs import frozen

from service.core.errors import Kind, Problem
from service.core.generation import DEFECT
from service.web.headers import complete
from service.web.keys import REQUEST_ID, SETTINGS
from service.web.middleware import X_REQUEST_ID, X_SIMULATED
from service.web.problems import problem_of_exception, problem_response

LONGEST_LINE = 8190
"""Bytes of the request line, and of a header."""
MOST_HEADERS = 128
TOO_MANY_HEADERS = "Too many headers received"
"""How aiohttp's parser says that there are more."""
TELL_AGAIN_SECONDS = 10.0
"""Between two log lines about the same flood."""

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger()


@frozen
class EdgeLimits:
    """What a connection may do, and how many there may be."""

    connections: int
    header_seconds: float
    """From the start of a connection until its first request is there."""
    keepalive_seconds: float
    """Between two requests on a connection, the headers of the second included."""
    shutdown_seconds: float
    """For the last responses."""

    def refusal(self) -> Problem:
        """What is told of a connection too many."""
        detail = f"all {self.connections} places for connections are taken"
        return Problem(Kind.OVERLOADED, detail, retry_after=1)


class Edge(web.AppRunner):
    """Serves an application to the open internet."""

    def __init__(self, app: web.Application, limits: EdgeLimits) -> None:
        self._limits = limits
        super().__init__(app, handler_cancellation=True, shutdown_timeout=limits.shutdown_seconds)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(self.app, made, self._limits)


class _Server(web.Server):
    """Makes connections, and counts them."""

    def __init__(self, app: web.Application, made: web.Server, limits: EdgeLimits) -> None:
        super().__init__(
            self._answer,  # type: ignore[arg-type]  # the factory makes the application's kind
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
        )
        self._app_answer: Answer = made.request_handler
        self._settings = app[SETTINGS]
        self._limits = limits
        self._open = 0
        self._told_at = -math.inf

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._limits, self._loop)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._app_answer(request)
        except web.HTTPException as error:  # of an `Expect`, which comes before the middlewares
            problem = problem_of_exception(error, request)
            request[REQUEST_ID] = self._settings.new_id()
            response = problem_response(problem, request[REQUEST_ID])
            response.force_close()
            _log_refusal(problem, request[REQUEST_ID], error)
            return response

    def take_place(self) -> bool:
        """Count one more connection; whether there was room for it."""
        self._open += 1
        full = self._open > self._limits.connections
        now = self._loop.time()
        if full and now - self._told_at > TELL_AGAIN_SECONDS:
            self._told_at = now
            log.warning("connections_refused", most=self._limits.connections)
        return not full

    def leave_place(self) -> None:
        """Count one less."""
        self._open -= 1

    def refusal(self, problem: Problem, error: BaseException | None = None) -> web.Response:
        """The answer where there is no request; it closes the connection."""
        request_id = self._settings.new_id()
        response = problem_response(problem, request_id)
        complete(response.headers)
        response.headers[X_REQUEST_ID] = request_id
        response.headers[hdrs.VARY] = hdrs.ORIGIN
        if self._settings.simulated:
            response.headers[X_SIMULATED] = "true"
        response.force_close()
        if error:
            _log_refusal(problem, request_id, error)
        return response


class _Connection(web.RequestHandler):
    """One connection."""

    __slots__ = ("_arriving", "_edge", "_limits", "_patience", "_placed")

    def __init__(self, edge: _Server, limits: EdgeLimits, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            edge,
            loop=loop,
            keepalive_timeout=limits.keepalive_seconds,
            access_log=None,  # type: ignore[arg-type]  # which is how none is asked for
            auto_decompress=False,  # a compressed body is refused, so none is unpacked
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            max_headers=MOST_HEADERS,
        )
        self._edge = edge
        self._limits = limits
        self._placed = False
        self._arriving: StreamReader | None = None
        """The body of the latest request."""
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._placed = True
        if not self._edge.take_place():
            writing = cast("asyncio.WriteTransport", transport)
            writing.write(_bytes_of(self._edge.refusal(self._limits.refusal())))
            writing.close()
            self.force_close()  # what still comes is not listened to
            return
        try:
            super().connection_made(transport)
        except BaseException:  # then uvloop tells of no end
            self._leave()
            raise
        self._patience = self._loop.call_later(self._limits.header_seconds, self._lose_patience)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._leave()
        if self._patience:
            self._patience.cancel()
        super().connection_lost(exc)

    def _leave(self) -> None:
        if self._placed:
            self._placed = False
            self._edge.leave_place()

    def _lose_patience(self) -> None:
        if self._arriving is None:
            self.force_close()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._messages:
            return
        message, body = self._messages[-1]
        if isinstance(message, RawRequestMessage):
            self._arriving = body
        elif self._arriving and not self._arriving.is_eof():
            self._break_off(self._arriving)

    def _break_off(self, body: StreamReader) -> None:
        """Tell who reads a body that it is broken; aiohttp would let them wait.

        The answer of its request is the last: one more would be taken for another request's.
        """
        self._messages.pop()
        self.close()
        body.set_exception(web.RequestPayloadError("the body is not well-formed"))
        body.feed_eof()

    def log_exception(self, *told: object, **facts: object) -> None:
        if not isinstance(facts.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*told, **facts)  # else it is what an answered request still sent

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if not isinstance(exc, HttpProcessingError):
            log.error("defect", exc_info=exc)
            exc, problem = None, DEFECT
        else:
            problem = _problem_of(exc)
        if request.writer.output_size > 0:
            raise ConnectionError("there is a response already")
        return self._edge.refusal(problem, exc)


def _problem_of(error: HttpProcessingError) -> Problem:
    """What cannot be parsed, as a problem; it repeats nothing of it."""
    if isinstance(error, LineTooLong):
        detail = f"the request line and each header may have {LONGEST_LINE} bytes"
        return Problem(Kind.HEADERS_TOO_LARGE, detail)
    if error.message == TOO_MANY_HEADERS:
        return Problem(Kind.HEADERS_TOO_LARGE, f"there may be {MOST_HEADERS} headers")
    if isinstance(error, BadHttpMethod):
        detail = "the request begins with no method of HTTP (TLS is not spoken here)"
        return Problem(Kind.BAD_REQUEST, detail)
    return Problem(Kind.BAD_REQUEST, "the request is not well-formed HTTP/1.1")


def _log_refusal(problem: Problem, request_id: str, error: BaseException) -> None:
    log.info(
        "request_refused",
        request_id=request_id,
        status=problem.kind.status,
        reason=type(error).__name__,  # its message holds what was sent
    )


def _bytes_of(response: web.Response) -> bytes:
    """A response to what was not asked yet."""
    assert isinstance(response.body, bytes)
    headers = {
        **response.headers,
        hdrs.CONTENT_LENGTH: str(len(response.body)),
        hdrs.CONNECTION: "close",
    }
    lines = [f"HTTP/1.1 {response.status} {response.reason}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + response.body
