"""What is refused before anybody reads what it says, and what Groq refuses."""

import gzip
import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from web.outside import (
    JSON_TYPE,
    asked,
    chat,
    chat_bytes,
    conversation_about,
    exchange,
    listed,
    problem_of,
    request_bytes,
    shown,
    state_of,
    wired,
)

from service.simulator import CutBeforeHeaders, NoResponse, Raw, Refusal, Text, error_data
from support import MODEL, Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODIES = {
    "nothing": b"",
    "white space": b" \n",
    "not JSON": b"model=x",
    "half": b'{"model":',
    "an array": b"[]",
    "a string": b'"x"',
    "a number": b"1",
    "null": b"null",
    "two values": b"{}{}",
    "a comma too many": b'{"a":1,}',
    "single quotes": b"{'a':1}",
    "a comment": b'{"a":1} // x',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "no UTF-8": b'{"a":"\xff"}',
    "no UTF-8 in a name": b'{"\xc3":1}',
    "an encoded surrogate": b'{"a":"\xed\xa0\x80"}',
    "overlong UTF-8": b'{"a":"\xc0\xaf"}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "a lone low surrogate": b'{"a":"\\udc00"}',
    "a lone surrogate in a name": b'{"\\ud800":1}',
    "two high surrogates": b'{"a":"\\ud800\\ud800"}',
    "a control character": b'{"a":"\x00"}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "a name that is no string": b"{1:1}",
    "deep arrays": b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}",
    "deep objects": b'{"a":' * 500 + b"1" + b"}" * 500 + b"x",
}
ENDPOINTS = [
    ("POST", "/api/chat/stream"),
    ("POST", "/api/chat"),
    ("POST", "/api/runs"),
    ("PATCH", "/api/conversations/x"),
    ("POST", "/api/conversations/x/messages/y/regenerate"),
]


@pytest.mark.parametrize("what", BODIES)
async def test_a_body_that_is_no_json_object_is_malformed(shared: Running, what: str) -> None:
    async with shared.client.post("/api/chat", data=BODIES[what], headers=JSON_TYPE) as response:
        await problem_of(response, 400, "malformed-json")


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_so_it_is_wherever_there_is_a_body(shared: Running, method: str, path: str) -> None:
    async with shared.client.request(method, path, data=b"[]", headers=JSON_TYPE) as response:
        await problem_of(response, 400, "malformed-json")


async def test_a_body_may_be_nested_deeply_where_that_is_all(shared: Running) -> None:
    body = b'{"model":' + b"[" * 900 + b"]" * 900 + b"}"

    async with shared.client.post("/api/chat", data=body, headers=JSON_TYPE) as response:
        assert response.status in (400, 422)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/problem+json", "*/*"]
)
@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_other_media_types_are_not_read(
    shared: Running, method: str, path: str, kind: str
) -> None:
    async with shared.client.request(
        method, path, data=b"{}", headers={"Content-Type": kind}
    ) as response:
        await problem_of(response, 415, "unsupported-media-type")


async def test_a_body_without_a_media_type_is_not_read(shared: Running) -> None:
    status, _, body = await exchange(
        shared.client, request_bytes("POST", "/api/chat", b"{}", "Connection: close")
    )

    assert (status, json.loads(body)["type"]) == (415, "/problems/unsupported-media-type")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
async def test_a_media_type_may_say_more(shared: Running, kind: str) -> None:
    async with shared.client.post(
        "/api/chat", data=b"{}", headers={"Content-Type": kind}
    ) as response:
        await problem_of(response, 422, "validation-error")


# Size.


def of_size(size: int) -> bytes:
    body = json.dumps(asked(save_conversation=False)).encode()
    return body + b" " * (size - len(body))


async def test_a_body_of_exactly_the_limit_is_read(shared: Running) -> None:
    async with shared.client.post("/api/chat", data=of_size(4096), headers=JSON_TYPE) as response:
        assert response.status == 200


@pytest.mark.parametrize("path", ["/api/chat/stream", "/api/chat", "/api/runs"])
async def test_one_byte_more_is_too_large(shared: Running, path: str) -> None:
    async with shared.client.post(path, data=of_size(4097), headers=JSON_TYPE) as response:
        problem = await problem_of(response, 413, "payload-too-large")

    assert "4096" in problem["detail"]


async def test_a_chunked_body_is_measured_as_it_comes(shared: Running) -> None:
    async with wired(shared.client) as wire:
        await wire.send(
            b"POST /api/chat HTTP/1.1\r\nHost: s\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + (b"400\r\n" + b" " * 1024 + b"\r\n") * 5
        )
        head = await wire.head()

    assert head.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "GZIP, identity"])
async def test_a_compressed_body_is_refused_and_never_unpacked(
    shared: Running, coding: str
) -> None:
    bomb = gzip.compress(b" " * 10_000_000, 1)
    headers = [
        "Content-Type: application/json",
        f"Content-Encoding: {coding}",
        "Connection: close",
    ]

    status, _, body = await exchange(
        shared.client, request_bytes("POST", "/api/chat", bomb[:4000], *headers)
    )

    assert (status, json.loads(body)["type"]) == (415, "/problems/unsupported-media-type")


async def test_a_content_type_that_is_no_text_is_refused(shared: Running) -> None:
    request = (
        b"POST /api/chat HTTP/1.1\r\nHost: s\r\nConnection: close\r\n"
        b"Content-Type: a/\xff\r\nContent-Length: 2\r\n\r\n{}"
    )

    status, _, body = await exchange(shared.client, request)

    assert (status, json.loads(body)["type"]) == (415, "/problems/unsupported-media-type")


@pytest.mark.parametrize(
    "body",
    [
        {"hyperparameters": {"stop": [0] * 400}},
        {"hyperparameters": {f"unknown{number}": 0 for number in range(300)}},
        {f"unknown{number}": 0 for number in range(300)},
    ],
)
async def test_no_more_faults_are_told_than_anybody_reads(body: dict[str, object]) -> None:
    async with running() as served:
        conversation = await conversation_about(served, "What?")
        answer = (await shown(served, conversation))["messages"][1]["message_id"]
        path = f"/api/conversations/{conversation}/messages/{answer}/regenerate"
        for target in ("/api/chat", path):
            async with served.client.post(target, json=body) as response:
                problem = await response.json()

            assert problem["type"] == "/problems/validation-error"
            assert len(problem["errors"]) <= 200


# Routes.


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/api", "/api/", "/api/chat/", "/api/conversations/", "/API/chat", "/docs/"],
)
async def test_there_is_nothing_elsewhere(shared: Running, path: str) -> None:
    async with shared.client.get(path) as response:
        await problem_of(response, 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/chat", "POST"),
        ("GET", "/api/chat/stream", "POST"),
        ("PUT", "/api/runs", "POST"),
        ("DELETE", "/api/runs/x", "GET"),
        ("POST", "/api/runs/x/events", "GET"),
        ("GET", "/api/runs/x/cancel", "POST"),
        ("POST", "/api/conversations", "GET"),
        ("PUT", "/api/conversations/x", "DELETE,GET,PATCH"),
        ("GET", "/api/conversations/x/messages/y/regenerate", "POST"),
        ("POST", "/api/models", "GET"),
        ("POST", "/health", "GET"),
        ("PROPFIND", "/api/models", "GET"),
    ],
)
async def test_other_methods_are_not_allowed(
    shared: Running, method: str, path: str, allowed: str
) -> None:
    async with shared.client.request(method, path) as response:
        await problem_of(response, 405, "method-not-allowed")

    assert set(allowed.split(",")) <= set(response.headers["Allow"].split(","))


@pytest.mark.parametrize(
    "identity", ["%00", "%ED%A0%80", "a%2Fb", "%F0%9F%98%80", "..%2f", "x" * 2000, "'%20OR%201"]
)
async def test_an_odd_id_is_not_found(shared: Running, identity: str) -> None:
    for path, slug in (
        (f"/api/conversations/{identity}", "conversation-not-found"),
        (f"/api/runs/{identity}", "run-not-found"),
    ):
        request = request_bytes("GET", path, b"", "Connection: close")
        status, _, body = await exchange(shared.client, request)
        assert (status, json.loads(body)["type"]) == (404, f"/problems/{slug}")


async def test_an_answer_can_be_expected(shared: Running) -> None:
    headers = ("Expect: 100-continue", "Connection: close")

    async with wired(shared.client) as wire:
        await wire.send(chat_bytes("/api/chat", *headers, save_conversation=False))
        heard = await wire.rest()

    assert heard.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "request_", [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\nHost: s\r\n\r\n", b"\x16\x03\x01\x02\x00"]
)
async def test_what_is_not_http_is_cut_off_and_others_are_served(
    shared: Running, request_: bytes
) -> None:
    async with wired(shared.client) as wire:
        await wire.send(request_ + b"\r\n\r\n")
        assert (await wire.rest()).startswith(b"HTTP/1.0 400 ")

    assert (await chat(shared, save_conversation=False))["finish_reason"] == "stop"


# The id of a request.


@pytest.mark.parametrize("sent", ["a", "A.b_c-9", "x" * 128])
async def test_a_well_formed_request_id_is_taken(shared: Running, sent: str) -> None:
    headers = {"X-Request-Id": sent}

    for path, status in (("/health", 200), ("/nothing", 404), ("/api/chat", 405)):
        async with shared.client.get(path, headers=headers) as response:
            assert (response.status, response.headers["X-Request-Id"]) == (status, sent)


@pytest.mark.parametrize("sent", ["", "x" * 129, "a b", "a,b", "é", "<script>", "a\tb"])
async def test_another_one_is_replaced(shared: Running, sent: str) -> None:
    request = request_bytes("GET", "/health", b"", f"X-Request-Id: {sent}", "Connection: close")

    _, head, _ = await exchange(shared.client, request)

    (given,) = [line for line in head.split(b"\r\n") if line.lower().startswith(b"x-request-id:")]
    assert len(given) == len("X-Request-Id: ") + 36


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("GET", "/api/models"),
        ("GET", "/nothing"),
        ("GET", "/api/chat"),
        ("OPTIONS", "/api/chat"),
        ("DELETE", "/api/conversations/x"),
    ],
)
async def test_every_response_has_a_request_id(shared: Running, method: str, path: str) -> None:
    async with shared.client.request(method, path) as response:
        assert response.headers["X-Request-Id"]


async def test_no_two_requests_share_an_id(shared: Running) -> None:
    ids = set()
    for _ in range(5):
        async with shared.client.get("/health") as response:
            ids.add(response.headers["X-Request-Id"])

    assert len(ids) == 5


# What Groq refuses.


def refusal(status: int, code: str | None = None, **headers: str) -> Refusal:
    told = "You may not, org_01secret, with gsk_verysecret. Bearer abc"
    return Refusal(status, error_data(told, code), headers)


REFUSALS: dict[str, tuple[Any, int, str]] = {
    "the key": (refusal(401, "invalid_api_key"), 502, "upstream-auth"),
    "permission": (refusal(403), 502, "upstream-auth"),
    "a rate": (refusal(429, **{"retry-after": "7.2"}), 429, "upstream-rate-limited"),
    "a capacity": (refusal(498), 429, "upstream-rate-limited"),
    "a size": (refusal(413), 413, "upstream-too-large"),
    "a model not there": (refusal(404, "model_not_found"), 422, "model-unavailable"),
    "a model gone": (refusal(400, "model_decommissioned"), 422, "model-unavailable"),
    "a context": (refusal(400, "context_length_exceeded"), 422, "context-too-long"),
    "something": (refusal(400), 502, "upstream-rejected"),
    "something else": (refusal(422), 502, "upstream-rejected"),
    "itself": (refusal(500), 502, "upstream-error"),
    "for now": (refusal(503), 502, "upstream-error"),
    "in HTML": (Refusal(502, b"<html>"), 502, "upstream-error"),
    "with a cut": (CutBeforeHeaders(), 502, "upstream-error"),
    "with no stream": (
        Raw([b"{}"], headers={"Content-Type": "application/json"}),
        502,
        "upstream-error",
    ),
}


def impatient(**variables: str) -> AbstractAsyncContextManager[Running]:
    """A service that asks Groq once."""
    return running(None, groq_url=None, tracing=None, UPSTREAM_MAX_RETRIES="0", **variables)


@pytest.mark.parametrize("what", REFUSALS)
async def test_what_groq_refuses_is_a_status_and_leaves_nothing(what: str) -> None:
    answer, status, slug = REFUSALS[what]
    async with impatient() as served:
        for path in ("/api/chat/stream", "/api/chat"):
            served.script.next(answer)
            async with served.client.post(path, json=asked()) as response:
                problem = await problem_of(response, status, slug)
            state = await state_of(served, response.headers["X-Run-Id"])

            assert state["error"] == problem
            assert not any(word in json.dumps(problem) for word in ("secret", "Bearer", "gsk_"))
        assert (await listed(served))["items"] == []


async def test_the_silence_of_groq_is_a_status_and_hangs_up() -> None:
    async with impatient(UPSTREAM_FIRST_TOKEN_TIMEOUT="0.1") as served:
        served.script.next(NoResponse())
        async with served.client.post("/api/chat/stream", json=asked()) as response:
            await problem_of(response, 504, "upstream-timeout")
        await served.script.disconnected(0)

        assert (await listed(served))["items"] == []


async def test_groqs_retry_after_is_passed_on() -> None:
    async with impatient() as served:
        served.script.next(refusal(429, **{"retry-after": "7.2"}))
        async with served.client.post("/api/chat", json=asked()) as response:
            problem = await problem_of(response, 429, "upstream-rate-limited")

    assert problem["retry_after"] == 7.2
    assert response.headers["Retry-After"] == "8"


async def test_what_groq_says_of_a_rejection_is_passed_on() -> None:
    async with impatient() as served:
        served.script.next(Refusal(400, error_data("property 'x' is unsupported")))
        async with served.client.post("/api/chat", json=asked()) as response:
            problem = await problem_of(response, 502, "upstream-rejected")

    assert "property 'x' is unsupported" in problem["detail"]


async def test_a_gone_model_names_its_replacement_if_there_is_one() -> None:
    async with impatient() as served:
        served.script.next(refusal(400, "model_decommissioned"))
        async with served.client.post("/api/chat", json=asked()) as response:
            problem = await problem_of(response, 422, "model-unavailable")

    assert MODEL in problem["detail"]


async def test_a_short_retry_after_is_waited_for(shared: Running) -> None:
    shared.script.next(refusal(429, **{"retry-after": "0.05"}), Text("after all"))

    answer = await chat(shared, save_conversation=False)

    assert answer["content"] == "after all"


async def test_a_long_one_is_passed_on_at_once(shared: Running) -> None:
    before = len(shared.script.requests)
    shared.script.next(refusal(429, **{"retry-after": "6"}))

    async with shared.client.post("/api/chat", json=asked()) as response:
        await problem_of(response, 429, "upstream-rate-limited")

    assert len(shared.script.requests) == before + 1


async def test_without_groq_there_is_an_error_and_no_wait() -> None:
    async with running(groq_url="http://127.0.0.1:9", UPSTREAM_MAX_RETRIES="0") as served:
        async with served.client.post("/api/chat", json=asked()) as response:
            await problem_of(response, 502, "upstream-error")


async def test_a_defect_says_nothing_of_the_inside(
    shared: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(shared.service.chat.runs, "get", broken)

    async with shared.client.get("/api/runs/x") as response:
        problem = await problem_of(response, 500, "internal-error")

    assert "secret" not in json.dumps(problem)
