"""Does the benchmark's client take every right answer, and no other?"""

import asyncio
import struct
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

import msgspec
import pytest
from attrs import evolve, frozen
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from benchmarks.adapters import ADAPTERS, PONG, BrokenError, client_frame
from benchmarks.analysis import analyse, arrivals, examine
from benchmarks.load import Job, Load, Sample, Stream, WebSocketStream
from benchmarks.script import Script
from benchmarks.target import read_targets
from benchmarks.wire import Plan, stamp, token_text

RUN_ID = b"0198c2d0-0000-7000-8000-000000000000"
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\nServer: aiohttp/3.14.0\r\n\r\n"
)
STARTED: dict[str, object] = {
    "type": "started",
    "conversation_id": None,
    "run_id": RUN_ID.decode(),
    "ignored_parameters": [],
    "simulated": False,
    "finished": False,
}
FINISHED: dict[str, object] = {
    "type": "finished",
    "content": "",
    "finished": True,
    "finish_reason": "stop",
    "usage": None,
    "content_length": 0,
}
FAILED: dict[str, object] = {
    "type": "failed",
    "content": "",
    "finished": True,
    "error": {"type": "/problems/upstream-error", "status": 502},
}


class RecordingTransport(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True


@frozen
class Told:
    """An answer as our service tells it: its texts, how many tokens each has, and keep-alives."""

    texts: tuple[str, ...]
    counts: tuple[int, ...]
    keep_alives: frozenset[int] = frozenset()
    last: dict[str, object] = FINISHED

    @property
    def tokens(self) -> int:
        return sum(self.counts)

    def messages(self) -> list[bytes]:
        deltas = ({"type": "delta", "content": text, "finished": False} for text in self.texts)
        return [msgspec.json.encode(event) for event in (STARTED, *deltas, self.last)]

    def frames(self) -> list[bytes]:
        return [
            (b": keep-alive\n" if seq in self.keep_alives else b"")
            + b"data: %b\nid: %b:%d\n\n" % (message, RUN_ID, seq)
            for seq, message in enumerate(self.messages())
        ]


@st.composite
def told(draw: DrawFn) -> Told:
    tokens = draw(st.integers(1, 140))
    whole = [stamp(draw(st.integers(0, 2**63))), *(token_text(i) for i in range(1, tokens))]
    groups = [whole[first:last] for first, last in draw(_cuts(tokens))]
    texts, counts = tuple(map("".join, groups)), tuple(map(len, groups))
    return Told(texts, counts, draw(st.frozensets(st.integers(0, len(texts) + 1))))


def _cuts(length: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Ways to cut something into pieces that are not empty."""
    inner = st.sets(st.integers(1, length - 1), max_size=40) if length > 1 else st.just(set[int]())
    return inner.map(lambda cuts: list(pairwise([0, *sorted(cuts), length])))


@st.composite
def responses(draw: DrawFn, frames: Sequence[bytes]) -> list[bytes]:
    """Reads that bring frames, with chunks and reads cut anywhere."""
    body = b"".join(frames)
    chunks = (body[first:last] for first, last in draw(_cuts(len(body))))
    raw = HEAD + chunked(chunks)
    return [raw[first:last] for first, last in draw(_cuts(len(raw)))]


def chunked(chunks: Iterable[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def job(tokens: int, adapter: str = "sse") -> Job:
    return Job(port=1, plan=Plan(tokens=tokens), adapter=ADAPTERS[adapter])


def sample(reads: Iterable[bytes]) -> Sample:
    """Reads, one a nanosecond."""
    reads = list(reads)
    return Sample(0, list(range(len(reads))), reads)


def whole(answer: Told) -> Sample:
    return sample([HEAD + chunked([b"".join(answer.frames())])])


@given(st.data(), told())
def test_a_right_answer_is_taken_however_it_is_framed_and_cut(
    data: st.DataObject, answer: Told
) -> None:
    reads = data.draw(responses(answer.frames()))

    examined = examine(sample(reads), job(answer.tokens))

    assert [text for _, text in examined.texts] == list(answer.texts)
    assert stamp(examined.scheduled) == "".join(answer.texts)[:18]


@given(st.data(), told())
def test_a_token_is_there_with_the_read_that_ends_its_event(
    data: st.DataObject, answer: Told
) -> None:
    frames = answer.frames()
    events = [chunked([frame])[:-5] for frame in frames]
    raw = HEAD + b"".join(events) + b"0\r\n\r\n"
    cuts = data.draw(_cuts(len(raw)))
    # An event is there with its empty line; its chunk's line end may come later.
    event_ends = [end - 2 for end in accumulate(map(len, events), initial=len(HEAD))][2:-1]
    expected = [
        next(number for number, (_, read_end) in enumerate(cuts) if read_end >= event_end)
        for event_end, count in zip(event_ends, answer.counts, strict=True)
        for _ in range(count)
    ]

    examined = examine(sample(raw[a:b] for a, b in cuts), job(answer.tokens))

    assert arrivals(examined, answer.tokens) == expected


@given(st.data(), told())
def test_a_connection_finds_the_end_of_an_answer_however_it_is_cut(
    data: st.DataObject, answer: Told
) -> None:
    load = Load(evolve(job(answer.tokens), requests=2))
    stream, transport = Stream(load), RecordingTransport()
    stream.connection_made(transport)

    for _ in range(2):
        for read in data.draw(responses(answer.frames())):
            assert not transport.closed
            stream.data_received(read)

    assert transport.written == [load.request] * 2
    assert transport.closed
    assert not transport.aborted
    assert analyse(load).answers == 2
    assert analyse(load).tokens == 2 * answer.tokens


@given(st.data(), told())
def test_a_websocket_finds_the_end_of_an_answer_however_it_is_cut(
    data: st.DataObject, answer: Told
) -> None:
    load = Load(evolve(job(answer.tokens, "websocket"), requests=2))
    stream, transport = WebSocketStream(load), RecordingTransport()
    stream.connection_made(transport)
    messages = server_frame(1, b'{"type":"welcome"}') + server_frame(9, b"?")
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"

    for before in (head + messages, server_frame(9, b"?")):
        raw = before + b"".join(server_frame(1, message) for message in answer.messages())
        for first, last in data.draw(_cuts(len(raw))):
            assert not transport.closed
            stream.data_received(raw[first:last])

    assert transport.written.count(load.request) == 2
    assert transport.written.count(client_frame(PONG, b"?")) == 2
    assert transport.closed
    assert analyse(load).first_error == ""
    assert analyse(load).tokens == 2 * answer.tokens


def server_frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    head = struct.pack("!BB", 128 | opcode, size) if size < 126 else b""
    return (head or struct.pack("!BBH", 128 | opcode, 126, size)) + payload


@given(st.data())
def test_a_refusal_is_an_error(data: st.DataObject) -> None:
    raw = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}"
    load = Load(job(1))
    stream, transport = Stream(load), RecordingTransport()
    stream.connection_made(transport)

    for first, last in data.draw(_cuts(len(raw))):
        stream.data_received(raw[first:last])

    assert transport.aborted
    assert analyse(load).errors == 1
    assert "429" in analyse(load).first_error


@given(st.data(), told())
def test_text_that_is_lost_doubled_moved_or_altered_is_refused(
    data: st.DataObject, answer: Told
) -> None:
    texts = list(answer.texts)
    at = data.draw(st.integers(0, len(texts) - 1))
    match data.draw(st.sampled_from(["lost", "doubled", "moved", "altered"])):
        case "lost":
            del texts[at]
        case "doubled":
            texts.insert(at, texts[at])
        case "moved":
            texts.insert(data.draw(st.integers(0, len(texts) - 1)), texts.pop(at))
        case _:
            character = data.draw(st.integers(0, len(texts[at]) - 1))
            other = data.draw(st.characters(exclude_categories=["Cs"]))
            texts[at] = texts[at][:character] + other + texts[at][character + 1 :]
    # One stamp is as good as another.
    assume("".join(texts)[17:] != "".join(answer.texts)[17:])

    with pytest.raises(BrokenError):
        examine(whole(evolve(answer, texts=tuple(texts))), job(answer.tokens))


@given(st.data(), told())
def test_an_answer_that_is_cut_off_is_refused(data: st.DataObject, answer: Told) -> None:
    raw = whole(answer).reads[0]
    end = data.draw(st.integers(0, len(raw) - 1))

    with pytest.raises(BrokenError):
        examine(sample([raw[:end]]), job(answer.tokens))


@given(told())
def test_more_than_an_answer_is_refused(answer: Told) -> None:
    raw = whole(answer).reads[0]

    with pytest.raises(BrokenError, match="after the last chunk"):
        examine(sample([raw, b"\r\n"]), job(answer.tokens))


@given(st.data(), told())
def test_frames_that_are_lost_or_out_of_place_are_refused(
    data: st.DataObject, answer: Told
) -> None:
    frames = answer.frames()
    at = data.draw(st.integers(0, len(frames) - 1))
    to = data.draw(st.integers(0, len(frames) - 1))
    lost = data.draw(st.booleans())
    frame = frames.pop(at)
    if not lost:
        assume(at != to)
        frames.insert(to, frame)
    response = HEAD + chunked([b"".join(frames)])

    with pytest.raises(BrokenError):
        examine(sample([response]), job(answer.tokens))


@given(st.data(), told())
def test_a_line_that_no_event_has_is_refused(data: st.DataObject, answer: Told) -> None:
    frames = answer.frames()
    frames.insert(data.draw(st.integers(0, len(frames))), b"dat: {}\n\n")
    response = HEAD + chunked([b"".join(frames)])

    with pytest.raises(BrokenError, match="not a line of an event"):
        examine(sample([response]), job(answer.tokens))


@pytest.mark.parametrize("last", [FAILED, FINISHED | {"finish_reason": "length"}])
def test_an_answer_that_ends_otherwise_is_refused(last: dict[str, object]) -> None:
    with pytest.raises(BrokenError, match="unexpected event"):
        examine(whole(Told((stamp(7),), (1,), last=last)), job(1))


@given(tokens=st.integers(1, 40), burst=st.integers(1, 9), due=st.integers(0, 2**63))
def test_what_the_fake_groq_writes_is_a_right_answer(tokens: int, burst: int, due: int) -> None:
    script = Script(Plan(tokens=tokens, burst=burst))
    reads = [script.opening, script.first_unit(due), *script.units]

    assert examine(sample(reads), job(tokens, "openai")).scheduled == due


def test_every_target_is_asked_in_a_known_way() -> None:
    assert {target.adapter for target in read_targets().values()} == set(ADAPTERS)
