"""What can Groq do wrong, in which phase, and what is told of it?"""

from collections.abc import Mapping

from attrs import frozen

from service.simulator import (
    DONE,
    Answer,
    Cut,
    CutBeforeHeaders,
    NoResponse,
    Pause,
    Piece,
    Raw,
    Refusal,
    Silence,
    chunk,
    error_data,
)

AT_ONCE = {"retry-after": "0"}
"""Groq is asked again without a pause."""
BEGUN = chunk({"content": "Begun"})
STOPPED = chunk({}, "stop")
HEARD = Pause(0.1)
"""Long enough for what was said to be read: a broken connection takes with it what was not."""
PAGE = {"content-type": "text/html"}
PACKED = {"content-encoding": "gzip"}
JSON = {"content-type": "application/json"}
ELSEWHERE = {"location": "http://127.0.0.1:9/"}


@frozen
class Fault:
    """Something that Groq does, whoever asks, and the problem that it makes."""

    answer: Answer
    status: int
    slug: str
    text: str | None = None
    """What was said before it, where Groq had accepted the request; else None."""
    retry_after: str | None = None


def refusal(status: int, code: str | None = None, **headers: str) -> Refusal:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Refusal(status, error_data("It is refused", code), AT_ONCE | names)


def broken(*pieces: bytes | Pause | Cut | Silence, text: str = "Begun") -> Fault:
    """An answer that breaks off after some text."""
    return Fault(Raw(pieces), 502, "upstream-error", text)


def silent(*pieces: bytes | Pause | Silence, text: str = "Begun") -> Fault:
    return Fault(Raw(pieces), 504, "upstream-timeout", text)


def wrong(body: bytes, status: int = 200, headers: Mapping[str, str] = PAGE) -> Fault:
    """Something else than an answer."""
    return Fault(Refusal(status, body, {**AT_ONCE, **headers}), 502, "upstream-error")


def slow(times: int) -> list[Piece]:
    """A comment, and a pause that is shorter than any patience."""
    return [b": on\n\n", Pause(0.2)] * times


FAULTS: Mapping[str, Fault] = {
    # It refuses.
    "400": Fault(refusal(400), 502, "upstream-rejected"),
    "401": Fault(refusal(401, "invalid_api_key"), 502, "upstream-auth"),
    "403": Fault(refusal(403), 502, "upstream-auth"),
    "model not found": Fault(refusal(404, "model_not_found"), 422, "model-unavailable"),
    "model decommissioned": Fault(refusal(400, "model_decommissioned"), 422, "model-unavailable"),
    "context": Fault(refusal(400, "context_length_exceeded"), 422, "context-too-long"),
    "413": Fault(refusal(413), 413, "upstream-too-large"),
    "429, soon": Fault(refusal(429), 429, "upstream-rate-limited", retry_after="1"),
    "429, later": Fault(
        refusal(429, retry_after="33"), 429, "upstream-rate-limited", retry_after="33"
    ),
    "498": Fault(refusal(498), 429, "upstream-rate-limited", retry_after="1"),
    # It fails, or says what is no answer.
    "500": Fault(refusal(500), 502, "upstream-error"),
    "502 of a proxy": wrong(b"<html>Bad gateway</html>", 502),
    "503, no body": wrong(b"", 503),
    "503 in bytes": wrong(b"\xff\xfe{", 503),
    "a refusal that cannot be unpacked": wrong(b"{}", 503, PACKED),
    "sent elsewhere": wrong(b"", 307, ELSEWHERE),
    "a page": wrong(b"<html>"),
    "not a stream": wrong(b'{"choices": []}', headers=JSON),
    # It is silent, or gone, before it says anything.
    "no headers": Fault(NoResponse(), 504, "upstream-timeout"),
    "cut before headers": Fault(CutBeforeHeaders(), 502, "upstream-error"),
    # After its 200, before any text.
    "silent at once": silent(Silence(), text=""),
    "cut at once": broken(Cut(), text=""),
    "an end at once": broken(text=""),
    "only an error": broken(b'data: {"error": {"message": "Over capacity"}}\n\n', text=""),
    # In the middle.
    "silent": silent(BEGUN, Silence()),
    "silent within a chunk": silent(BEGUN, BEGUN[:30], Silence()),
    "cut": broken(BEGUN, HEARD, Cut()),
    "cut within a chunk": broken(BEGUN, HEARD, BEGUN[:30], Cut()),
    "an end": broken(BEGUN),
    "an error": broken(BEGUN, b'data: {"error": {"message": "Over capacity"}}\n\n'),
    "an error of theirs": broken(BEGUN, chunk({}, x_groq={"error": "over_capacity"})),
    "an error by name": broken(BEGUN, b"event: error\ndata: {}\n\n"),
    "no JSON": broken(BEGUN, b"data: {oh no\n\n", Silence()),
    "no UTF-8": broken(BEGUN, b'data: {"choices": "\xff\xfe"}\n\n', Silence()),
    "another shape": broken(BEGUN, b'data: {"choices": 7}\n\n', Silence()),
    "too deep": broken(BEGUN, b"data: " + b'{"x":[' * 5000 + b"\n\n", Silence()),
    "too long": broken(BEGUN, *[b"data: " + b"x" * 2**20] * 9, Silence()),
    # At the end.
    "cut after the reason": broken(BEGUN, STOPPED, HEARD, Cut()),
    "silent after the reason": silent(BEGUN, STOPPED, Silence()),
}

WHOLE: Mapping[str, Answer] = {
    "slow": Raw([BEGUN, *slow(6), STOPPED, DONE]),
    "cut after the end": Raw([BEGUN, STOPPED, DONE, HEARD, Cut()]),
    "silent after the end": Raw([BEGUN, STOPPED, DONE, Silence()]),
    "more after the end": Raw([BEGUN, STOPPED, DONE, *slow(5)]),
    "byte by byte": Raw([bytes([byte]) for byte in BEGUN + STOPPED + DONE]),
}
"""What Groq does that is no fault of an answer: it says `Begun`."""
