"""What comes of any bytes that Groq sends?"""

import json
import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from zlib import crc32

import groq
import httpx
import msgspec
from msgspec import UNSET

from fuzzing.promises import check_refusal
from service.core.catalogue import Catalogue, describe
from service.core.errors import Kind, ServiceError
from service.core.events import Delta, encode
from service.core.request import UnsupportedParameters, parse_chat
from service.groq.chunks import Chunks
from service.groq.failures import LONGEST_MESSAGE, held_for, problem_of, retry_delay
from service.groq.listing import parse_list
from service.groq.quota import LONGEST_BELIEVED_SECONDS, parse_duration, quotas_of
from support import MODEL, catalogue

Outcome = tuple[object, ...]

SHIPPED = catalogue()

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
REFUSED = frozenset(
    {
        Kind.CONTEXT_TOO_LONG,
        Kind.MODEL_UNAVAILABLE,
        Kind.UPSTREAM_AUTH,
        Kind.UPSTREAM_ERROR,
        Kind.UPSTREAM_RATE_LIMITED,
        Kind.UPSTREAM_REJECTED,
        Kind.UPSTREAM_TIMEOUT,
        Kind.UPSTREAM_TOO_LARGE,
    }
)


def groq_stream(data: bytes) -> None:
    """A stream says the same however it is cut, and all of what it says where it can be read."""
    outcome, text = followed([data])

    assert followed([data[place : place + 1] for place in range(len(data))])[0] == outcome
    assert followed(cut(data))[0] == outcome
    if text is not None:
        assert text == plainly_read(data)


def cut(data: bytes) -> Sequence[bytes]:
    """Pieces, at places that are always the same for the same bytes."""
    places = Random(crc32(data)).sample(range(len(data) + 1), k=min(5, len(data)))
    return [data[start:end] for start, end in pairwise([0, *sorted(places), len(data)])]


def followed(pieces: Sequence[bytes]) -> tuple[Outcome, str | None]:
    """What came of a stream, and its text where it did not fail."""
    chunks, deltas = Chunks(), []
    for piece in pieces:
        if delta := chunks.feed(piece):
            check_delta(delta)
            deltas.append(delta)
        if chunks.done:
            break
    text = "".join(delta.content for delta in deltas)
    reasoning = "".join(delta.reasoning for delta in deltas if delta.reasoning is not UNSET)
    tools = [
        bytes(raw)
        for calls in (*(d.tool_calls for d in deltas), *(d.executed_tools for d in deltas))
        if calls is not UNSET
        for raw in calls
    ]
    failure, ending = ended(chunks)
    outcome = (failure, ending, text, reasoning, tools, chunks.usage, chunks.tokens)
    return outcome, None if failure else text


def ended(chunks: Chunks) -> tuple[str | None, object]:
    """How a stream failed, or ended; only one problem tells of a failure."""
    if not chunks.done:
        return None, chunks.complete
    try:
        return None, chunks.ending()
    except ServiceError as error:
        check_refusal(error.problem, {Kind.UPSTREAM_ERROR}, None)
        return error.problem.detail, None


def check_delta(delta: Delta) -> None:
    """Fail unless a delta is one line of JSON in UTF-8: it goes into frames as it is."""
    payload = encode(delta)
    assert b"\n" not in payload
    assert b"\r" not in payload
    msgspec.json.decode(payload.decode())


def plainly_read(data: bytes) -> str:
    """The text of a stream that can be read, line by line."""
    text, values, name = "", [], b""
    for line in data.replace(b"\r\n", b"\n").split(b"\n")[:-1]:
        if line:
            if line.startswith(b"data:"):
                values.append(line[5:].removeprefix(b" "))
            elif line.startswith(b"event:"):
                name = line[6:].strip()
            continue
        event, named, values, name = b"\n".join(values), name, [], b""
        if event.startswith(b"[DONE]"):
            break
        if event and named in (b"", b"message"):
            # What is not asked for is passed over by Groq's reader even where it is no UTF-8.
            text += text_of(json.loads(event.decode(errors="replace"), strict=False))
    return text


def text_of(chunk: object) -> str:
    """The text that one chunk adds."""
    choices = chunk.get("choices") if isinstance(chunk, dict) else None
    return "".join((choice.get("delta") or {}).get("content") or "" for choice in choices or ())


def groq_limits(data: bytes) -> None:
    """No header makes a request wait for long, or for no time that there is."""
    headers = [
        (name, value.strip(b" \r"))
        for line in data.split(b"\n")
        for name, _, value in [line.partition(b":")]
    ]
    quotas = quotas_of(headers, 7.0)

    for quota, amount in ((quotas.requests, 1), (quotas.tokens, 10**15)):
        if quota:
            assert 0 <= quota.left(7.0) <= quota.left(1e9) <= quota.limit
            wanted = min(amount, quota.limit)
            assert 0 <= quota.seconds_until(wanted, 7.0) <= LONGEST_BELIEVED_SECONDS * 1.001
    for _, value in headers:
        seconds = parse_duration(value.decode(errors="replace"))
        assert seconds is None or 0 <= seconds < math.inf


def groq_models(data: bytes) -> None:
    """A list that can be read leaves a catalogue that can be shown and asked."""
    models = Catalogue(SHIPPED.models, SHIPPED.general)
    try:
        entries = parse_list(data)
    except UNREADABLE:
        return
    assert models.listed(entries) == bool(entries)
    encode([describe(model) for model in models.models])
    for model in models.models[:20]:
        asked = {"model": model.id, "user_prompt": "?", "hyperparameters": {"max_tokens": 1}}
        try:
            parse_chat(asked, models, UnsupportedParameters.REJECT)
        except ServiceError as error:
            allowed = {Kind.MODEL_UNAVAILABLE, Kind.VALIDATION_ERROR, Kind.UNKNOWN_MODEL}
            check_refusal(error.problem, allowed, asked)


def groq_refusal(data: bytes) -> None:
    """What Groq refuses is told as a problem without its secrets, and not tried again too late.

    The first line is the status and `retry-after`, the rest the body.
    """
    first, _, body = data.partition(b"\n")
    code, _, after = first.partition(b" ")
    status = 400 + int.from_bytes(code) % 200
    model = SHIPPED.find(MODEL)
    assert model
    response = httpx.Response(
        status,
        headers=[(b"retry-after", after.replace(b"\r", b""))],
        request=httpx.Request("POST", "http://localhost"),
    )
    error = groq.APIStatusError("refused", response=response, body=as_the_sdk_reads(body))
    problem = problem_of(error, model)

    check_refusal(problem, REFUSED, None)
    assert len(problem.detail) < LONGEST_MESSAGE + 100
    assert not re.search(r"\bgsk_\w", problem.detail)
    waits: Sequence[Callable[[], float | None]] = [
        lambda: held_for(error),
        lambda: retry_delay(error, 0, 0.5),
        lambda: problem.retry_after,
    ]
    assert all(0 <= (wait() or 0) < math.inf for wait in waits)


def as_the_sdk_reads(body: bytes) -> object:
    """A body as JSON; what is none as text."""
    text = body.decode(errors="replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
