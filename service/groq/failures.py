"""What does a failure of Groq's mean to a client? And is it worth another try?"""

import math
import re
from collections.abc import Mapping
from http import HTTPStatus

import groq
import msgspec
from msgspec import Struct

from service.core.catalogue import Model
from service.core.errors import Kind, Problem
from service.core.request import unavailable

RETRIED = frozenset({408, 409, 429, 498})
"""Besides 5xx: https://console.groq.com/docs/errors. 413 cannot pass by itself."""

FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.5, 4.0
LONGEST_MESSAGE = 500

_SECRET = re.compile(r"\b(?:org|gsk|sk|req|project)_[A-Za-z0-9_-]+|Bearer\s+\S+")


_BY_CODE: Mapping[tuple[int, str | None], Kind] = {
    (404, "model_not_found"): Kind.MODEL_UNAVAILABLE,
    (400, "model_decommissioned"): Kind.MODEL_UNAVAILABLE,
    (400, "context_length_exceeded"): Kind.CONTEXT_TOO_LONG,
}


class _Error(Struct):
    message: str = ""
    type: object = None
    code: str | None = None


class _Body(Struct):
    error: _Error | None = None


def problem_of(error: groq.APIError, model: Model) -> Problem:
    """The problem of a request that failed before Groq had accepted it."""
    if not isinstance(error, groq.APIStatusError):
        return Problem(Kind.UPSTREAM_ERROR, "no connection to Groq")
    said = _said(error)
    message, status = scrubbed(said.message), error.status_code
    if kind := _BY_CODE.get((status, said.code)):
        return (
            unavailable(model).problem if kind is Kind.MODEL_UNAVAILABLE else Problem(kind, message)
        )
    match status:
        case 401 | 403:
            return Problem(Kind.UPSTREAM_AUTH, "Groq refused the key that this server uses")
        case 413:
            told = message or "Groq refuses a request of this size"
            return Problem(Kind.UPSTREAM_TOO_LARGE, f"{told}; shorten it, or lower max_tokens")
        case 429 | 498:
            told = message or "Groq takes no more requests now"
            return Problem(Kind.UPSTREAM_RATE_LIMITED, told, retry_after=retry_after(error) or 1.0)
        case 408:
            return Problem(Kind.UPSTREAM_TIMEOUT, "Groq gave up on the request")
        case _ if error.response.is_client_error:
            told = message or f"Groq refused the request with status {status}"
            return Problem(Kind.UPSTREAM_REJECTED, told)
        case _:
            return Problem(Kind.UPSTREAM_ERROR, f"Groq answered with status {status}")


def retry_delay(error: groq.APIError, attempt: int, jitter: float) -> float | None:
    """Seconds to wait before another try, None where none can help.

    `attempt` counts from 0, `jitter` is from 0 to 1; Groq's `retry-after` goes before both.
    """
    if isinstance(error, groq.APIStatusError):
        if error.status_code not in RETRIED and not error.response.is_server_error:
            return None
        if (said := retry_after(error)) is not None:
            return said
    delay = min(FIRST_DELAY_SECONDS * 2.0**attempt, LONGEST_DELAY_SECONDS)
    return delay * (1 - jitter / 2)


def retry_after(error: groq.APIStatusError) -> float | None:
    """Seconds, as Groq's header says (a number; RFC 9110 allows a date, Groq sends none)."""
    try:
        seconds = float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def held_for(error: groq.APIStatusError) -> float | None:
    """Seconds for which Groq refuses every request for a model, where it says so.

    A limit of requests for a minute is in no header. One of tokens may let a smaller request pass.
    """
    limited = error.status_code == HTTPStatus.TOO_MANY_REQUESTS
    return retry_after(error) if limited and _said(error).type == "requests" else None


def is_outage(error: groq.APIError) -> bool:
    """Whether Groq does not work; a refusal shows that it does."""
    return not isinstance(error, groq.APIStatusError) or error.response.is_server_error


def scrubbed(message: str) -> str:
    """Groq's words without keys, organisations and request ids, and of a bounded length."""
    told = _SECRET.sub("[…]", message)[:LONGEST_MESSAGE]
    return told.encode(errors="replace").decode()  # half a surrogate pair could not be sent on


def _said(error: groq.APIStatusError) -> _Error:
    try:
        return msgspec.convert(error.body, _Body, strict=False).error or _Error()
    except (msgspec.ValidationError, UnicodeEncodeError):  # the name of a member is no text
        return _Error()
