"""Was every answer right, and when did its tokens come? Worked out when the run is over."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import nan

from attrs import frozen

from benchmarks.adapters import BrokenError
from benchmarks.load import Job, Load, Sample
from benchmarks.wire import STAMP_LENGTH, text_after_stamp, token_ends

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]+)\r\n")
_STAMP = re.compile("@([0-9a-f]{16}) ")

Window = tuple[int, int]
"""Two moments."""


@frozen
class Payload:
    """The payload of a chunked body, and where in it and in the raw bytes each chunk begins."""

    content: bytes
    starts: Sequence[int]
    raw_starts: Sequence[int]

    def raw_end(self, end: int) -> int:
        """Where in the raw bytes a part of the payload ends."""
        chunk = bisect_right(self.starts, end - 1) - 1
        return self.raw_starts[chunk] + end - self.starts[chunk]


@frozen
class Answer:
    """An answer that is complete and right."""

    sample: Sample
    payload: Payload
    texts: Sequence[tuple[int, str]]
    """Where in the payload an event ends, and the text that it adds."""
    scheduled: int
    """When token 0 was due, by the fake Groq."""


@frozen(kw_only=True)
class Delivered:
    """What a run brought. Lateness is that of the tokens due within the window that was asked for;
    nan where there is none.
    """

    answers: int
    errors: int
    first_error: str
    seconds: float
    tokens: int
    tokens_per_event: float
    tokens_per_read: float
    late_tokens: int
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float


def analyse(load: Load, window: Window | None = None) -> Delivered:
    """Check every answer of a load that has run, and sum up."""
    errors: list[str] = []
    late_ns: list[int] = []
    answers = events = reads = 0
    for sample in load.samples:
        try:
            answer = examine(sample, load.job)
        except ValueError as exc:
            errors.append(str(exc))
            continue
        answers += 1
        events += len(answer.texts)
        reads += len(sample.reads)
        if load.job.plan.rate:
            late_ns += _lateness(answer, load.job, window)
    tokens = answers * load.job.plan.tokens
    late_ns.sort()
    return Delivered(
        answers=answers,
        errors=len(errors),
        first_error=errors[0][:400] if errors else "",
        seconds=(load.ended - load.started) / 1e9,
        tokens=tokens,
        tokens_per_event=tokens / events if events else 1.0,
        tokens_per_read=tokens / reads if reads else 0.0,
        late_tokens=len(late_ns),
        late_p50_ms=percentile(late_ns, 0.50) / 1e6,
        late_p99_ms=percentile(late_ns, 0.99) / 1e6,
        late_max_ms=percentile(late_ns, 1.0) / 1e6,
    )


def examine(sample: Sample, job: Job) -> Answer:
    """The answer in a sample; raises ValueError if it is not exactly what the fake Groq sent."""
    if sample.error:
        raise BrokenError(sample.error)
    raw = b"".join(sample.reads)
    if job.adapter.websocket:
        payload = Payload(raw, [0], [0])
    else:
        payload = _dechunked(raw, raw.find(b"\r\n\r\n") + 4)
    texts = list(job.adapter.texts(payload.content))
    text = "".join(piece for _, piece in texts)
    stamp = _STAMP.match(text)
    if not stamp or text[STAMP_LENGTH:] != text_after_stamp(job.plan.tokens):
        raise BrokenError(f"text differs: {len(text)} characters, {text[:60]!r}")
    return Answer(sample, payload, texts, int(stamp[1], 16))


def arrivals(answer: Answer, tokens: int) -> list[int]:
    """When each token was there, by the read that brought the end of its event."""
    read_ends: list[int] = []
    for read in answer.sample.reads:
        read_ends.append(len(read) + (read_ends[-1] if read_ends else 0))
    ends, characters = token_ends(tokens), 0
    arrived: list[int] = []
    for event_end, piece in answer.texts:
        characters += len(piece)
        read_number = bisect_left(read_ends, answer.payload.raw_end(event_end))
        here = bisect_right(ends, characters) - len(arrived)
        arrived += [answer.sample.times[read_number]] * here
    return arrived


def content_events(load: Load, window: Window) -> int:
    """How many events with content came between two moments, in complete answers or not."""
    first, last = window
    return sum(
        read.count(b'"content":')
        for sample in load.samples
        for at, read in zip(sample.times, sample.reads, strict=True)
        if first <= at < last
    )


def first_token_ms(load: Load) -> list[float]:
    """From request to first token, for each request in order; raises ValueError if one is wrong."""
    answers = [examine(sample, load.job) for sample in load.samples]
    tokens = load.job.plan.tokens
    return [(arrivals(answer, tokens)[0] - answer.sample.asked) / 1e6 for answer in answers]


def percentile(ordered: Sequence[float], share: float) -> float:
    """Of values in order; nan if there are none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else nan


def _lateness(answer: Answer, job: Job, window: Window | None) -> list[int]:
    """Arrival less the moment for which the fake Groq scheduled the token, in ns."""
    late: list[int] = []
    for index, arrived in enumerate(arrivals(answer, job.plan.tokens)):
        due = answer.scheduled + job.plan.offset_ns(index)
        if not window or window[0] <= due < window[1]:
            late.append(arrived - due)
    return late


def _dechunked(raw: bytes, at: int) -> Payload:
    parts: list[bytes] = []
    starts: list[int] = []
    raw_starts: list[int] = []
    total = 0
    while size_line := _CHUNK_SIZE.match(raw, at):
        size, start = int(size_line[1], 16), size_line.end()
        at = start + size + 2
        if raw[at - 2 : at] != b"\r\n":
            break
        if not size:
            if at != len(raw):
                raise BrokenError("bytes after the last chunk")
            return Payload(b"".join(parts), starts, raw_starts)
        parts.append(raw[start : start + size])
        starts.append(total)
        raw_starts.append(start)
        total += size
    raise BrokenError(f"not a chunk: {raw[at : at + 60]!r}")
