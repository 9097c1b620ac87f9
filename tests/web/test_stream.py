import hashlib
import json
import re
from typing import Any

import pytest
from web.outside import (
    KEEP_ALIVE,
    USAGE,
    Held,
    asked,
    asking,
    chat_bytes,
    exchange,
    said,
    shown,
    streamed,
    wired,
)

from service.simulator import (
    DONE,
    Cut,
    Pause,
    Raw,
    Script,
    Silence,
    Text,
    chunk,
    in_pieces,
    stream_of,
)
from support import Running, all_frames, frames_of, running, text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
FRAME = rb'data: \{"type":"(started|delta|finished)",[^\n]*\}\nid: %b:\d+\n\n'

TEXTS = [
    "",
    "plain words",
    "Grüße, мир, 世界, 👩‍👩‍👧‍👦 \U0001f9d1🏽‍💻",
    "lines\nand\r\nlines\rand\u2028more\u2029\x85lines\n\n\ndata: no\nid: no\n\n",
    'controls \x00\x01\x1f\x7f and "quotes" and \\ and </script>',
    "﻿a byte order mark, and a combining e\u0301",
]


async def test_started_says_what_was_begun(shared: Running) -> None:
    async with shared.client.post("/api/chat/stream", json=asked()) as response:
        run_id = response.headers["X-Run-Id"]
        first = (await all_frames(response))[0].data

    assert first.keys() == {
        "type",
        "finished",
        "run_id",
        "conversation_id",
        "user_message_id",
        "message_id",
        "model",
        "created_at",
        "dropped_messages",
        "ignored_parameters",
        "simulated",
    }
    assert first["type"] == "started"
    assert first["run_id"] == run_id
    assert re.fullmatch(MOMENT, str(first["created_at"]))
    assert all(
        re.fullmatch(UUID7, str(first[name]))
        for name in ("run_id", "conversation_id", "user_message_id", "message_id")
    )
    assert (first["dropped_messages"], first["ignored_parameters"]) == (0, [])
    assert (first["model"], first["simulated"]) == ("openai/gpt-oss-20b", False)


async def test_finished_says_what_was_answered(shared: Running) -> None:
    shared.script.next(said("Gr", "üße"))

    frames = await streamed(shared)

    last = frames[-1].data
    assert last.keys() == {
        "type",
        "finished",
        "content",
        "finish_reason",
        "usage",
        "cost",
        "timing",
        "message_id",
        "content_length",
        "content_sha256",
    }
    assert last["type"] == "finished"
    assert (last["content"], last["finish_reason"]) == ("", "stop")
    assert last["message_id"] == frames[0].data["message_id"]
    assert last["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 5,
        "total_tokens": 8,
        "reasoning_tokens": 0,
        "cached_tokens": 0,
    }
    timing: Any = last["timing"]
    assert 0 < timing["time_to_first_token"] <= timing["total_time"] < 30
    assert last["content_length"] == len("Grüße".encode())
    assert last["content_sha256"] == hashlib.sha256("Grüße".encode()).hexdigest()


async def test_every_payload_says_whether_it_is_the_last(shared: Running) -> None:
    shared.script.next(said("a", "b", "c"))

    frames = await streamed(shared)

    types = [frame.data["type"] for frame in frames]
    assert (types[0], types[-1], set(types[1:-1])) == ("started", "finished", {"delta"})
    assert [frame.data["finished"] for frame in frames] == [*[False] * (len(frames) - 1), True]


async def test_events_are_numbered_without_gap(shared: Running) -> None:
    frames = await streamed(shared)

    run_id = frames[0].data["run_id"]
    assert [frame.event_id for frame in frames] == [f"{run_id}:{n}" for n in range(len(frames))]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_any_text_arrives_as_it_was_said_however_groq_cuts_it(
    shared: Running, text: str, size: int
) -> None:
    shared.script.next(Raw(in_pieces(b"".join(stream_of(text, 3)), size)))

    frames = await streamed(shared)

    last = frames[-1].data
    assert text_of(frames) == text
    assert last["content_length"] == len(text.encode())
    assert last["content_sha256"] == hashlib.sha256(text.encode()).hexdigest()


async def test_reasoning_and_tools_come_as_groq_sends_them(shared: Running) -> None:
    tool_calls = [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    tools = [{"index": 0, "type": "search", "output": "found"}]
    shared.script.next(
        Text(
            chunks=[
                {"reasoning": "let me "},
                {"reasoning": "see"},
                {"content": "", "tool_calls": tool_calls},
                {"executed_tools": tools},
                {"content": "done"},
            ],
            finish_reason="tool_calls",
        )
    )

    frames = await streamed(shared)

    deltas = [frame.data for frame in frames[1:-1]]
    assert all(isinstance(delta["content"], str) for delta in deltas)
    assert "".join(str(delta.get("reasoning", "")) for delta in deltas) == "let me see"
    assert [delta["tool_calls"] for delta in deltas if "tool_calls" in delta] == [tool_calls]
    assert [delta["executed_tools"] for delta in deltas if "executed_tools" in delta] == [tools]
    assert text_of(frames) == "done"
    assert frames[-1].data["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter"])
async def test_the_finish_reason_is_groqs(shared: Running, reason: str) -> None:
    shared.script.next(Text("a", finish_reason=reason))

    frames = await streamed(shared)

    assert frames[-1].data["finish_reason"] == reason


async def test_usage_is_null_when_groq_gave_none(shared: Running) -> None:
    shared.script.next(Text("a", usage={}))

    frames = await streamed(shared)

    assert frames[-1].data["usage"] is None


async def test_usage_counts_reasoning_and_what_was_cached(shared: Running) -> None:
    details = {
        "completion_tokens_details": {"reasoning_tokens": 4},
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    shared.script.next(Text("a", usage={**USAGE, **details}))

    usage: Any = (await streamed(shared))[-1].data["usage"]

    assert (usage["reasoning_tokens"], usage["cached_tokens"]) == (4, 2)


async def test_a_stream_has_these_headers_and_no_others(shared: Running) -> None:
    async with shared.client.post("/api/chat/stream", json=asked()) as response:
        headers = response.headers

    assert sorted(name.lower() for name in headers) == [
        "cache-control",
        "connection",
        "content-security-policy",
        "content-type",
        "cross-origin-resource-policy",
        "date",
        "referrer-policy",
        "server",
        "transfer-encoding",
        "vary",
        "x-accel-buffering",
        "x-content-type-options",
        "x-frame-options",
        "x-request-id",
        "x-run-id",
    ]
    assert headers["Content-Type"] == "text/event-stream"
    assert headers["Cache-Control"] == "no-cache, no-transform"
    assert headers["X-Accel-Buffering"] == "no"
    assert headers["Vary"] == "Origin"
    assert re.fullmatch(UUID7, headers["X-Run-Id"])


async def test_a_stream_is_nothing_but_frames(shared: Running) -> None:
    shared.script.next(said(*"abcdefgh"))

    async with shared.client.post("/api/chat/stream", json=asked()) as response:
        body = await response.read()

    frame = FRAME % response.headers["X-Run-Id"].encode()
    assert re.fullmatch(b"(?:%b)+" % frame.replace(b"(started", b"(?:started"), body)


async def test_every_write_ends_with_a_frame(shared: Running) -> None:
    shared.script.next(said(*"abcdefgh"))

    async with wired(shared.client) as wire:
        await wire.send(chat_bytes("/api/chat/stream"))
        await wire.head()
        writes = [await wire.body_chunk()]
        while writes[-1]:
            writes.append(await wire.body_chunk())

    assert all(write.startswith(b"data: ") and write.endswith(b"\n\n") for write in writes[:-1])


async def test_silence_is_broken_by_comments_without_an_empty_line() -> None:
    held = Held()
    async with running(KEEPALIVE_INTERVAL="0.03") as served:
        served.script.next(held.answer)

        async with served.client.post("/api/chat/stream", json=asked()) as response:
            before = await response.content.readuntil(b'"Hel","finished":false}\n')
            before += await response.content.readuntil(b"\n\n")
            comments = await response.content.readexactly(3 * len(KEEP_ALIVE))
            held.let_go()
            after = await response.read()

    assert before.startswith(b"data: ")
    assert comments == 3 * KEEP_ALIVE
    assert re.match(rb"(?:: keep-alive\n)*data: \{", after)
    assert after.endswith(b"\n\n")


async def test_a_stream_that_waits_for_groq_is_kept_alive_too() -> None:
    async with running(KEEPALIVE_INTERVAL="0.03") as served:
        served.script.next(Raw([Silence()]))

        async with asking(served) as frames, wired(served.client) as wire:
            run_id = (await anext(frames)).data["run_id"]
            await wire.send(
                b"GET /api/runs/%b/events?after=0 HTTP/1.1\r\nHost: s\r\n\r\n"
                % str(run_id).encode()
            )
            await wire.head()
            first = await wire.body_chunk()

    assert first == KEEP_ALIVE


async def test_an_http_1_0_client_is_served_to_the_end_of_its_connection(shared: Running) -> None:
    shared.script.next(said("old"))

    status, head, body = await exchange(
        shared.client, chat_bytes("/api/chat/stream", version="1.0")
    )

    assert status == 200
    assert b"chunked" not in head
    assert body.startswith(b"data: ")
    assert json.loads(body.split(b"data: ")[-1].split(b"\n")[0])["type"] == "finished"


async def test_the_connection_can_be_used_again_after_a_stream(shared: Running) -> None:
    async with wired(shared.client) as wire:
        await wire.send(chat_bytes("/api/chat/stream"))
        await wire.head()
        while await wire.body_chunk():
            pass
        await wire.send(b"GET /health/live HTTP/1.1\r\nHost: s\r\n\r\n")

        assert (await wire.head()).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_text_goes_out_as_it_comes(shared: Running) -> None:
    held = Held()
    shared.script.next(held.answer)

    async with asking(shared) as frames:
        started, delta = await anext(frames), await anext(frames)
        held.let_go()
        rest = [frame async for frame in frames]

    assert (started.data["type"], delta.data["content"]) == ("started", "Hel")
    assert text_of(rest) == "lo"


async def test_who_sees_finished_finds_the_answer_stored(shared: Running) -> None:
    shared.script.next(said("stored"))

    async with shared.client.post("/api/chat/stream", json=asked()) as response:
        frames = frames_of(response)
        conversation_id = str((await anext(frames)).data["conversation_id"])
        while not (await anext(frames)).data["finished"]:
            pass
        conversation = await shown(shared, conversation_id)

    assert conversation["active_run_id"] is None
    assert conversation["messages"][-1]["status"] == "complete"
    assert conversation["messages"][-1]["content"] == "stored"


HEL = chunk({"content": "Hel"})

FAILURES = {
    "the connection breaks off": (Raw([HEL, Pause(0.02), Cut()]), "upstream-error", 502),
    "no [DONE]": (Raw([HEL, chunk({}, "stop")]), "upstream-error", 502),
    "an error in a chunk": (
        Raw([HEL, chunk({}, x_groq={"error": "boom gsk_secret"}), DONE]),
        "upstream-error",
        502,
    ),
    "an error with the text": (
        Raw([HEL + chunk({}, x_groq={"error": "boom gsk_secret"}) + DONE]),
        "upstream-error",
        502,
    ),
    "an error event": (
        Raw([HEL, b'event: error\ndata: {"error":{"message":"x"}}\n\n']),
        "upstream-error",
        502,
    ),
    "nonsense": (Raw([HEL, b"data: {nonsense\n\n"]), "upstream-error", 502),
}


@pytest.mark.parametrize("how", FAILURES)
async def test_a_failure_after_started_is_an_event_that_keeps_the_text(
    shared: Running, how: str
) -> None:
    answer, slug, status = FAILURES[how]
    shared.script.next(answer)

    async with shared.client.post("/api/chat/stream", json=asked()) as response:
        frames = await all_frames(response)
    conversation = await shown(shared, str(frames[0].data["conversation_id"]))

    last = frames[-1].data
    error: Any = last["error"]
    assert response.status == 200
    assert last.keys() == {"type", "content", "error", "message_id", "finished"}
    assert (last["type"], last["content"], last["finished"]) == ("failed", "", True)
    assert (error["type"], error["status"]) == (f"/problems/{slug}", status)
    assert error["request_id"] == response.headers["X-Request-Id"]
    assert "gsk_secret" not in json.dumps(error)
    assert last["message_id"] == frames[0].data["message_id"]
    assert text_of(frames) == "Hel"
    assert conversation["messages"][-1]["status"] == "partial"
    assert conversation["messages"][-1]["content"] == "Hel"


async def test_silence_after_started_is_a_failure_too() -> None:
    async with running(UPSTREAM_IDLE_TIMEOUT="0.2") as served:
        served.script.next(Raw([HEL, Silence()]))

        frames = await streamed(served)
        await served.script.disconnected(0)

    error: Any = frames[-1].data["error"]
    assert (error["type"], error["status"]) == ("/problems/upstream-timeout", 504)
    assert text_of(frames) == "Hel"


async def test_a_failed_run_that_is_not_saved_names_no_message(shared: Running) -> None:
    shared.script.next(Raw([HEL, Pause(0.02), Cut()]))

    frames = await streamed(shared, save_conversation=False)

    assert frames[0].data["message_id"]
    assert frames[-1].data["type"] == "failed"
    assert frames[-1].data["message_id"] is None


async def test_no_run_lives_too_long() -> None:
    async with running(MAX_RUN_DURATION="0.4") as served:
        served.script.next(Raw([HEL, Silence()]))

        frames = await streamed(served)
        await served.script.disconnected(0)

    error: Any = frames[-1].data["error"]
    assert error["type"] == "/problems/upstream-timeout"
    assert text_of(frames) == "Hel"


async def test_a_server_that_stops_ends_the_log_and_keeps_the_text() -> None:
    async with running() as served:
        served.script.next(Held().answer)

        async with asking(served) as frames:
            started, _ = await anext(frames), await anext(frames)
            await served.service.chat.drain(0)
            rest = [frame async for frame in frames]
        conversation = await shown(served, str(started.data["conversation_id"]))

        error: Any = rest[-1].data["error"]
        assert (error["type"], error["status"]) == ("/problems/interrupted", 503)
        assert conversation["messages"][-1]["content"] == "Hel"
        assert conversation["messages"][-1]["status"] == "partial"


async def test_two_streams_at_once_do_not_mix(shared: Running) -> None:
    first, second = Held("aa", "bb"), Held("cc", "dd")
    shared.script.next(first.answer, second.answer)

    async with asking(shared) as one:
        await anext(one)
        async with asking(shared) as other:
            second.let_go()
            later = [frame async for frame in other]
        first.let_go()
        earlier = [frame async for frame in one]

    assert (text_of(earlier), text_of(later)) == ("aabb", "ccdd")


async def test_an_answer_of_megabytes_arrives_whole() -> None:
    script = Script()
    text = "0123456789abcdef" * 2**17
    script.next(Raw(in_pieces(b"".join(stream_of(text, 2**15)), 2**17)))
    async with running(script) as served:
        frames = await streamed(served)

    assert text_of(frames) == text
    assert frames[-1].data["content_sha256"] == hashlib.sha256(text.encode()).hexdigest()
