"""What comes out of a stream of bytes, however they are cut."""

import json
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from asking import tools
from service.core.conversation import FinishReason, Usage
from service.core.errors import Kind, ServiceError
from service.core.events import Delta, encode
from service.groq.chunks import LONGEST_EVENT, Chunks
from service.simulator import DONE, chunk

Value = dict[str, object]

TEXT = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from('\0"\\\n\r\u2028\u2029\ufeff<>:\x7f\U0001f926 '),
    ),
    max_size=20,
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)
CALLS = st.lists(st.dictionaries(TEXT, JSON, max_size=3), max_size=2)
DELTAS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.just("assistant"),
            "channel": st.sampled_from(["analysis", "final"]),
            "content": st.one_of(st.none(), TEXT),
            "reasoning": st.one_of(st.none(), TEXT),
            "tool_calls": st.one_of(st.none(), CALLS),
            "executed_tools": st.one_of(st.none(), CALLS),
        },
    ),
    max_size=6,
)
NOISE = st.sampled_from(
    [
        b": keep-alive\n",
        b":\n",
        b"\n\n",
        b"id: 7\nretry: 10\n\n",
        b"id\n",
        b"data:\n\n",
        b"unknown: field\n",
        b"\xff\xfe: no UTF-8\n",
        b"datas: []\n",
        b"event: ping\ndata: hello\n\n",
        b"event: ping\n\n",
        b'event: other\ndata: {"choices":[{"delta":{"content":"not this"}}]}\n\n',
    ]
)


@st.composite
def events(draw: st.DrawFn, delta: Value, finish_reason: str | None = None) -> bytes:
    """One chunk as an event, in one of the ways in which it can be written."""
    value = {
        "id": "chatcmpl-1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        "x_groq": draw(st.sampled_from([None, {"id": "req_1"}, {"error": None}])),
    }
    text = json.dumps(
        value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 0, 1]))
    )
    space = draw(st.sampled_from(["", " "]))
    lines = [f"data:{space}{line}\n" for line in text.split("\n")]
    name = draw(st.sampled_from(["", "event: message\n", "event:\n"]))
    comment = draw(st.sampled_from(["", ": in between\n", "id: 1\n"]))
    return f"{name}{lines[0]}{comment}{''.join(lines[1:])}\n".encode()


@st.composite
def streams(draw: st.DrawFn, deltas: Sequence[Value]) -> list[bytes]:
    """A whole stream in pieces, cut anywhere."""
    parts = []
    for delta in deltas:
        parts += draw(st.lists(NOISE, max_size=2))
        parts.append(draw(events(delta)))
    parts += draw(st.lists(NOISE, max_size=2))
    parts.append(draw(st.sampled_from([DONE, b"data:[DONE]\n\n", b"event: message\n" + DONE])))
    stream = b"".join(parts)
    ends = draw(st.lists(st.sampled_from([b"\n", b"\r\n"]), min_size=1, max_size=3))
    lines = stream.split(b"\n")[:-1]
    stream = b"".join(line + end for line, end in zip(lines, cycle(ends), strict=False))
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=30))
    return list(cut(stream, cuts))


def cut(stream: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    places = [0, *sorted(cuts), len(stream)]
    return (stream[start:end] for start, end in pairwise(places))


def read(pieces: Sequence[bytes]) -> tuple[Chunks, list[Delta]]:
    """Feed until it is done, as the model does."""
    chunks, deltas = Chunks(), []
    for piece in pieces:
        if delta := chunks.feed(piece):
            deltas.append(delta)
        if chunks.done:
            break
    return chunks, deltas


def joined(deltas: Sequence[Delta]) -> tuple[str, str, list[object], list[object]]:
    return (
        "".join(delta.content for delta in deltas),
        "".join(delta.reasoning for delta in deltas if delta.reasoning is not UNSET),
        [call for delta in deltas for call in tools(delta.tool_calls)],
        [tool for delta in deltas for tool in tools(delta.executed_tools)],
    )


def said(deltas: Sequence[Value]) -> tuple[str, str, list[object], list[object]]:
    def all_of(name: str) -> list[object]:
        return [part for delta in deltas for part in delta.get(name) or ()]  # type: ignore[attr-defined]  # text or list

    return (
        "".join(map(str, all_of("content"))),
        "".join(map(str, all_of("reasoning"))),
        all_of("tool_calls"),
        all_of("executed_tools"),
    )


def failure(chunks: Chunks) -> str:
    """What a client is told of a stream that failed."""
    assert chunks.done
    with pytest.raises(ServiceError) as raised:
        chunks.ending()
    assert raised.value.problem.kind is Kind.UPSTREAM_ERROR
    return raised.value.problem.detail


@settings(deadline=None)
@given(st.data(), DELTAS)
def test_whatever_is_said_comes_out_exact_wherever_the_bytes_are_cut(
    data: st.DataObject, deltas: list[Value]
) -> None:
    pieces = data.draw(streams(deltas))

    chunks, found = read(pieces)

    assert joined(found) == said(deltas)
    assert chunks.done


@settings(deadline=None)
@given(st.data(), DELTAS)
def test_what_comes_out_fits_a_frame(data: st.DataObject, deltas: list[Value]) -> None:
    pieces = data.draw(streams(deltas))

    payloads = [encode(delta) for delta in read(pieces)[1]]

    assert [payload for payload in payloads if b"\n" in payload or b"\r" in payload] == []
    assert [msgspec.json.decode(payload.decode())["type"] for payload in payloads] == [
        "delta" for _ in payloads
    ]


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8))
def test_every_single_cut_gives_the_same_text(text: str) -> None:
    stream = (chunk({"content": text}) + DONE).replace(b"\n", b"\r\n")

    texts = {
        joined(read([stream[:place], stream[place:]])[1])[0] for place in range(len(stream) + 1)
    }

    assert texts == {text}


@settings(deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_no_bytes_are_too_odd_to_read(noise: bytes, cuts: list[int]) -> None:
    chunks, _ = read(list(cut(b"data: " + noise + b"\n\n" + DONE, cuts)))

    assert chunks.done or b"\n" in noise or b"\r" in noise


def test_chunks_that_come_together_are_one_delta() -> None:
    _, deltas = read(
        [chunk({"content": "a"}) + chunk({"reasoning": "b"}) + chunk({"content": "c"})]
    )

    assert deltas == [Delta("ac", reasoning="b")]


@pytest.mark.parametrize(
    "event",
    [
        chunk({"role": "assistant", "content": ""}),
        chunk({}),
        chunk({}, choices=[]),
        chunk({}, choices=None),
        chunk({}, choices=[{"index": 0}]),
        chunk({"tool_calls": [], "executed_tools": []}),
        b"data: {}\n\n",
        b"data:\n\n",
        b"\n\n\n",
        b"\r\n",
        b"",
    ],
)
def test_an_event_without_text_is_no_delta(event: bytes) -> None:
    assert read([event])[1] == []


def test_nothing_after_the_end_counts() -> None:
    late = chunk({"content": "late"}, "length", usage={"prompt_tokens": 9})
    chunks, deltas = read([chunk({"content": "a"}, "stop") + DONE + late + b"data: {broken\n\n"])

    assert joined(deltas)[0] == "a"
    assert chunks.ending().finish_reason is FinishReason.STOP
    assert chunks.ending().usage is None


def test_much_after_the_end_does_not_count_either() -> None:
    chunks, deltas = read([chunk({"content": "a"}) + DONE + b"x" * (LONGEST_EVENT + 1)])

    assert joined(deltas)[0] == "a"
    assert chunks.done


@pytest.mark.parametrize("cuts", [[], range(1000)], ids=["whole", "bytes"])
def test_usage_counts_once_however_often_it_is_stated(cuts: Sequence[int]) -> None:
    usage = {
        "queue_time": 0.1,
        "prompt_tokens": 73,
        "completion_tokens": 16,
        "total_tokens": 89,
        "completion_tokens_details": {"reasoning_tokens": 14},
        "prompt_tokens_details": {"cached_tokens": 64},
    }
    stream = (
        chunk({"content": "a"}, x_groq={"id": "req_1", "usage": None})
        + chunk({}, "length", x_groq={"id": "req_1", "usage": usage}, usage=usage)
        + chunk({}, choices=[], usage=usage)
        + DONE
    )

    chunks, _ = read(list(cut(stream, cuts)))

    assert chunks.ending().usage == Usage(73, 16, 89, reasoning_tokens=14, cached_tokens=64)
    assert chunks.ending().finish_reason is FinishReason.LENGTH


def test_usage_is_taken_from_where_older_answers_have_it() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}

    chunks, _ = read([chunk({}, "stop", x_groq={"id": "req_1", "usage": usage}) + DONE])

    assert chunks.ending().usage == Usage(1, 2, 3)


@pytest.mark.parametrize(
    "last",
    [
        chunk({}, usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})
        + b"data: no JSON\n\n",
        b'data: {"error":"e","usage":'
        b'{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n',
        b'data: {"x_groq":{"error":"e","usage":'
        b'{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}\n\n',
    ],
    ids=["before", "with an error", "with an error of its own"],
)
def test_usage_is_kept_though_the_answer_fails(last: bytes) -> None:
    chunks, _ = read([chunk({"content": "a"}), last])

    assert failure(chunks)
    assert chunks.usage == Usage(1, 2, 3)


@pytest.mark.parametrize(
    ("said_reason", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("function_call", FinishReason.STOP),
        ("", FinishReason.STOP),
        (None, FinishReason.STOP),
    ],
)
def test_the_reason_of_the_end_is_one_of_ours(
    said_reason: str | None, reason: FinishReason
) -> None:
    chunks, _ = read([chunk({}, said_reason) + chunk({}, None) + DONE])

    assert chunks.ending().finish_reason is reason


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"error":{"message":"m","type":"t","code":"c"}}\n\n',
        b'event: error\ndata: {"error":{"message":"m","status_code":500}}\n\n',
        b'event: error\r\ndata: {"error":{"message":"m"}}\r\n\r\n',
        b'event: error\ndata: {"message":"m"}\n\n',
        b"event: error\ndata: no JSON\n\n",
        b'data: {"error":{"message":"m"}}\nevent: error\n\n',
        b'event:error\ndata: {"choices":[{"delta":{"content":"x"}}]}\n\n',
        b'data: {"error":"overloaded"}\n\n',
        b'data: {"error":true}\n\n',
        chunk({"content": "x"}, x_groq={"id": "req_1", "error": "over capacity"}),
        chunk({"content": "x"}, x_groq={"id": "req_1", "error": {"message": "m"}}),
    ],
)
def test_an_error_in_the_stream_is_a_failure(event: bytes) -> None:
    chunks, deltas = read([chunk({"content": "a"}), event, chunk({"content": "b"}) + DONE])

    assert failure(chunks) == "Groq broke the answer off with an error"
    assert joined(deltas)[0] == "a"


@pytest.mark.parametrize(
    "event",
    [
        chunk({"content": "x"}, error=None),
        chunk({"content": "x"}, error={}, x_groq={"error": ""}),
        chunk({"content": "x"}, error=False),
    ],
)
def test_an_error_that_says_nothing_is_none(event: bytes) -> None:
    assert joined(read([event])[1])[0] == "x"


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"no JSON",
        b"[]",
        b"null",
        b'"text"',
        b"[" * 100_000,
        b'{"choices":{}}',
        b'{"choices":[1]}',
        b'{"choices":[{"delta":{"content":5}}]}',
        b'{"choices":[{"delta":{"content":["a"]}}]}',
        b'{"choices":[{"delta":"a"}]}',
        b'{"choices":[{"delta":{"content":"\xff"}}]}',
        b'{"choices":[{"delta":{"content":"\xed\xa0\x80"}}]}',
        b'{"choices":[{"delta":{"content":"\\ud800"}}]}',
        b'{"choices":[{"delta":{"tool_calls":{}}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"a":"\xff"}]}}]}',
        b'{"choices":[{"delta":{"executed_tools":[' + b"[" * 100_000 + b"]}}]}",
        b'{"choices":[{"finish_reason":1}]}',
        b'{"usage":{"prompt_tokens":"1"}}',
        b'{"usage":7}',
        b'{"x_groq":[]}',
        b'{"choices":[{"delta":{"content":"a"}}]}{}',
    ],
    ids=lambda data: repr(data[:60]),
)
def test_what_cannot_be_read_is_a_failure(data: bytes) -> None:
    chunks, deltas = read([chunk({"content": "a"}) + b"data: " + data + b"\n\n" + DONE])

    assert failure(chunks) == "Groq sent what cannot be read"
    assert joined(deltas)[0] == "a"


@pytest.mark.parametrize(
    "piece",
    [
        b"x" * 16_384,
        b"data: " + b"x" * 16_384,
        b"data: " + b"x" * 16_384 + b"\n",
        b"data:\n" * 4_096,
        b"data: x\n" * 4_096,
        b"data: x\ndata: y" * 1_000,
        b"event: " + b"x" * 16_384,
    ],
    ids=lambda piece: repr(piece[:16]),
)
def test_an_endless_line_or_event_is_a_failure(piece: bytes) -> None:
    chunks = Chunks()
    pieces = 1

    while not chunks.done and pieces * len(piece) < 2 * LONGEST_EVENT:
        chunks.feed(piece)
        pieces += 1

    assert failure(chunks) == "Groq sent an event that is too long"
    assert pieces * len(piece) <= 1.1 * LONGEST_EVENT


def test_a_large_event_is_read() -> None:
    text = "All work and no play. " * 300_000
    stream = chunk({"content": text}) + chunk({"content": "."}) + DONE

    _, deltas = read(list(cut(stream, range(0, len(stream), 16_384))))

    assert joined(deltas)[0] == text + "."


def test_events_may_be_many_as_long_as_each_is_of_bounded_length() -> None:
    event = b": a comment\n" * 100 + chunk({"content": "x" * 65_536})
    chunks = Chunks()

    assert sum(len(d.content) for _ in range(200) if (d := chunks.feed(event))) == 200 * 65_536


@pytest.mark.parametrize(
    "line",
    [b"data: " + b"x" * 1_000_000, b"data: 12\n" * 110_000, b": comment\n" * 100_000],
    ids=["one line", "many lines", "comments"],
)
def test_reading_costs_no_more_per_byte_when_lines_come_in_bits(line: bytes) -> None:
    chunks = Chunks()
    start = time.process_time()

    for place in range(0, len(line), 7):
        chunks.feed(line[place : place + 7])

    assert time.process_time() - start < 5
