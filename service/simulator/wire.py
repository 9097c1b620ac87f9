"""How Groq writes an answer.

The shapes are those of captures of api.groq.com from August 2026.
"""

from collections.abc import Mapping, Sequence

import msgspec

DONE = b"data: [DONE]\n\n"
"""The event after the last chunk of a stream."""

RATE_LIMIT_HEADERS = {
    "x-ratelimit-limit-requests": "1000",
    "x-ratelimit-limit-tokens": "250000",
    "x-ratelimit-remaining-requests": "999",
    "x-ratelimit-remaining-tokens": "249000",
    "x-ratelimit-reset-requests": "1m26.4s",
    "x-ratelimit-reset-tokens": "240ms",
}
"""Nothing is limited here: the figures only have Groq's form."""

FINGERPRINT = "fp_simulator"


def chunk(delta: Mapping[str, object], finish_reason: str | None = None, **extra: object) -> bytes:
    """One event of a stream: `data: {"id": …, "choices": [{"delta": …}], …}` and an empty line.

    `extra` are top-level members: they replace those of the same name and follow the others.
    """
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    value: dict[str, object] = {
        "id": "chatcmpl-simulated",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "simulated",
        "system_fingerprint": FINGERPRINT,
        "choices": [choice],
    }
    value.update(extra)
    return b"data: %b\n\n" % msgspec.json.encode(value).replace(b"<", rb"\u003c")


def stream_of(text: str, size: int) -> list[bytes]:
    """The events of a whole stream that says `text`, `size` characters to a chunk, and `DONE`."""
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    usage = usage_data(prompt_tokens=1, completion_tokens=len(parts))
    return [
        chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_simulated", "seed": 0}),
        *(chunk({"content": part}) for part in parts),
        chunk({}, "stop", x_groq={"id": "req_simulated", "usage": usage}, usage=usage),
        DONE,
    ]


def in_pieces(data: bytes, size: int) -> list[bytes]:
    """Cut bytes into pieces of `size`, wherever that falls."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def usage_data(
    *,
    prompt_tokens: int,
    completion_tokens: int,
    reasoning_tokens: int = 0,
    prompt_seconds: float = 0.0,
    completion_seconds: float = 0.0,
) -> dict[str, object]:
    """What was used. Only an answer with reasoning has details of it."""
    usage: dict[str, object] = {
        "queue_time": 0.0,
        "prompt_tokens": prompt_tokens,
        "prompt_time": prompt_seconds,
        "completion_tokens": completion_tokens,
        "completion_time": completion_seconds,
        "total_tokens": prompt_tokens + completion_tokens,
        "total_time": prompt_seconds + completion_seconds,
    }
    if reasoning_tokens:
        usage["completion_tokens_details"] = {"reasoning_tokens": reasoning_tokens}
    return usage


def message_data(deltas: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """The message of an answer that is not streamed: its deltas, joined."""
    message: dict[str, object] = {"role": "assistant", "content": joined(deltas, "content")}
    if reasoning := joined(deltas, "reasoning"):
        message["reasoning"] = reasoning
    for name in ("tool_calls", "executed_tools"):
        found = [entry for delta in deltas for entry in entries(delta.get(name))]
        if found:
            message[name] = found
    return message


def joined(deltas: Sequence[Mapping[str, object]], name: str) -> str:
    return "".join(str(delta[name]) for delta in deltas if delta.get(name))


def entries(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def completion(
    message: Mapping[str, object], finish_reason: str, usage: object, **head: object
) -> bytes:
    """The body of an answer that is not streamed; `head` are its id, time, model and x_groq."""
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    value: dict[str, object] = {
        "id": head.pop("id"),
        "object": "chat.completion",
        "created": head.pop("created"),
        "model": head.pop("model"),
        "choices": [choice],
        "usage": usage,
        "usage_breakdown": None,
        "system_fingerprint": FINGERPRINT,
        **head,
        "service_tier": "on_demand",
    }
    return msgspec.json.encode(value)


def error_data(
    message: str, code: str | None = None, *, kind: str = "invalid_request_error"
) -> dict[str, object]:
    """The body of an error: `{"error": {"message", "type", "code"}}`, `code` where there is one."""
    error = {"message": message, "type": kind}
    if code is not None:
        error["code"] = code
    return {"error": error}
