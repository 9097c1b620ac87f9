"""What is answered to bytes that are no good request, and how are all answers guarded?"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from web.answering import GUARDS, answer_to, logged, response_on
from web.outside import chat_bytes, connections, request_bytes, until, wired

from support import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = request_bytes("GET", "/health")
SECRET = b"hidden"
"""In every malformed request."""

MALFORMED = [
    (SECRET + b"\r\n\r\n", 400),
    (b"\x16\x03\x01\x00\xc8\x01" + SECRET, 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SECRET, 400),
    (b"HIDE /hidden HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET hidden HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET http://[::1/hidden HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /hidden\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /hidden\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /hidden HTTP/9.9\r\nHost: a\r\n\r\n", 400),
    (b"GET /hidden HTTP/1.1\nHost: a\n\n", 400),
    (b"GET /hidden HTTP/1.1\r\n\r\n", 400),
    (b"GET /hidden HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    (b"GET /hidden HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n", 400),
    (b"GET /hidden HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
    (b"GET /hidden HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    (b"POST /hidden HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST /hidden HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (
        b"POST /hidden HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n"
        b"\r\n0\r\n\r\n",
        400,
    ),
    (b"POST /hidden HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: hidden\r\n\r\n", 400),
    (b"POST /hidden HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"GET /hidden" + b"a" * 8200 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    (b"GET /hidden HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 8200 + b"\r\n\r\n", 431),
    (b"GET /hidden HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
    (b"GET /health?hidden HTTP/1.1\r\nHost: a\r\nExpect: hidden\r\n\r\n", 417),
    (b"GET /hidden HTTP/1.1\r\nHost: a\r\nExpect: hidden\r\n\r\n", 417),
]
SLUGS = {400: "bad-request", 417: "expectation-failed", 431: "headers-too-large"}


# What cannot be parsed.


@pytest.mark.parametrize(("sent", "status"), MALFORMED)
async def test_what_cannot_be_parsed_is_a_problem_and_the_end(
    shared: Running, sent: bytes, status: int
) -> None:
    with logged() as lines:
        async with wired(shared.client) as wire:
            await wire.send(sent)
            response = await response_on(wire)
            rest = await wire.rest()

    assert response
    assert response.status == status
    assert response.problem["type"] == f"/problems/{SLUGS[status]}"
    assert rest == b""
    assert SECRET not in response.body
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("request_refused", "info")
    assert line["request_id"] == response.headers["x-request-id"]
    assert "hid" not in str(line).lower()


@pytest.mark.parametrize("version", ["0.9", "2.0"])
async def test_other_versions_of_http_are_refused_in_ours(shared: Running, version: str) -> None:
    response = await answer_to(shared, request_bytes("GET", "/health", version=version))

    assert response
    assert response.problem["type"] == "/problems/bad-request"


@pytest.mark.parametrize("begun", [b"", b"2\r\n{}\r\n", b"2\r\n{"])
async def test_a_body_that_breaks_on_its_way_is_answered_once_and_at_once(
    shared: Running, begun: bytes
) -> None:
    head = request_bytes(
        "POST", "/api/chat", b"", "Content-Type: application/json", "Transfer-Encoding: chunked"
    )
    before = connections(shared)

    with logged() as lines:
        async with wired(shared.client) as wire:
            await wire.send(head + begun)
            await until(lambda: [line["event"] for line in lines] == ["request_started"])
            await wire.send(b"zz\r\n")
            response = await response_on(wire)
            rest = await wire.rest()

    assert response
    assert response.problem["type"] == "/problems/malformed-json"
    assert rest == b""
    assert {line["log_level"] for line in lines} == {"info"}
    await until(lambda: connections(shared) == before)


async def test_a_body_that_nobody_reads_may_break_as_well(shared: Running) -> None:
    with logged() as lines:
        async with wired(shared.client) as wire:
            head = request_bytes("POST", "/nothing", b"", "Transfer-Encoding: chunked")
            await wire.send(head)
            response = await response_on(wire)
            await wire.send(b"zz\r\n")
            rest = await wire.rest()

    assert response
    assert response.status == 404
    assert rest == b""
    assert {line["log_level"] for line in lines} == {"info"}


@pytest.mark.parametrize(
    ("upgrade", "key"),
    [
        ("Upgrade: \x80websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        ("Upgrade: websocket", "Sec-WebSocket-Key: \x80"),
        ("Upgrade: websocket", "Sec-WebSocket-Key: a"),
    ],
)
async def test_a_handshake_that_is_none_is_no_defect(
    shared: Running, upgrade: str, key: str
) -> None:
    response = await answer_to(
        shared,
        request_bytes(
            *("GET", "/api/chat/ws", b"", "Connection: upgrade", upgrade),
            *("Sec-WebSocket-Version: 13", key),
        ),
    )

    assert response
    assert response.problem["type"] == "/problems/validation-error"


# Headers.


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GOOD, 200),
        (request_bytes("GET", "/api/conversations"), 200),
        (request_bytes("GET", "/nothing"), 404),
        (request_bytes("PUT", "/health"), 405),
        (request_bytes("POST", "/api/chat"), 415),
        (request_bytes("OPTIONS", "/api/chat"), 403),
        (b"garbage\r\n\r\n", 400),
        (request_bytes("GET", "/health", b"", "Expect: x"), 417),
    ],
)
async def test_every_answer_is_guarded_in_browsers(
    shared: Running, request_: bytes, status: int
) -> None:
    response = await answer_to(shared, request_)

    assert response
    assert response.status == status
    assert GUARDS.items() <= response.headers.items()
    assert response.headers["cache-control"] == "no-store"


async def test_a_stream_is_guarded_and_says_itself_what_may_be_kept(shared: Running) -> None:
    response = await answer_to(shared, chat_bytes("/api/chat/stream"))

    assert response
    assert GUARDS.items() <= response.headers.items()
    assert response.headers["cache-control"] == "no-cache, no-transform"


# Whatever comes.


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def impatient() -> AsyncIterator[Running]:
    async with running(HEADER_TIMEOUT="0.05", SEND_TIMEOUT="0.1") as service:
        yield service


TOKENS = [
    *(
        b"GET ",
        b"POST ",
        b"/health",
        b"/api/chat",
        b"/api/chat/stream",
        b"/api/chat/ws",
        b" HTTP/1.1",
    ),
    *(b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"\t", b"%", b"?", b"#", b"//", b"\xff", b"*"),
    *(
        b"Host: a\r\n",
        b"Host: evil.example:80\r\n",
        b"Origin: null\r\n",
        b"Expect: 100-continue\r\n",
    ),
    *(b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"),
    *(b"Content-Type: application/json\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
    *(b"Sec-WebSocket-Version: 13\r\n", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
    *(b"2\r\n{}\r\n", b"0\r\n\r\n", b"{}", b"ffffffffffffffff1\r\n", b"a" * 9000),
]
BASES = [
    GOOD,
    chat_bytes("/api/chat"),
    chat_bytes("/api/chat/stream", "Last-Event-ID: x:1"),
    request_bytes("GET", "/api/conversations?q=a&limit=1&cursor=x", b"", "X-Request-Id: a"),
    request_bytes("POST", "/api/chat", b"", *("Transfer-Encoding: chunked", "Expect: x"))
    + b"2\r\n{}\r\n0\r\n\r\n",
    request_bytes(
        *("GET", "/api/chat/ws", b"", "Connection: upgrade", "Upgrade: websocket"),
        *("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    ),
]


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A good request, with something put into it or taken out."""
    request = draw(st.sampled_from(BASES))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(request)))
        end = draw(st.integers(start, min(len(request), start + 12)))
        put = draw(st.sampled_from(TOKENS) | st.binary(max_size=6))
        request = request[:start] + put + request[end:]
    return request


ANYTHING = st.one_of(
    spoilt(), st.lists(st.sampled_from(TOKENS), max_size=12).map(b"".join), st.binary(max_size=60)
)


@given(sent=ANYTHING, cut=st.floats(0, 1))
async def test_whatever_comes_is_answered_or_dropped_and_the_next_is_served(
    impatient: Running, sent: bytes, cut: float
) -> None:
    middle = round(cut * len(sent))

    with logged() as lines:
        response = await answer_to(impatient, sent[:middle], sent[middle:])
        after = await answer_to(impatient, GOOD)

    assert after
    assert after.status == 200
    assert {line["log_level"] for line in lines} <= {"debug", "info"}, lines
    if response:
        assert response.headers["x-request-id"]
        assert response.status < 400 or response.problem
