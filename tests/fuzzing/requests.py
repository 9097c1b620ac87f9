"""What comes of any bytes in the line and the headers of a request?"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import TypeVar
from urllib.parse import quote_from_bytes

import msgspec
from aiohttp import hdrs, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, RawRequestMessage
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.test_utils import make_mocked_request

from fuzzing.promises import check_pointers
from service.composition import compose, new_id, now
from service.core.accounts import Accounts
from service.core.conversations import Conversations
from service.core.errors import Kind, ServiceError
from service.core.events import Delta
from service.core.owners import ANONYMOUS
from service.core.plan import Stamps
from service.core.run import START, Origin, Run
from service.core.runs import RunLimits, Runs
from service.groq.client import make_client
from service.settings import load_settings
from service.store.memory import MemoryStore
from service.web.admission import check_host, check_origin
from service.web.authentication import credential_of
from service.web.body import IDEMPOTENCY_KEY, check_key
from service.web.conversations import list_conversations
from service.web.keys import ACCOUNTS, CONVERSATIONS, OWNER, SETTINGS
from service.web.runs import LAST_EVENT_ID, cursor_of
from service.web.usage import show_usage
from support import KEY, catalogue

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

EVENTS = 3
LOCAL = (hdrs.HOST, b"localhost")
STRUCTURE = "=&+%;/?:@!$'()*,[]"
"""What a query may hold besides letters without being percent-encoded."""


def list_query(data: bytes) -> None:
    """A list is answered, or refused for its query."""
    check_answer(data, list_conversations, ("limit", "cursor", "q"))


def usage_query(data: bytes) -> None:
    """So is what was spent in a period."""
    check_answer(data, show_usage, ("from", "to", "group_by"))


def check_answer(query: bytes, handler: Handler, names: tuple[str, ...]) -> None:
    """Fail unless a query is answered with JSON, or refused for one of its members."""
    request = request_of(b"/?" + quote_from_bytes(query, safe=STRUCTURE).encode())
    if request is None:
        return
    try:
        response = result_of(handler(request))
    except ServiceError as error:
        check_pointers(error.problem, [f"#/query/{name}" for name in names])
    else:
        assert isinstance(response, web.Response)
        assert response.status == web.HTTPOk.status_code
        assert isinstance(response.body, bytes)
        msgspec.json.decode(response.body)


def run_cursor(data: bytes) -> None:
    """A cursor, `Last-Event-ID` in the first line and the query in the second, is of its run."""
    header, _, query = data.partition(b"\n")
    target = b"/?" + quote_from_bytes(query, safe=STRUCTURE).encode()
    request = request_of(target, (LAST_EVENT_ID, header))
    if request is None:
        return
    try:
        assert START <= cursor_of(request, the_run()) < EVENTS
    except ServiceError as error:
        check_pointers(error.problem, [f"#/headers/{LAST_EVENT_ID}", "#/query/after"])


def idempotency_key(data: bytes) -> None:
    """A key is 1 to 200 visible ASCII characters, or refused."""
    request = request_of(b"/", (IDEMPOTENCY_KEY, data))
    if request is None:
        return
    key, pointer = request.headers[IDEMPOTENCY_KEY], f"#/headers/{IDEMPOTENCY_KEY}"
    well_formed = 1 <= len(key) <= 200 and all("!" <= character <= "~" for character in key)
    try:
        check_key(key, pointer)
        assert well_formed
    except ServiceError as error:
        assert not well_formed
        check_pointers(error.problem, [pointer])


def authorization(data: bytes) -> None:
    """The header gives one word at the most, and none for another scheme than Bearer."""
    request = request_of(b"/", (hdrs.AUTHORIZATION, data))
    if request is None:
        return
    credential = credential_of(request)

    assert credential == credential.strip()
    assert not credential or request.headers[hdrs.AUTHORIZATION].lower().startswith("bearer ")
    assert credential in request.headers[hdrs.AUTHORIZATION]


def names(data: bytes) -> None:
    """A `Host` and, in the second line, an `Origin` are let in or refused; a foreign one never."""
    host, _, origin = data.partition(b"\n")
    request = request_of(b"/", (hdrs.HOST, host), (hdrs.ORIGIN, origin))
    if request is None:
        return
    try:
        check_host(request)
        check_origin(request)
    except ServiceError as error:
        assert error.problem.kind in {Kind.FORBIDDEN, Kind.BAD_REQUEST}
        assert error.problem.detail.isprintable()
    else:
        sent = request.headers[hdrs.ORIGIN]
        site = sent.partition("://")[2].lower().removesuffix(":443").removesuffix(":80")
        known = sent in request.app[SETTINGS].cors_origins
        assert known or request.headers[hdrs.HOST].lower().startswith(site)


def request_of(target: bytes, *headers: tuple[str, bytes]) -> web.Request | None:
    """The request that such bytes are to aiohttp; None where it refuses them."""
    sent = headers if headers and headers[0][0] == hdrs.HOST else (LOCAL, *headers)
    lines = [b"GET %b HTTP/1.1" % target, *(b"%b: %b" % (n.encode(), v) for n, v in sent)]
    return result_of(_request_of(b"\r\n".join([*lines, b"", b""]), headers, the_app()))


async def _request_of(
    data: bytes, headers: Sequence[tuple[str, bytes]], app: web.Application
) -> web.Request | None:
    loop = asyncio.get_running_loop()
    message = _parsed(data, loop)
    if message is None or any(len(message.headers.getall(name, [])) != 1 for name, _ in headers):
        return None  # a value that ended its line has become something else
    usual = make_mocked_request("GET", "/", app=app)
    request = web.Request(message, EMPTY_PAYLOAD, usual.protocol, usual.writer, usual.task, loop)
    request._match_info = usual.match_info  # noqa: SLF001  # as the router does
    request[OWNER] = ANONYMOUS
    return request


def _parsed(data: bytes, loop: asyncio.AbstractEventLoop) -> RawRequestMessage | None:
    try:
        messages, *_ = HttpRequestParser(BaseProtocol(loop), loop, 65_536).feed_data(data)
    except HttpProcessingError:
        return None
    message = messages[0][0] if messages else None
    return message if isinstance(message, RawRequestMessage) else None


def result_of(answer: Awaitable[T]) -> T:
    """What comes of something that waits for nothing outside."""

    async def answered() -> T:
        return await answer

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(answered())
    finally:
        loop.close()


@cache
def the_app() -> web.Application:
    """The service as it is composed, in front of no Groq, with a store that is open."""

    async def composed() -> web.Application:
        settings = load_settings({"CONVERSATION_STORE": "memory://", "GROQ_API_KEY": KEY})
        groq = make_client(KEY, "http://127.0.0.1:1", connections=1, connect_timeout_seconds=1)
        app = compose(settings, catalogue(), groq, simulated=False).app
        await groq.close()
        store = MemoryStore()
        await store.open()
        app[CONVERSATIONS] = Conversations(store, Runs(RunLimits(1, 0, 0)))
        app[ACCOUNTS] = Accounts(store, Stamps(new_id, now))
        return app

    return result_of(composed())


@cache
def the_run() -> Run:
    """A run with some events."""

    async def made() -> Run:
        run = Run(Origin("", "run", None, "", "", cancel_when_left=False, detached=False), 1.0)
        for _ in range(EVENTS):
            run.append(Delta("text"))
        return run

    return result_of(made())
