"""How does a socket come to be? Let in, given a place, and known by name."""

import asyncio
from contextlib import ExitStack

from aiohttp import WSMsgType, hdrs, web

from service.core.errors import Fault, Kind, Problem, ServiceError, invalid
from service.core.events import encode, problem_body
from service.core.request import parse_as
from service.web.admission import check_origin
from service.web.authentication import identify
from service.web.body import decoded
from service.web.keys import OWNER, REQUEST_ID, SETTINGS, SOCKETS
from service.web.messages import AuthMessage, Error
from service.web.outlet import AT_ONCE, Socket
from service.web.ws import (
    CLOSE_SECONDS,
    GOING_AWAY,
    NOT_AUTHENTICATED,
    NOT_SAID_WHO,
    SUBPROTOCOL,
    Session,
    close,
)

AUTH_SECONDS = 10.0
"""For the first message, where the handshake carried no credential."""


async def chat_socket(request: web.Request) -> web.StreamResponse:
    """`GET /api/chat/ws`."""
    check_origin(request)
    socket: Socket = web.WebSocketResponse(
        timeout=CLOSE_SECONDS,
        autoping=False,
        compress=False,
        protocols=(SUBPROTOCOL,),
        max_msg_size=request.app[SETTINGS].max_body_bytes + 1,
        writer_limit=AT_ONCE,
        decode_text=False,
    )
    if not _is_handshake(socket, request):
        raise invalid([Fault("#/headers/Upgrade", "must be the handshake of a WebSocket")])
    says_who = hdrs.AUTHORIZATION in request.headers
    refusal = await _refusal(request) if says_who else None
    sockets = request.app[SOCKETS]
    with sockets.place(request.remote or ""), ExitStack() as waiting:
        if not says_who and request.app[SETTINGS].authenticator:
            waiting.enter_context(sockets.waiting())
        try:
            await socket.prepare(request)
        except ConnectionError:  # an answer that nobody will get, instead of a defect
            raise ServiceError(Kind.BAD_REQUEST, "the connection has ended") from None
        transport = request.transport
        assert transport  # else preparing had failed
        entrance = _Entrance(request, socket, transport)
        if refusal:
            await entrance.refuse(refusal)
        elif says_who or await entrance.lets_in():
            waiting.close()
            session = Session(request, socket, transport)
            with sockets.open(session):
                await session.serve(sockets.retry_after())
    return socket


def _is_handshake(socket: Socket, request: web.Request) -> bool:
    try:
        return socket.can_prepare(request).ok
    except ValueError:  # aiohttp takes it for granted that headers are ASCII
        return False


async def _refusal(request: web.Request) -> Problem | None:
    """What is wrong with the credential of the handshake.

    It is raised where there is no page behind it: a page cannot read what a handshake answers.
    """
    try:
        await identify(request)
    except ServiceError as error:
        if hdrs.ORIGIN not in request.headers:
            raise
        return error.problem
    return None


class _Entrance:
    """Where a socket waits until it is known whose it is."""

    def __init__(
        self, request: web.Request, socket: Socket, transport: asyncio.WriteTransport
    ) -> None:
        self._request = request
        self._socket = socket
        self._transport = transport

    async def lets_in(self) -> bool:
        """Whether the peer may stay, by its first message where it has to say who it is."""
        authenticator = self._request.app[SETTINGS].authenticator
        if authenticator is None:
            return True
        try:
            with self._request.app[SOCKETS].open(self):
                async with asyncio.timeout(AUTH_SECONDS):
                    token = await self._token()
                if token is not None:
                    self._request[OWNER] = await authenticator.owner_of(token)
        except TimeoutError:
            if self._transport.get_write_buffer_size():
                self._transport.abort()  # it would not take a close either
            else:
                await self._close(NOT_SAID_WHO)
            return False
        except ServiceError as error:
            await self.refuse(error.problem)
            return False
        return token is not None

    async def refuse(self, problem: Problem) -> None:
        """Say why, and close."""
        body = problem_body(problem, self._request[REQUEST_ID])
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.send_frame(encode(Error(None, body)), WSMsgType.TEXT)
        except (TimeoutError, ConnectionError):
            self._transport.abort()
        else:
            await self._close(NOT_AUTHENTICATED)

    def announce_draining(self, retry_after: float) -> None:
        """Nothing: it is told after the welcome, which comes first."""

    async def go_away(self) -> None:
        """Close; whoever waits here is gone then."""
        await self._close(GOING_AWAY)

    async def _token(self) -> str | None:
        """The token of the first message; None where the peer has gone."""
        while True:
            message = await self._socket.receive()
            match message.type:
                case WSMsgType.PING:
                    try:
                        await self._socket.pong(message.data)
                    except ConnectionError:
                        return None
                case WSMsgType.PONG:
                    pass
                case WSMsgType.TEXT:
                    return _token_in(message.data)
                case WSMsgType.BINARY:
                    raise ServiceError(Kind.MALFORMED_JSON, "a message must be a text frame")
                case _:
                    return None

    async def _close(self, code: int) -> None:
        await close(self._socket, self._transport, code)


def _token_in(data: bytes) -> str:
    value = decoded(data, "a message")
    if value.get("type") != "auth":
        raise ServiceError(Kind.UNAUTHORIZED, "the first message must be `auth`")
    return parse_as(AuthMessage, value).token
