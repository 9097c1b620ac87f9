"""What does Groq's stream say? Bytes, cut anywhere, become deltas and an ending in one pass."""

import msgspec
from msgspec import UNSET, Raw, Struct
from msgspec.json import Decoder

from service.core.conversation import FinishReason, Usage
from service.core.errors import Kind, ServiceError
from service.core.events import Delta, Ending

LONGEST_LINE = 8 * 1024 * 1024
"""Bytes of one line, or of one event, beyond which a stream is taken for broken."""

_FINISH_REASONS = {reason.value: reason for reason in FinishReason}


class _CompletionDetails(Struct):
    reasoning_tokens: int | None = None


class _PromptDetails(Struct):
    cached_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    completion_tokens_details: _CompletionDetails | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _Delta(Struct):
    content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Raw] | None = None
    executed_tools: list[Raw] | None = None


class _Choice(Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _XGroq(Struct):
    usage: _Usage | None = None
    error: object = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    x_groq: _XGroq | None = None
    error: object = None


_decode = Decoder(_Chunk).decode


class Chunks:
    """Follows one stream of server-sent events in Groq's format.

    Lines may end in LF or CRLF; comments, unknown fields and unknown events are passed over.
    """

    def __init__(self) -> None:
        self.done = False
        """Whether `[DONE]` was seen; what follows it does not count."""
        self._pieces: list[bytes] = []
        self._pieces_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._event = b""
        self._finish_reason: FinishReason | None = None
        self._usage: _Usage | None = None
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._tool_calls: list[Raw] = []
        self._executed_tools: list[Raw] = []

    def feed(self, data: bytes) -> Delta | None:
        """What the events that `data` completes add, as one delta.

        Raises `ServiceError(UPSTREAM_ERROR)` when the stream reports an error or cannot be read.
        """
        *lines, rest = data.split(b"\n")
        if lines and self._pieces:
            lines[0] = b"".join((*self._pieces, lines[0]))
            self._pieces.clear()
            self._pieces_size = 0
        for line in lines:
            self._line(line)
            if self.done:
                return self._taken()
        if rest:
            self._pieces.append(rest)
            self._pieces_size += len(rest)
        if self._pieces_size + self._data_size > LONGEST_LINE:
            raise ServiceError(Kind.UPSTREAM_ERROR, "Groq sent an event that is too long")
        return self._taken()

    def ending(self) -> Ending:
        """How the answer ended, once `done`."""
        usage = self._usage
        return Ending(self._finish_reason or FinishReason.STOP, _counted(usage) if usage else None)

    def _line(self, line: bytes) -> None:
        if line.endswith(b"\r"):
            line = line[:-1]
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
            self._data_size += len(line) + 1  # whole lines: empty values take room as well
        elif not line:
            self._dispatch()
        elif line.startswith(b"event:"):
            self._event = line[6:].strip()

    def _dispatch(self) -> None:
        data, event = b"\n".join(self._data), self._event
        self._data.clear()
        self._event = b""
        self._data_size = 0
        if not data:
            return
        if data.startswith(b"[DONE]"):
            self.done = True
        elif event == b"error":
            raise _broken_off()
        elif not event or event == b"message":
            self._chunk(data)

    def _chunk(self, data: bytes) -> None:
        try:
            chunk = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise _unreadable() from exc
        if chunk.error or (chunk.x_groq and chunk.x_groq.error):
            raise _broken_off()
        for choice in chunk.choices or ():
            if choice.delta:
                self._add(choice.delta)
            if choice.finish_reason:
                reason = _FINISH_REASONS.get(choice.finish_reason, FinishReason.STOP)
                self._finish_reason = reason
        # Stated up to three times, each time in full.
        self._usage = chunk.usage or (chunk.x_groq and chunk.x_groq.usage) or self._usage

    def _add(self, delta: _Delta) -> None:
        if delta.content:
            self._content.append(delta.content)
        if delta.reasoning:
            self._reasoning.append(delta.reasoning)
        if delta.tool_calls:
            self._tool_calls += map(_compact, delta.tool_calls)
        if delta.executed_tools:
            self._executed_tools += map(_compact, delta.executed_tools)

    def _taken(self) -> Delta | None:
        if not (self._content or self._reasoning or self._tool_calls or self._executed_tools):
            return None
        delta = Delta(
            content="".join(self._content),
            reasoning="".join(self._reasoning) if self._reasoning else UNSET,
            tool_calls=tuple(self._tool_calls) or UNSET,
            executed_tools=tuple(self._executed_tools) or UNSET,
        )
        for gathered in (
            self._content,
            self._reasoning,
            self._tool_calls,
            self._executed_tools,
        ):
            gathered.clear()
        return delta


def _compact(raw: Raw) -> Raw:
    """The same JSON on one line and certainly in UTF-8: it goes into frames as it is."""
    data = bytes(raw)
    try:
        data.decode()
    except UnicodeDecodeError as exc:
        raise _unreadable() from exc
    return Raw(msgspec.json.format(data, indent=-1))


def _broken_off() -> ServiceError:
    return ServiceError(Kind.UPSTREAM_ERROR, "Groq broke the answer off with an error")


def _unreadable() -> ServiceError:
    return ServiceError(Kind.UPSTREAM_ERROR, "Groq sent what cannot be read")


def _counted(usage: _Usage) -> Usage:
    completion, prompt = usage.completion_tokens_details, usage.prompt_tokens_details
    return Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        reasoning_tokens=(completion.reasoning_tokens if completion else None) or 0,
        cached_tokens=(prompt.cached_tokens if prompt else None) or 0,
    )
