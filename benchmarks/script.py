"""Which bytes does the fake Groq write? A plan, rendered before anybody asks."""

import msgspec

from benchmarks.wire import MODEL, Plan, stamp, token_text

ID = "chatcmpl-6f1d2c3b-8a47-4e90-b5d1-2c9e7f3a1b60"
REQUEST_ID = "req_01jxd5v2m8e6tbq4k0w9r7n3zc"
CREATED = 1_750_000_000

HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream\r\n"
    b"Cache-Control: no-cache\r\n"
    b"X-Request-Id: " + REQUEST_ID.encode() + b"\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


class Script:
    """An answer as bytes: the opening, a first unit with the stamp, and units of `burst` tokens."""

    def __init__(self, plan: Plan) -> None:
        contents = [_content(token_text(index)) for index in range(1, plan.tokens)]
        role = {"role": "assistant", "content": ""}
        self.opening = HEAD + _framed(_event(role, x_groq={"id": REQUEST_ID}))
        # Stamps have one length, so the first unit can be cut where the stamp goes.
        blank = stamp(0)
        before, after = _content(blank).split(blank.encode())
        self._first = (before, after + b"".join(contents[: plan.burst - 1]))
        rest = contents[plan.burst - 1 :]
        self.units = [
            b"".join(rest[index : index + plan.burst]) for index in range(0, len(rest), plan.burst)
        ]
        self.units.append(_closing(plan.tokens))
        self.step_ns = int(plan.burst * 1e9 / plan.rate) if plan.rate else 0
        """Between two units; 0 is as fast as possible."""

    def first_unit(self, scheduled_ns: int) -> bytes:
        return self._first[0] + stamp(scheduled_ns).encode() + self._first[1]


def _content(text: str) -> bytes:
    return _framed(_event({"content": text}))


def _closing(tokens: int) -> bytes:
    usage = {
        "queue_time": 0.021,
        "prompt_tokens": 12,
        "prompt_time": 0.001,
        "completion_tokens": tokens,
        "completion_time": tokens / 500,
        "total_tokens": tokens + 12,
        "total_time": tokens / 500 + 0.001,
    }
    last = _event({}, "stop", x_groq={"id": REQUEST_ID, "usage": usage})
    return _framed(last) + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def _event(delta: dict[str, str], finish_reason: str | None = None, **more: object) -> bytes:
    """An SSE event as Groq writes it; one with content has about 300 bytes."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    chunk = {
        "id": ID,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": MODEL,
        "system_fingerprint": "fp_37da608fc1",
        "choices": [choice],
        **more,
    }
    return b"data: %b\n\n" % msgspec.json.encode(chunk)


def _framed(payload: bytes) -> bytes:
    """A chunk of HTTP/1.1's chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)
