"""How does a socket come to be? Let in, given a place, and known by name."""

import asyncio

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
from service.web.ws import CLOSE_SECONDS, NOT_AUTHENTICATED, NOT_SAID_WHO, SUBPROTOCOL, Session

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
    with sockets.place(request.remote or ""):
        await socket.prepare(request)
        transport = request.transport
        assert transport  # else preparing had failed
        if refusal:
            await _refuse(request, socket, refusal)
        elif says_who or await _says_who(request, socket):
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


async def _says_who(request: web.Request, socket: Socket) -> bool:
    """Whether the peer may stay, by its first message where it has to say who it is."""
    authenticator = request.app[SETTINGS].authenticator
    if authenticator is None:
        return True
    try:
        async with asyncio.timeout(AUTH_SECONDS):
            token = await _token(socket)
        if token is None:
            return False
        request[OWNER] = await authenticator.owner_of(token)
    except TimeoutError:
        await _close(socket, NOT_SAID_WHO)
        return False
    except ServiceError as error:
        await _refuse(request, socket, error.problem)
        return False
    return True


async def _token(socket: Socket) -> str | None:
    """The token of the first message; None where the peer has gone."""
    while True:
        message = await socket.receive()
        match message.type:
            case WSMsgType.PING:
                await socket.pong(message.data)
            case WSMsgType.PONG:
                pass
            case WSMsgType.TEXT:
                value = decoded(message.data, "a message")
                if value.get("type") != "auth":
                    raise ServiceError(Kind.UNAUTHORIZED, "the first message must be `auth`")
                return parse_as(AuthMessage, value).token
            case WSMsgType.BINARY:
                raise ServiceError(Kind.MALFORMED_JSON, "a message must be a text frame")
            case _:
                return None


async def _refuse(request: web.Request, socket: Socket, problem: Problem) -> None:
    """Say why, and close."""
    body = problem_body(problem, request[REQUEST_ID])
    await socket.send_frame(encode(Error(None, body)), WSMsgType.TEXT)
    await _close(socket, NOT_AUTHENTICATED)


async def _close(socket: Socket, code: int) -> None:
    async with asyncio.timeout(CLOSE_SECONDS):
        await socket.close(code=code)
