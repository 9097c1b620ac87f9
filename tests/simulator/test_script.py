import asyncio
from typing import Any

import aiohttp
import groq
import httpx
import pytest

from service.simulator import (
    DONE,
    Cut,
    CutBeforeHeaders,
    End,
    Gate,
    NoResponse,
    Pause,
    Raw,
    Refusal,
    Script,
    Silence,
    SimulatedModel,
    Text,
    chunk,
    in_pieces,
    make_simulator,
    run_simulator,
    stream_of,
)

MODEL = "allam-2-7b"
ASKED: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
BODY = ASKED | {"stream": True}


async def said(client: groq.AsyncGroq) -> str:
    stream = await client.chat.completions.create(**BODY)
    async with stream:
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def test_answers_are_given_in_order_and_then_the_default(
    client: groq.AsyncGroq, script: Script
) -> None:
    script.next(Text("one"), Text("two"))
    script.always(Text("rest"))

    assert [await said(client) for _ in range(4)] == ["one", "two", "rest", "rest"]


async def test_a_request_that_is_not_fit_uses_up_no_answer(
    client: groq.AsyncGroq, script: Script
) -> None:
    script.next(Text("kept"))

    with pytest.raises(groq.NotFoundError):
        await client.chat.completions.create(**ASKED | {"model": "nobody"})

    assert await said(client) == "kept"
    assert script.requests[0].end.result() is End.SENT


async def test_requests_are_kept_as_they_came(client: groq.AsyncGroq, script: Script) -> None:
    await said(client)

    [received] = script.requests
    assert received.body == BODY
    assert received.headers["authorization"] == "Bearer key"


async def test_a_text_is_sent_as_it_stands(client: groq.AsyncGroq, script: Script) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    chunks: list[dict[str, object]] = [
        {"content": "whole "},
        {"content": "delta"},
        {"tool_calls": [call]},
    ]
    script.always(Text(chunks=chunks, usage=usage, finish_reason="tool_calls"))

    stream = await client.chat.completions.create(**BODY, max_completion_tokens=1, stop="delta")
    deltas = [chunk.choices[0].delta async for chunk in stream]
    whole = await client.chat.completions.create(**ASKED)

    assert [delta.content for delta in deltas] == ["", "whole ", "delta", None, None]
    assert deltas[3].tool_calls[0].function.name == "f"
    assert whole.choices[0].finish_reason == "tool_calls"
    assert whole.choices[0].message.content == "whole delta"
    assert whole.choices[0].message.tool_calls[0].id == "c"
    assert whole.usage.total_tokens == 3


async def test_usage_can_be_left_out(session: aiohttp.ClientSession, script: Script) -> None:
    script.next(Text("x", usage={}))

    async with session.post(
        "chat/completions", json=BODY | {"stream_options": {"include_usage": True}}
    ) as response:
        assert b"usage" not in await response.read()


async def test_a_refusal_has_the_status_body_and_headers_of_the_test(
    client: groq.AsyncGroq, script: Script
) -> None:
    body = {"error": {"message": "Slow down", "type": "tokens", "code": "rate_limit_exceeded"}}
    headers = {"retry-after": "7", "x-ratelimit-remaining-tokens": "0"}
    script.next(Refusal(429, body, headers))

    with pytest.raises(groq.RateLimitError) as caught:
        await said(client)

    assert caught.value.body == body
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.response.headers["x-ratelimit-remaining-tokens"] == "0"


async def test_a_refusal_can_be_bytes(session: aiohttp.ClientSession, script: Script) -> None:
    headers = {"Content-Type": "text/html"}
    script.next(Refusal(502, b"<html>Bad gateway</html>", headers))

    async with session.post("chat/completions", json=BODY) as response:
        assert await response.read() == b"<html>Bad gateway</html>"

    assert (response.status, response.content_type) == (502, "text/html")


async def test_raw_bytes_arrive_exactly_and_chunked(
    session: aiohttp.ClientSession, script: Script
) -> None:
    data = b"".join(stream_of("Grüße, 世界 👋", 3))
    script.next(Raw(in_pieces(data, 1), headers={"x-own": "yes"}))

    async with session.post("chat/completions", json=BODY) as response:
        received = await response.read()

    assert received == data
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert response.headers["x-own"] == "yes"
    assert response.content_type == "text/event-stream"


async def test_the_sdk_reads_raw_pieces_wherever_they_are_cut(
    client: groq.AsyncGroq, script: Script
) -> None:
    script.next(Raw(in_pieces(b"".join(stream_of("Grüße, 世界 👋", 3)), 7)))

    assert await said(client) == "Grüße, 世界 👋"


async def test_each_piece_is_a_write_of_its_own(
    session: aiohttp.ClientSession, script: Script
) -> None:
    gate = asyncio.Event()
    script.next(Raw([b"one", Gate(gate), Pause(0), b"two"]))

    async with session.post("chat/completions", json=BODY) as response:
        first = await response.content.readany()
        gate.set()
        rest = await response.read()

    assert (first, rest) == (b"one", b"two")
    await script.finished(0)


async def test_a_stream_can_end_cleanly_without_done(
    client: groq.AsyncGroq, script: Script
) -> None:
    script.next(Raw([chunk({"content": "half"})]))

    assert await said(client) == "half"
    await script.finished(0)


async def test_an_error_can_come_in_the_stream(client: groq.AsyncGroq, script: Script) -> None:
    error = b'event: error\ndata: {"error":{"message":"Over capacity"}}\n\n'
    script.next(Raw([chunk({"content": "half"}), error, DONE]))

    with pytest.raises(groq.APIError, match="Over capacity"):
        await said(client)


async def test_a_cut_breaks_the_connection_after_what_was_sent(
    session: aiohttp.ClientSession, script: Script
) -> None:
    script.next(Raw([b"x" * 500_000, Cut(), b"never"]))

    async with session.post("chat/completions", json=BODY) as response:
        received = await response.content.readexactly(500_000)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()

    assert received == b"x" * 500_000
    await script.finished(0)


async def test_the_sdk_sees_a_cut_as_a_broken_stream(
    client: groq.AsyncGroq, script: Script
) -> None:
    script.next(Raw([chunk({"content": "half"}), Cut()]))

    with pytest.raises(httpx.RemoteProtocolError):
        await said(client)


async def test_a_cut_before_headers_is_a_lost_connection(
    client: groq.AsyncGroq, script: Script
) -> None:
    script.next(CutBeforeHeaders())

    with pytest.raises(groq.APIConnectionError):
        await said(client)
    await script.finished(0)


@pytest.mark.parametrize("answer", [NoResponse(), Raw([Silence()]), Raw([Gate(asyncio.Event())])])
async def test_a_client_that_leaves_is_seen_at_once(
    session: aiohttp.ClientSession, script: Script, answer: NoResponse | Raw
) -> None:
    script.next(answer)
    request = asyncio.create_task(post(session, "chat/completions"))
    await script.request_count(1)

    request.cancel()

    await script.disconnected(0)


async def test_a_client_that_leaves_in_a_paced_text_is_seen_at_once(
    client: groq.AsyncGroq, script: Script
) -> None:
    script.next(Text("many words " * 100, tokens_per_second=0.01))

    stream = await client.chat.completions.create(**BODY)
    await anext(aiter(stream))
    await stream.close()

    await script.disconnected(0)


async def test_waiting_for_an_end_that_did_not_come_about_fails(
    client: groq.AsyncGroq, script: Script
) -> None:
    await said(client)

    with pytest.raises(AssertionError, match="request 0: the answer was sent to its end"):
        await script.disconnected(0)


async def test_several_clients_are_answered_at_once(client: groq.AsyncGroq, script: Script) -> None:
    gate = asyncio.Event()
    script.always(Raw([Gate(gate), *stream_of("together", 4)]))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(said(client)) for _ in range(20)]
        await script.request_count(20)
        gate.set()

    assert {task.result() for task in tasks} == {"together"}


@pytest.mark.parametrize(
    "answer", [NoResponse(), Raw([Silence()]), Text("slow", time_to_first_token_seconds=3600)]
)
async def test_stopping_does_not_wait_for_unfinished_answers(
    answer: NoResponse | Raw | Text,
) -> None:
    script = Script()
    script.always(answer)
    application = make_simulator([SimulatedModel(MODEL, 1_000, 100)], script=script)

    async with aiohttp.ClientSession() as session, asyncio.timeout(5):
        async with run_simulator(application) as url:
            task = asyncio.create_task(post(session, f"{url}/openai/v1/chat/completions"))
            await script.request_count(1)
        with pytest.raises(aiohttp.ClientError):
            await task

    assert script.requests[0].end.result() is End.STOPPED


async def post(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.post(url, json=BODY) as response:
        return await response.read()
