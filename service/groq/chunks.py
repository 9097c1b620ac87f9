"""What does Groq's stream say? Bytes, cut anywhere, become deltas and an ending in one pass."""

import msgspec
from msgspec import UNSET, Raw, Struct
from msgspec.json import Decoder

from service.core.conversation import FinishReason, Usage
from service.core.errors import Kind, ServiceError
from service.core.events import Delta, Ending

LONGEST_EVENT = 8 * 1024 * 1024
"""Bytes of one event beyond which a stream is taken for broken."""
BROKEN_OFF = "Groq broke the answer off with an error"
UNREADABLE = "Groq sent what cannot be read"

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
        """Whether `[DONE]` or a failure was seen; what follows does not count."""
        self.tokens = 0
        """Deltas with text so far: Groq sends one for each token."""
        self.usage: Usage | None = None
        """Of the answer so far, as told last."""
        self._pieces: list[bytes] = []
        self._size = 0
        self._held_back = b""
        self._failure: str | None = None
        self._finish_reason: FinishReason | None = None
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._tool_calls: list[Raw] = []
        self._executed_tools: list[Raw] = []

    def feed(self, data: bytes) -> Delta | None:
        """What the events that `data` completes add, as one delta, up to the end or a failure."""
        if b"\r" in data or self._held_back:
            data = self._without_cr(data)
        pieces = self._pieces
        if pieces and pieces[-1][-1:] == b"\n" == data[:1]:
            data = pieces.pop() + data  # the end of an event, cut in two
        whole, end, rest = data.rpartition(b"\n\n")
        if end:
            # A byte is joined once: when the event that it belongs to is complete.
            whole = b"".join((*pieces, whole)) if pieces else whole
            pieces.clear()
            self._size = 0
            for event in whole.split(b"\n\n"):
                if event.startswith(b"data: {") and b"\n" not in event:
                    self._chunk(event[6:])
                else:
                    self._event(event)
                if self.done:
                    return self._taken()
        if rest:
            pieces.append(rest)
            self._size += len(rest)
            if self._size > LONGEST_EVENT:
                self._fail("Groq sent an event that is too long")
        return self._taken()

    @property
    def complete(self) -> bool:
        """Whether the model had ended the answer, even if not the stream."""
        return self._finish_reason is not None

    def ending(self) -> Ending:
        """How the answer ended, once `done`.

        Raises `ServiceError(UPSTREAM_ERROR)` where the stream told of an error or was unreadable.
        """
        if self._failure:
            raise ServiceError(Kind.UPSTREAM_ERROR, self._failure)
        return Ending(self._finish_reason or FinishReason.STOP, self.usage)

    def _without_cr(self, data: bytes) -> bytes:
        """CRLF as LF; a CR at the end waits for what follows it."""
        data = self._held_back + data
        self._held_back = b"\r" if data.endswith(b"\r") else b""
        return data[: len(data) - len(self._held_back)].replace(b"\r\n", b"\n")

    def _event(self, event: bytes) -> None:
        """An event that is not just one line of JSON."""
        values, name = [], b""
        for line in event.split(b"\n"):
            if line.startswith(b"data:"):
                values.append(line[5:].removeprefix(b" "))
            elif line.startswith(b"event:"):
                name = line[6:].strip()
        data = b"\n".join(values)
        if data.startswith(b"[DONE]"):
            self.done = True
        elif data and name == b"error":
            self._fail(BROKEN_OFF)
        elif data and name in (b"", b"message"):
            self._chunk(data)

    def _chunk(self, data: bytes) -> None:
        try:
            chunk = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._fail(UNREADABLE)
            return
        # Stated up to three times, each time in full; an error does not undo what was paid.
        if usage := chunk.usage or (chunk.x_groq and chunk.x_groq.usage):
            self.usage = _counted(usage)
        if chunk.error or (chunk.x_groq and chunk.x_groq.error):
            self._fail(BROKEN_OFF)
            return
        for choice in chunk.choices or ():
            if delta := choice.delta:
                if delta.content:
                    self._content.append(delta.content)
                if delta.reasoning:
                    self._reasoning.append(delta.reasoning)
                if delta.tool_calls or delta.executed_tools:
                    self._tools(delta)
            if choice.finish_reason:
                reason = _FINISH_REASONS.get(choice.finish_reason, FinishReason.STOP)
                self._finish_reason = reason

    def _tools(self, delta: _Delta) -> None:
        try:
            self._tool_calls += map(_compact, delta.tool_calls or ())
            self._executed_tools += map(_compact, delta.executed_tools or ())
        except UnicodeDecodeError:
            self._fail(UNREADABLE)

    def _fail(self, detail: str) -> None:
        """A state and no exception, so that what came in the same read before it is not lost."""
        self._failure = detail
        self.done = True

    def _taken(self) -> Delta | None:
        self.tokens += len(self._content)
        content = "".join(self._content)
        self._content.clear()
        if not (self._reasoning or self._tool_calls or self._executed_tools):
            return Delta(content) if content else None
        delta = Delta(
            content=content,
            reasoning="".join(self._reasoning) if self._reasoning else UNSET,
            tool_calls=tuple(self._tool_calls) or UNSET,
            executed_tools=tuple(self._executed_tools) or UNSET,
        )
        for gathered in (self._reasoning, self._tool_calls, self._executed_tools):
            gathered.clear()
        return delta


def _compact(raw: Raw) -> Raw:
    """The same JSON on one line and certainly in UTF-8: it goes into frames as it is."""
    data = bytes(raw)
    data.decode()
    return Raw(msgspec.json.format(data, indent=-1))


def _counted(usage: _Usage) -> Usage:
    completion, prompt = usage.completion_tokens_details, usage.prompt_tokens_details
    return Usage(
        prompt_tokens=_count(usage.prompt_tokens),
        completion_tokens=_count(usage.completion_tokens),
        total_tokens=_count(usage.total_tokens),
        reasoning_tokens=_count((completion.reasoning_tokens if completion else None) or 0),
        cached_tokens=_count((prompt.cached_tokens if prompt else None) or 0),
    )


MOST_TOKENS = 2**40


def _count(tokens: int) -> int:
    """A number that every store can keep and add up, whatever was sent."""
    return max(0, min(tokens, MOST_TOKENS))
