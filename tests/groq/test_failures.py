"""What becomes of everything that Groq, or the way to it, can do wrong."""

import asyncio
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import groq
import httpx
import pytest
from attrs import evolve

from asking import LIMITS, QUIET, Clock, Outcome, Wire, ask, model_at, prompt, tasks, wired
from service.core.errors import Kind, Problem
from service.core.events import Delta
from service.groq.client import make_client
from service.groq.failures import LONGEST_MESSAGE, retry_delay, scrubbed
from service.groq.limits import UpstreamLimits
from service.groq.model import GroqModel
from service.simulator import (
    DONE,
    Answer,
    Cut,
    CutBeforeHeaders,
    Gate,
    NoResponse,
    Pause,
    Piece,
    Raw,
    Refusal,
    Script,
    Silence,
    Text,
    chunk,
    error_data,
    stream_of,
)
from support import KEY

AT_ONCE = {"retry-after": "0"}
BEGUN = chunk({"content": "Begun"})
QUICK = evolve(LIMITS, first_token_seconds=0.2, idle_seconds=0.2)
"""Of a reader that does not wait long."""
SLACK = 3
"""Seconds by which a slow computer may miss a limit."""
LEAKY = (
    "Rate limit reached for model `m` in organization `org_01hxyz9ab` service tier `on_demand`: "
    f"key {KEY}, Bearer {KEY}, request req_01abc, project_01def. Please try again in 1m0.36s."
)


async def refused(model: GroqModel, kind: Kind) -> Problem:
    """The problem of a prompt that is refused before an answer begins."""
    outcome = await ask(model)
    assert not outcome.accepted
    assert outcome.problem
    assert outcome.problem.kind is kind
    assert_no_secrets(outcome.problem)
    return outcome.problem


def assert_no_secrets(problem: Problem) -> None:
    for secret in (KEY, "gsk_", "org_", "req_", "127.0.0.1", "localhost", "Traceback"):
        assert secret not in problem.detail


def assert_broken(outcome: Outcome, kind: Kind, content: str = "Begun") -> None:
    """The answer began and did not end."""
    assert outcome.accepted
    assert outcome.content == content
    assert outcome.ending is None
    assert outcome.problem
    assert outcome.problem.kind is kind
    assert_no_secrets(outcome.problem)


# Statuses


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, None, Kind.UPSTREAM_REJECTED),
        (400, "tool_use_failed", Kind.UPSTREAM_REJECTED),
        (400, "json_validate_failed", Kind.UPSTREAM_REJECTED),
        (400, "context_length_exceeded", Kind.CONTEXT_TOO_LONG),
        (400, "model_decommissioned", Kind.MODEL_UNAVAILABLE),
        (401, "invalid_api_key", Kind.UPSTREAM_AUTH),
        (402, None, Kind.UPSTREAM_REJECTED),
        (403, None, Kind.UPSTREAM_AUTH),
        (404, "model_not_found", Kind.MODEL_UNAVAILABLE),
        (404, "unknown_url", Kind.UPSTREAM_REJECTED),
        (405, None, Kind.UPSTREAM_REJECTED),
        (413, "rate_limit_exceeded", Kind.UPSTREAM_TOO_LARGE),
        (422, None, Kind.UPSTREAM_REJECTED),
        (424, None, Kind.UPSTREAM_REJECTED),
        (499, None, Kind.UPSTREAM_REJECTED),
        (301, None, Kind.UPSTREAM_ERROR),
        (304, None, Kind.UPSTREAM_ERROR),
    ],
)
async def test_what_cannot_pass_by_itself_is_refused_and_not_asked_again(
    client: groq.AsyncGroq, script: Script, status: int, code: str | None, kind: Kind
) -> None:
    script.always(Refusal(status, error_data(LEAKY, code), AT_ONCE))

    await refused(GroqModel(client, evolve(LIMITS, retries=2), QUIET), kind)

    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (408, Kind.UPSTREAM_TIMEOUT),
        (409, Kind.UPSTREAM_REJECTED),
        (429, Kind.UPSTREAM_RATE_LIMITED),
        (498, Kind.UPSTREAM_RATE_LIMITED),
        (500, Kind.UPSTREAM_ERROR),
        (502, Kind.UPSTREAM_ERROR),
        (503, Kind.UPSTREAM_ERROR),
        (529, Kind.UPSTREAM_ERROR),
    ],
)
@pytest.mark.parametrize("retries", [0, 2])
async def test_what_may_pass_is_asked_again_as_often_as_was_set(
    client: groq.AsyncGroq, script: Script, status: int, kind: Kind, retries: int
) -> None:
    script.always(Refusal(status, error_data(LEAKY), AT_ONCE))

    await refused(GroqModel(client, evolve(LIMITS, retries=retries), QUIET), kind)

    assert len(script.requests) == 1 + retries


@pytest.mark.parametrize(
    "failure",
    [
        Refusal(429, error_data("m"), AT_ONCE),
        Refusal(500, b"", AT_ONCE),
        Refusal(408, b"", AT_ONCE),
    ],
)
async def test_what_has_passed_is_not_seen(
    client: groq.AsyncGroq, script: Script, failure: Answer
) -> None:
    script.next(failure, failure, Text("Hello"))

    outcome = await ask(GroqModel(client, evolve(LIMITS, retries=2), QUIET))

    assert outcome.content == "Hello"
    assert outcome.ending
    assert script.requests[0].body == script.requests[2].body


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (400, "the reason"),
        (404, "the reason"),
        (413, "the reason; shorten it, or lower max_tokens"),
        (422, "the reason"),
        (424, "the reason"),
        (429, "the reason"),
        (498, "the reason"),
    ],
)
async def test_groqs_reason_is_passed_on(
    model: GroqModel, script: Script, status: int, told: str
) -> None:
    script.next(Refusal(status, error_data("the reason")))

    outcome = await ask(model)

    assert outcome.problem
    assert outcome.problem.detail == told


@pytest.mark.parametrize("status", [401, 403, 408, 500])
async def test_what_groq_says_of_our_side_or_its_own_is_not_passed_on(
    model: GroqModel, script: Script, status: int
) -> None:
    script.next(Refusal(status, error_data("the reason")))

    outcome = await ask(model)

    assert outcome.problem
    assert "the reason" not in outcome.problem.detail


async def test_a_model_that_groq_has_retired_is_told_with_its_replacement(
    model: GroqModel,
) -> None:
    outcome = await ask(model, prompt(model="llama-3.1-8b-instant"))

    assert outcome.problem
    assert outcome.problem.kind is Kind.MODEL_UNAVAILABLE
    assert "use openai/gpt-oss-20b instead" in outcome.problem.detail


async def test_a_key_that_groq_refuses_is_no_secret_either(groq_url: str) -> None:
    client = make_client("gsk_other", groq_url, connections=1, connect_timeout_seconds=1)
    try:
        problem = await refused(GroqModel(client, LIMITS, QUIET), Kind.UPSTREAM_AUTH)
    finally:
        await client.close()

    assert problem.detail == "Groq refused the key that this server uses"


# Bodies of errors


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Kind.UPSTREAM_REJECTED),
        (429, Kind.UPSTREAM_RATE_LIMITED),
        (502, Kind.UPSTREAM_ERROR),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>502 Bad Gateway</body></html>",
        b'{"error":',
        b'{"error":"text"}',
        b'{"error":null}',
        b'{"error":{"message":5,"code":["model_not_found"]}}',
        b'{"error":{"message":"\\ud800 half a character"}}',
        b'{"error":{"\\ud800 half a name":"text"}}',
        b'{"error":{"message":"nul \\u0000 and\\r\\nlines"}}',
        b"null",
        b"[]",
        b'"text"',
        b"1e999",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"error":{"message":"' + b"long " * 100_000 + b'"}}',
    ],
    ids=lambda body: repr(body[:30]) if isinstance(body, bytes) else None,
)
async def test_a_body_that_is_no_error_of_groqs_changes_nothing(
    model: GroqModel, script: Script, status: int, kind: Kind, body: bytes
) -> None:
    script.next(Refusal(status, body))

    problem = await refused(model, kind)

    assert problem.detail.encode()
    assert len(problem.detail) < LONGEST_MESSAGE + 100
    assert "<html" not in problem.detail


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/html"},
        {"Content-Type": "application/json; charset=no-such"},
        {"Content-Type": "application/json; charset=hex"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": ""},
    ],
    ids=str,
)
async def test_the_type_of_an_error_does_not_matter(
    model: GroqModel, script: Script, headers: Mapping[str, str]
) -> None:
    script.next(Refusal(400, error_data("the reason"), headers))

    await refused(model, Kind.UPSTREAM_REJECTED)


async def test_an_error_that_cannot_be_unpacked_is_a_failure(
    model: GroqModel, script: Script
) -> None:
    script.next(Refusal(400, b"no gzip", {"Content-Encoding": "gzip"}))

    outcome = await ask(model)

    assert outcome.problem
    assert outcome.problem.kind in {Kind.UPSTREAM_ERROR, Kind.UPSTREAM_REJECTED}


@pytest.mark.parametrize("status", [400, 500])
async def test_an_error_that_is_cut_off_is_a_failure(
    model: GroqModel, script: Script, status: int
) -> None:
    script.next(Raw([b'{"error":', Cut()], status=status))

    await refused(model, Kind.UPSTREAM_ERROR)


@pytest.mark.parametrize("status", [400, 500])
async def test_an_error_that_does_not_end_is_silence(
    client: groq.AsyncGroq, script: Script, status: int
) -> None:
    script.next(Raw([b'{"error":', Silence()], status=status))

    await refused(GroqModel(client, QUICK, QUIET), Kind.UPSTREAM_TIMEOUT)

    await script.disconnected(0)


def test_what_is_passed_on_is_without_secrets_and_of_bounded_length() -> None:
    text = scrubbed(LEAKY + " more" * 1000)

    assert text.startswith("Rate limit reached for model `m` in organization `[…]` service tier")
    assert len(text) == LONGEST_MESSAGE
    assert KEY not in text


# Waits


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        ("30", 30),
        ("7.66", 7.66),
        ("86400", 86_400),
        ("", 1),
        ("soon", 1),
        ("-5", 1),
        ("nan", 1),
        ("inf", 1),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1),
        ("1m26.4s", 1),
    ],
)
async def test_a_rate_limit_says_when_to_come_back(
    model: GroqModel, script: Script, retry_after: str, expected: float
) -> None:
    script.next(Refusal(429, error_data(LEAKY), {"retry-after": retry_after}))

    problem = await refused(model, Kind.UPSTREAM_RATE_LIMITED)

    assert problem.retry_after == expected


async def test_a_rate_limit_without_a_time_says_one(model: GroqModel, script: Script) -> None:
    script.next(Refusal(429, error_data("slow down")))

    problem = await refused(model, Kind.UPSTREAM_RATE_LIMITED)

    assert problem.retry_after == 1


async def test_a_short_retry_after_is_waited_for(client: groq.AsyncGroq, script: Script) -> None:
    script.next(Refusal(429, error_data("m"), {"retry-after": "0.2"}), Text("Hello"))

    outcome = await ask(GroqModel(client, evolve(LIMITS, retries=1), QUIET))

    assert outcome.content == "Hello"
    assert 0.2 <= outcome.seconds < 0.2 + SLACK


@pytest.mark.parametrize("status", [429, 498, 500, 503])
async def test_a_retry_after_beyond_the_limit_is_passed_on_at_once(
    client: groq.AsyncGroq, script: Script, status: int
) -> None:
    script.always(Refusal(status, error_data("m"), {"retry-after": "5.1"}))

    outcome = await ask(GroqModel(client, evolve(LIMITS, retries=5), QUIET))

    assert outcome.problem
    assert outcome.problem.retry_after == (5.1 if status < 499 else None)
    assert len(script.requests) == 1
    assert outcome.seconds < SLACK


async def test_no_wait_goes_beyond_the_deadline(client: groq.AsyncGroq, script: Script) -> None:
    script.always(Refusal(429, error_data("m"), {"retry-after": "2"}))
    limits = evolve(LIMITS, retries=5, first_token_seconds=1.5)

    outcome = await ask(GroqModel(client, limits, QUIET))

    assert outcome.problem
    assert outcome.problem.kind is Kind.UPSTREAM_RATE_LIMITED
    assert outcome.seconds < 1.5


async def test_without_a_retry_after_there_is_a_pause(
    client: groq.AsyncGroq, script: Script
) -> None:
    script.next(Refusal(500, b""), Text("Hello"))

    outcome = await ask(GroqModel(client, evolve(LIMITS, retries=1), QUIET))

    assert outcome.content == "Hello"
    assert 0.25 <= outcome.seconds < 0.5 + SLACK


@pytest.mark.parametrize(
    ("attempt", "longest"), [(0, 0.5), (1, 1), (2, 2), (3, 4), (4, 4), (1000, 4)]
)
def test_pauses_grow_up_to_a_limit_and_differ(attempt: int, longest: float) -> None:
    error = groq.APIConnectionError(request=httpx.Request("POST", "http://groq.test"))

    assert retry_delay(error, attempt, 0) == longest
    assert retry_delay(error, attempt, 1) == longest / 2


async def test_all_attempts_together_keep_to_the_deadline(
    client: groq.AsyncGroq, script: Script
) -> None:
    script.next(Refusal(500, b"", {"retry-after": "0.1"}))
    script.always(NoResponse())

    outcome = await ask(
        GroqModel(client, evolve(LIMITS, retries=9, first_token_seconds=0.4), QUIET)
    )

    assert outcome.problem
    assert outcome.problem.kind is Kind.UPSTREAM_TIMEOUT
    assert 0.4 <= outcome.seconds < 0.4 + SLACK
    await script.disconnected(1)


# Where there is no answer of Groq's


@pytest.mark.parametrize(
    "failure",
    [
        CutBeforeHeaders(),
        Raw([b"<html>"], headers={"Content-Type": "text/html"}),
        Raw([b'{"error":{"message":"m"}}'], headers={"Content-Type": "application/json"}),
    ],
)
async def test_what_is_no_answer_is_asked_again_after_a_pause(
    client: groq.AsyncGroq, script: Script, failure: Answer
) -> None:
    script.next(failure, Text("Hello"))

    outcome = await ask(GroqModel(client, evolve(LIMITS, retries=1), QUIET))

    assert outcome.content == "Hello"
    assert 0.25 <= outcome.seconds < 0.5 + SLACK


async def test_a_connection_cut_before_the_headers_is_a_failure(
    model: GroqModel, script: Script
) -> None:
    script.next(CutBeforeHeaders())

    await refused(model, Kind.UPSTREAM_ERROR)


@pytest.mark.parametrize("kind", ["text/html", "application/json", "text/plain; charset=utf-8"])
async def test_another_type_with_status_200_is_a_failure_and_is_left(
    model: GroqModel, script: Script, kind: str
) -> None:
    script.next(Raw([b"<html>", Silence()], headers={"Content-Type": kind}))

    await refused(model, Kind.UPSTREAM_ERROR)

    await script.disconnected(0)


@pytest.mark.parametrize("kind", ["text/event-stream; charset=utf-8", "Text/Event-Stream"])
async def test_the_type_of_a_stream_may_be_written_in_other_ways(
    model: GroqModel, script: Script, kind: str
) -> None:
    script.next(Raw(stream_of("Hello", 2), headers={"Content-Type": kind}))

    outcome = await ask(model)

    assert outcome.content == "Hello"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_nobody_is_sent_elsewhere(
    client: groq.AsyncGroq, script: Script, status: int
) -> None:
    async with wired(Wire()) as elsewhere:
        location = {"Location": f"{elsewhere.url}/openai/v1/chat/completions"}
        script.always(Refusal(status, b"", location))

        await refused(GroqModel(client, LIMITS, QUIET), Kind.UPSTREAM_ERROR)

    assert elsewhere.connections == 0
    assert len(script.requests) == 1


async def test_no_headers_are_silence(client: groq.AsyncGroq, script: Script) -> None:
    script.next(NoResponse())

    outcome = await ask(GroqModel(client, evolve(QUICK, retries=2), QUIET))

    assert not outcome.accepted
    assert outcome.problem
    assert outcome.problem.kind is Kind.UPSTREAM_TIMEOUT
    assert 0.2 <= outcome.seconds < 0.2 + SLACK
    assert len(script.requests) == 1
    await script.disconnected(0)


async def test_a_refused_connection_is_a_failure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with model_at(f"http://127.0.0.1:{taken.getsockname()[1]}") as model:
            problem = await refused(model, Kind.UPSTREAM_ERROR)

    assert problem.detail == "no connection to Groq"


async def test_a_host_without_an_address_is_a_failure() -> None:
    async with model_at("http://groq.invalid") as model:
        await refused(model, Kind.UPSTREAM_ERROR)


@contextmanager
def full() -> Iterator[str]:
    """A port where no connection comes about: its queue is full."""
    with socket.socket() as server, ExitStack() as waiting:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_a_connection_that_does_not_come_about_is_given_up() -> None:
    with full() as url:
        async with model_at(url) as model:
            outcome = await ask(model)

    assert outcome.problem
    assert outcome.problem.kind is Kind.UPSTREAM_ERROR
    assert 0.3 <= outcome.seconds < 0.3 + SLACK


async def test_a_port_that_accepts_and_says_nothing_is_silence() -> None:
    async with wired(Wire(closes=False)) as wire, model_at(wire.url, QUICK) as model:
        await refused(model, Kind.UPSTREAM_TIMEOUT)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x03\x00\x02\x02\x16",
        b"HTTP/1.1 twohundred OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200",
        b"",
    ],
    ids=lambda answer: repr(answer[:40]),
)
async def test_something_else_than_http_is_a_failure(answer: bytes) -> None:
    async with wired(Wire(answer)) as wire, model_at(wire.url) as model:
        await refused(model, Kind.UPSTREAM_ERROR)


@pytest.mark.parametrize(
    "body",
    [
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\nnonsense\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffffff\r\n",
        HEAD + b"Content-Length: 1000\r\n\r\ndata: ",
        HEAD + b"\r\ndata: ",
        HEAD + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
    ],
    ids=lambda body: repr(body[-40:]),
)
@pytest.mark.parametrize("closes", [True, False])
async def test_a_body_that_is_no_http_is_a_failure(body: bytes, closes: bool) -> None:
    limits = evolve(QUICK, first_token_seconds=0.1, idle_seconds=0.1)
    async with wired(Wire(body, closes)) as wire, model_at(wire.url, limits) as model:
        outcome = await ask(model)

    assert outcome.ending is None
    assert outcome.problem
    assert outcome.problem.kind in {Kind.UPSTREAM_ERROR, Kind.UPSTREAM_TIMEOUT}


# After the beginning of an answer


@pytest.mark.parametrize(
    ("pieces", "detail"),
    [
        ([BEGUN, Cut()], "the connection to Groq broke off"),
        ([BEGUN, b'data: {"cho', Cut()], "the connection to Groq broke off"),
        ([BEGUN], "Groq ended the answer before its end"),
        ([BEGUN, b'data: {"cho'], "Groq ended the answer before its end"),
        ([BEGUN, DONE[:-2]], "Groq ended the answer before its end"),
        ([BEGUN, chunk({}, "stop")], "Groq ended the answer before its end"),
        ([BEGUN, b'event: error\ndata: {"error":{"message":"org_1"}}\n\n', Silence()], None),
        ([BEGUN, b"event: error\ndata: org_1\n\n", Silence()], None),
        ([BEGUN, b'data: {"error":{"message":"org_1"}}\n\n', Silence()], None),
        ([BEGUN, chunk({}, x_groq={"id": "req_1", "error": "org_1"}), Silence()], None),
        ([BEGUN, b"data: {\n\n", Silence()], "Groq sent what cannot be read"),
        ([BEGUN, b'data: {"a":"\xff"}\n\ndata: \xff\n\n', Silence()], None),
        ([BEGUN, chunk({"content": 5}), Silence()], "Groq sent what cannot be read"),
        ([BEGUN, *[b"x" * 2**20] * 9, Silence()], "Groq sent an event that is too long"),
        (
            [BEGUN, *[b"data:" + b" " * 2**20 + b"\n"] * 9, Silence()],
            "Groq sent an event that is too long",
        ),
    ],
    ids=repr,
)
async def test_an_answer_that_breaks_off_is_a_failure_and_its_connection_is_left(
    model: GroqModel, script: Script, pieces: Sequence[Piece], detail: str | None
) -> None:
    script.next(Raw(pieces))

    outcome = await ask(model)

    assert_broken(outcome, Kind.UPSTREAM_ERROR)
    assert outcome.problem
    assert outcome.problem.detail == (detail or outcome.problem.detail)
    assert len(script.requests) == 1
    if isinstance(pieces[-1], Silence):
        await script.disconnected(0)


@pytest.mark.parametrize(
    "failure",
    [b"data: {\n\n", b'data: {"error":"m"}\n\n', chunk({}, x_groq={"error": "m"}), b"data: {"],
)
async def test_text_that_comes_together_with_a_failure_is_not_lost(
    model: GroqModel, script: Script, failure: bytes
) -> None:
    script.next(Raw([BEGUN + failure]))

    assert_broken(await ask(model), Kind.UPSTREAM_ERROR)


async def test_an_answer_that_ends_at_once_is_a_failure(model: GroqModel, script: Script) -> None:
    script.next(Raw([]))

    assert_broken(await ask(model), Kind.UPSTREAM_ERROR, "")


async def test_a_packed_answer_is_a_failure(model: GroqModel, script: Script) -> None:
    script.next(Raw([b"\x1f\x8b\x08\x00 packed"], headers={"Content-Encoding": "gzip"}))

    assert_broken(await ask(model), Kind.UPSTREAM_ERROR, "")


@pytest.mark.parametrize(
    ("limits", "pieces", "content"),
    [
        (evolve(LIMITS, first_token_seconds=0.2), [Silence()], ""),
        (evolve(LIMITS, idle_seconds=0.2), [BEGUN, Silence()], "Begun"),
        (evolve(LIMITS, idle_seconds=0.2), [BEGUN, b"data: {", Silence()], "Begun"),
        (evolve(LIMITS, idle_seconds=0.2), [BEGUN, DONE[:-1], Silence()], "Begun"),
    ],
)
async def test_silence_ends_an_answer(
    client: groq.AsyncGroq,
    script: Script,
    limits: UpstreamLimits,
    pieces: Sequence[Piece],
    content: str,
) -> None:
    script.next(Raw(pieces))

    outcome = await ask(GroqModel(client, limits, QUIET))

    assert_broken(outcome, Kind.UPSTREAM_TIMEOUT, content)
    assert 0.2 <= outcome.seconds < 0.2 + SLACK
    await script.disconnected(0)


async def test_an_answer_may_take_longer_than_any_silence(
    model: GroqModel, script: Script, clock: Clock
) -> None:
    gates = [asyncio.Event() for _ in range(5)]
    script.next(Raw([piece for gate in gates for piece in (Gate(gate), BEGUN)]))

    async with model.answer(prompt()) as parts:
        for gate in gates:
            clock.forward(LIMITS.idle_seconds - 3)
            gate.set()
            assert await anext(parts) == Delta("Begun")


async def test_a_comment_is_a_sign_of_life(client: groq.AsyncGroq, script: Script) -> None:
    waiting: list[Piece] = [b": waiting\n", Pause(0.1)]
    script.next(Raw([*waiting * 8, b"\n" + BEGUN, DONE]))

    outcome = await ask(GroqModel(client, evolve(QUICK, idle_seconds=0.6), QUIET))

    assert outcome.content == "Begun"
    assert outcome.seconds > 0.6


async def test_failures_leave_nothing_behind(model: GroqModel, script: Script) -> None:
    script.next(Raw([BEGUN, Cut()]), CutBeforeHeaders(), Refusal(500, b""), Text("Hello"))

    problems = [(await ask(model)).problem for _ in range(3)]
    outcome = await ask(model)

    assert all(problems)
    assert outcome.content == "Hello"
    assert await tasks() == []
