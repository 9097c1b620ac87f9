"""How does one socket carry a whole chat application?"""

import asyncio
import math
from contextlib import ExitStack, nullcontext, suppress
from functools import partial

import structlog
from aiohttp import WSMsgType, web

from service.core.chat import Caller
from service.core.errors import Fault, Kind, Problem, ServiceError, invalid
from service.core.events import encode, problem_body
from service.core.generation import DEFECT
from service.core.request import parse_as
from service.core.run import START, Run, Stop
from service.web.body import check_key, decoded
from service.web.keys import CHAT, OBSERVER, OWNER, REQUEST_ID, SETTINGS
from service.web.messages import (
    CLIENT_MESSAGES,
    LONGEST_ID,
    AuthMessage,
    CancelMessage,
    ChatMessage,
    Draining,
    Error,
    LeaveMessage,
    Left,
    PingMessage,
    Pong,
    Resumed,
    ResumeMessage,
    ServerMessage,
    SocketLimits,
    Welcome,
)
from service.web.observer import Transport, resuming
from service.web.outlet import Outlet, Socket
from service.web.wire import ws_frames

SUBPROTOCOL = "ai-library.v1"
MOST_UNREADABLE = 3
"""Messages in a row that are no JSON object in a text frame."""
CLOSE_SECONDS = 2.0
"""For a peer to take what is left, and to answer a close."""

GOING_AWAY, BAD_MESSAGES, TOO_MANY_MESSAGES = 1001, 4400, 4429
NOT_AUTHENTICATED, NOT_SAID_WHO = 4401, 4408

log = structlog.get_logger()


class Session:
    """One socket: what is read on it, and what it may still do."""

    def __init__(
        self, request: web.Request, socket: Socket, transport: asyncio.WriteTransport
    ) -> None:
        settings = request.app[SETTINGS]
        self._chat = request.app[CHAT]
        self._observer = request.app[OBSERVER]
        self._limits = settings.socket
        self._message_bytes = settings.max_body_bytes
        self._connection_id = settings.new_id()
        self._owner = request[OWNER]
        self._request_id = request[REQUEST_ID]
        self._socket = socket
        self._writer = request.writer
        self._transport = transport
        self._outlet = Outlet(socket, transport, settings.send_timeout_seconds)
        self._loop = asyncio.get_running_loop()
        self._readers: dict[str, _Reader] = {}
        self._unreadable = 0
        self._allowance = _Allowance(self._limits.messages_per_second, self._limits.messages_burst)
        self._heard = self._loop.time()
        self._heartbeat = self._loop.call_later(self._limits.ping_seconds, self._beat)

    async def serve(self, retry_after: float | None) -> None:
        """Answer messages until the socket closes; `retry_after` where the server is going away."""
        limits = SocketLimits(
            runs=self._limits.runs,
            message_bytes=self._message_bytes,
            messages_per_second=self._limits.messages_per_second,
            messages_burst=self._limits.messages_burst,
        )
        try:
            self._say(Welcome(connection_id=self._connection_id, limits=limits))
            if retry_after is not None:
                self.announce_draining(retry_after)
            await self._listen()
        finally:
            self._heartbeat.cancel()
            for reader in list(self._readers.values()):
                reader.close()
            self._outlet.close()
        await self._see_off()

    async def _listen(self) -> None:
        async for message in self._socket:
            self._heard = self._loop.time()
            if not self._allowance.take(self._heard):
                await self._close(TOO_MANY_MESSAGES)
                return
            if message.type is WSMsgType.ERROR:
                return  # the socket has closed itself, with the code for it
            self._receive(message.type, message.data)
            self._heard = math.inf  # who is not listened to is not silent
            await self._outlet.caught_up()
            self._heard = self._loop.time()
            if self._unreadable == MOST_UNREADABLE:
                await self._close(BAD_MESSAGES)
                return

    def announce_draining(self, retry_after: float) -> None:
        """Tell the peer to go elsewhere, soon."""
        self._say(Draining(retry_after=retry_after))

    async def go_away(self) -> None:
        """Close, with what was written on its way."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._outlet.settled()
        await self._close(GOING_AWAY)

    async def _close(self, code: int) -> None:
        await close(self._socket, self._transport, code)

    async def _see_off(self) -> None:
        """See the last bytes off: after that nobody watches the peer."""
        self._transport.set_write_buffer_limits(0)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._writer.drain()
        except TimeoutError:
            self._transport.abort()

    # What the peer says.

    def _receive(self, kind: WSMsgType, data: object) -> None:
        if kind is WSMsgType.PONG:
            return
        if kind is WSMsgType.PING and isinstance(data, bytes | bytearray):
            self._outlet.say(bytes(data), WSMsgType.PONG)
            return
        try:
            value = _object_in(kind, data)
        except ServiceError as error:
            self._unreadable += 1
            self._refuse(None, error.problem)
            return
        self._unreadable = 0
        try:
            self._answer(value)
        except ServiceError as error:
            self._refuse(_id_of(value), error.problem)
        except Exception as error:  # the outcome of a message, as of a request in the middleware
            log.error("defect", request_id=self._request_id, exc_info=error)  # noqa: TRY400
            self._refuse(_id_of(value), DEFECT)

    def _answer(self, value: dict[str, object]) -> None:
        match value.get("type"):
            case "chat":
                self._start(parse_as(ChatMessage, value))
            case "resume":
                self._resume(parse_as(ResumeMessage, value))
            case "cancel":
                self._reader(parse_as(CancelMessage, value).id).run.stop(Stop.CANCELLED)
            case "leave":
                reader = self._reader(parse_as(LeaveMessage, value).id)
                reader.close()
                self._say(Left(reader.id))
            case "auth":
                parse_as(AuthMessage, value)
                raise invalid([Fault("#/type", "is not asked for on this socket, or not any more")])
            case "ping":
                parse_as(PingMessage, value)
                self._say(Pong())
            case _:
                raise invalid([Fault("#/type", f"must be one of {', '.join(CLIENT_MESSAGES)}")])

    def _start(self, message: ChatMessage) -> None:
        self._check_free(message.id)
        if message.idempotency_key is not None:
            check_key(message.idempotency_key, "#/idempotency_key")
        try:
            run = self._chat.start(
                message.request, Caller(self._owner, self._request_id, message.idempotency_key)
            )
        except ServiceError as error:
            raise error.under("/request") from None
        self._read(message.id, run, START, asked=True)

    def _resume(self, message: ResumeMessage) -> None:
        self._check_free(message.id)
        returning = message.after != START
        with resuming(self._observer, Transport.WS) if returning else nullcontext():
            run = self._run_of(message)
        self._say(
            Resumed(
                id=message.id,
                run_id=run.run_id,
                after=message.after,
                last_seq=run.last_seq,
                status=run.status,
            )
        )
        if not run.done or message.after < run.last_seq:
            self._read(message.id, run, message.after, asked=False)

    def _run_of(self, message: ResumeMessage) -> Run:
        run = self._chat.runs.get(self._owner, message.run_id)
        if message.after > run.last_seq:
            raise invalid(
                [Fault("#/after", f"is beyond the last event of this run, {run.last_seq}")]
            )
        return run

    def _read(self, reader_id: str, run: Run, after: int, *, asked: bool) -> None:
        reader = _Reader(reader_id, run, after, self._outlet, self._readers, asked=asked)
        self._readers[reader_id] = reader
        self._outlet.has_news(reader)

    def _reader(self, reader_id: str) -> "_Reader":
        if reader := self._readers.get(reader_id):
            return reader
        raise ServiceError(Kind.NOT_FOUND, "nothing is read under this id")

    def _check_free(self, reader_id: str) -> None:
        if reader_id in self._readers:
            raise invalid([Fault("#/id", "is in use on this socket")])
        if len(self._readers) >= self._limits.runs:
            raise ServiceError(
                Kind.RATE_LIMITED,
                f"a socket reads at most {self._limits.runs} runs; leave one, or open another",
                retry_after=1,
            )

    # What the socket says.

    def _say(self, message: ServerMessage) -> None:
        self._outlet.say(encode(message))

    def _refuse(self, message_id: str | None, problem: Problem) -> None:
        self._say(Error(message_id, problem_body(problem, self._request_id)))

    def _beat(self) -> None:
        """Ping; drop a peer that has been silent for two intervals."""
        seconds = self._limits.ping_seconds
        left = self._heard + 2 * seconds - self._loop.time()
        if left <= 0:
            self._transport.abort()
            return
        self._outlet.say(b"", WSMsgType.PING)
        self._heartbeat = self._loop.call_later(min(seconds, left), self._beat)


async def close(socket: Socket, transport: asyncio.WriteTransport, code: int) -> None:
    """Close a socket; a peer that does not take part in that is dropped."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.close(code=code)
    except TimeoutError:
        transport.abort()


class _Reader:
    """A run that is read on a socket, under an id of the peer's choice."""

    def __init__(
        self,
        reader_id: str,
        run: Run,
        after: int,
        outlet: Outlet,
        readers: "dict[str, _Reader]",
        *,
        asked: bool,
    ) -> None:
        self.id = reader_id
        self.run = run
        self._after = after
        self._outlet = outlet
        self._readers = readers
        self._asked = asked
        self._prefix = b'{"id":%b,"seq":' % encode(reader_id)
        self._reading = ExitStack()
        self._reading.enter_context(run.reading())
        self._reading.enter_context(run.following(partial(outlet.has_news, self)))
        self.has_more = False
        """Whether the log went on after what was taken last."""

    def take(self) -> list[bytes]:
        """The next events as frames; the last of them frees the id."""
        run = self.run
        payloads = run.after(self._after)
        frames = ws_frames(self._prefix, self._after + 1, payloads)
        self._after += len(payloads)
        self.has_more = self._after < run.last_seq
        if run.ending and not self.has_more:
            self.close()
            if self._asked and run.failure and not run.started:
                refusal = ServiceError.of(run.failure).under("/request")
                body = problem_body(refusal.problem, run.origin.request_id)
                return [encode(Error(self.id, body))]
        return frames

    def close(self) -> None:
        """Read no more; the id is free."""
        del self._readers[self.id]
        self._outlet.forget(self)
        self._reading.close()


class _Allowance:
    """So many messages a second, and a burst of some more (a token bucket)."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left = float(burst)
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether one more is allowed, at a time of the loop's clock."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        self._left -= 1
        return self._left >= 0


def _object_in(kind: WSMsgType, data: object) -> dict[str, object]:
    """The JSON object that a message is; raises `malformed-json`."""
    if kind is not WSMsgType.TEXT or not isinstance(data, bytes):
        raise ServiceError(Kind.MALFORMED_JSON, "a message must be a text frame")
    return decoded(data, "a message")


def _id_of(value: dict[str, object]) -> str | None:
    """The id that an error can answer under."""
    given = value.get("id")
    return given if isinstance(given, str) and 1 <= len(given) <= LONGEST_ID else None
