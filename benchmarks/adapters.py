"""How is a target asked, and which text is in its answer?

`texts` yields, for every event that adds text, the offset just after the event and the text. It
raises ValueError where an answer is not framed as it should be, or does not end well.
"""

import struct
from collections.abc import Callable, Iterable, Iterator

from attrs import frozen
from msgspec import UNSET, Struct, UnsetType
from msgspec.json import Decoder

from benchmarks.wire import MODEL

PROMPT = "Tell me about the sea."
LAST_OVER_WEBSOCKET = b'"finished":true'
TEXT, PING, PONG = 1, 9, 10
"""Opcodes of frames, as RFC 6455 has them."""

Located = tuple[int, bytes]
"""An event's data, after the offset where the event ends."""


class BrokenError(ValueError):
    """An answer is not what the fake Groq sent."""


@frozen
class Adapter:
    """One way to ask for an answer."""

    path: str
    body: object
    """Of the request, or of the WebSocket's message."""
    texts: Callable[[bytes], Iterator[tuple[int, str]]]
    websocket: bool = False


class _OpenAIDelta(Struct):
    content: str | None = None


class _OpenAIChoice(Struct):
    delta: _OpenAIDelta
    finish_reason: str | None = None


class _OpenAIEvent(Struct):
    choices: list[_OpenAIChoice]


class _Event(Struct):
    """Of our service, or of a peer with fewer fields."""

    content: str | None = None
    finished: bool = False
    finish_reason: str = "stop"
    conversation_id: str | UnsetType | None = UNSET
    error: object = None


_openai_event = Decoder(_OpenAIEvent).decode
_event = Decoder(_Event).decode


def openai_texts(payload: bytes) -> Iterator[tuple[int, str]]:
    done, finish_reason = False, None
    for end, data in sse_events(payload):
        if done:
            raise BrokenError(f"event after the last: {data[:200]!r}")
        if data == b"[DONE]":
            done = True
            continue
        for choice in _openai_event(data).choices:
            finish_reason = choice.finish_reason or finish_reason
            if choice.delta.content:
                yield end, choice.delta.content
    if not done or finish_reason != "stop":
        raise BrokenError(f"ended without finish_reason stop and [DONE]: {payload[-200:]!r}")


def sse_texts(payload: bytes) -> Iterator[tuple[int, str]]:
    return _texts(sse_events(payload))


def websocket_texts(payload: bytes) -> Iterator[tuple[int, str]]:
    messages = websocket_messages(payload)
    return _texts((end, data) for end, data in messages if b'"type":"welcome"' not in data)


def _texts(events: Iterable[Located]) -> Iterator[tuple[int, str]]:
    """First an event with `conversation_id`, then text, last an event that is `finished`."""
    opened = finished = False
    for end, data in events:
        event = _event(data)
        if finished or event.error is not None or event.finish_reason != "stop":
            raise BrokenError(f"unexpected event: {data[:200]!r}")
        if not opened:
            if event.conversation_id is UNSET or event.content is not None:
                raise BrokenError(f"unexpected first event: {data[:200]!r}")
            opened = True
            continue
        if event.content is None:
            raise BrokenError(f"event without content: {data[:200]!r}")
        finished = event.finished
        if event.content:
            yield end, event.content
    if not finished:
        raise BrokenError("ended without an event that is finished")


def sse_events(payload: bytes) -> Iterator[Located]:
    """The data of each event, wherever in the event its line stands; `id` and comments are skipped.

    https://html.spec.whatwg.org/multipage/server-sent-events.html, without its other line ends.
    """
    at = 0
    while (end := payload.find(b"\n\n", at)) >= 0:
        lines = payload[at:end].split(b"\n")
        at = end + 2
        if data := _data_of(lines):
            yield at, data
    if payload[at:]:
        raise BrokenError(f"rest after the last event: {payload[at:][:200]!r}")


def _data_of(lines: Iterable[bytes]) -> bytes:
    data: list[bytes] = []
    for line in lines:
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name not in {b"", b"id", b"event", b"retry"}:
            raise BrokenError(f"not a line of an event: {line[:200]!r}")
    return b"\n".join(data)


def websocket_messages(payload: bytes) -> Iterator[Located]:
    """Messages of a server, neither fragmented nor compressed."""
    for opcode, end, data in websocket_frames(payload):
        if opcode == TEXT:
            yield end, data
        elif opcode not in {PING, PONG}:
            raise BrokenError(f"unexpected WebSocket frame: {opcode} {data[:200]!r}")


def websocket_frames(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Of every whole frame of a server: the opcode, the offset just after it, the payload."""
    at = 0
    while len(data) - at >= 2:
        size, start = data[at + 1], at + 2
        if size >= 126:
            start += 2 if size == 126 else 8
            size = int.from_bytes(data[at + 2 : start], "big")
        end = start + size
        if end > len(data):
            return
        yield data[at] & 15, end, data[start:end]
        at = end


def client_frame(opcode: int, payload: bytes) -> bytes:
    """A frame of a client: masked, with a mask of zeros, so that the payload stays as it is."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB4x", 128 | opcode, 128 | size) + payload
    return struct.pack("!BBH4x", 128 | opcode, 254, size) + payload


_OPENAI = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "stream": True}
_CHAT = {"model": MODEL, "user_prompt": PROMPT, "hyperparameters": {}}
_UNSAVED = _CHAT | {"save_conversation": False}
_MESSAGE = {"type": "chat", "id": "bench", "request": _UNSAVED}

ADAPTERS = {
    "openai": Adapter("/openai/v1/chat/completions", _OPENAI, openai_texts),
    "sse": Adapter("/api/chat/stream", _UNSAVED, sse_texts),
    "sse-saved": Adapter("/api/chat/stream", _CHAT | {"save_conversation": True}, sse_texts),
    "websocket": Adapter("/api/chat/ws", _MESSAGE, websocket_texts, websocket=True),
}
