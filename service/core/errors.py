"""What can go wrong, in words that a client may read."""

from collections.abc import Sequence
from enum import Enum

from attrs import evolve, frozen

from service.core.quota import Quota


class Kind(Enum):
    """The problems of the wire contract: slug, HTTP status, title."""

    MALFORMED_JSON = ("malformed-json", 400, "The body is not a JSON object")
    BAD_REQUEST = ("bad-request", 400, "Not a well-formed request")
    UNAUTHORIZED = ("unauthorized", 401, "No or bad credentials")
    FORBIDDEN = ("forbidden", 403, "Not allowed")
    NOT_FOUND = ("not-found", 404, "Not found")
    CONVERSATION_NOT_FOUND = ("conversation-not-found", 404, "No such conversation")
    MESSAGE_NOT_FOUND = ("message-not-found", 404, "No such message")
    RUN_NOT_FOUND = ("run-not-found", 404, "No such run")
    RUN_EXPIRED = ("run-expired", 404, "The log of this run is no longer kept")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "Method not allowed")
    CONVERSATION_BUSY = ("conversation-busy", 409, "A run is still running in this conversation")
    IDEMPOTENCY_CONFLICT = ("idempotency-conflict", 409, "Idempotency key used with another body")
    PAYLOAD_TOO_LARGE = ("payload-too-large", 413, "The body is too large")
    UNSUPPORTED_MEDIA_TYPE = ("unsupported-media-type", 415, "Unsupported media type")
    EXPECTATION_FAILED = ("expectation-failed", 417, "Expectation failed")
    VALIDATION_ERROR = ("validation-error", 422, "The request is not valid")
    UNKNOWN_MODEL = ("unknown-model", 422, "Unknown model")
    MODEL_UNAVAILABLE = ("model-unavailable", 422, "Model not available")
    CONTEXT_TOO_LONG = ("context-too-long", 422, "The prompt does not fit the context window")
    RATE_LIMITED = ("rate-limited", 429, "Too many requests")
    HEADERS_TOO_LARGE = ("headers-too-large", 431, "The headers are too large")
    UPSTREAM_RATE_LIMITED = ("upstream-rate-limited", 429, "Groq's rate limit is reached")
    UPSTREAM_TOO_LARGE = ("upstream-too-large", 413, "Too large for Groq's tokens per minute")
    UPSTREAM_AUTH = ("upstream-auth", 502, "Groq refused this server's key")
    UPSTREAM_REJECTED = ("upstream-rejected", 502, "Groq refused the request")
    UPSTREAM_ERROR = ("upstream-error", 502, "Groq failed")
    UPSTREAM_TIMEOUT = ("upstream-timeout", 504, "Groq was silent for too long")
    INTERRUPTED = ("interrupted", 503, "The server stopped before the answer was done")
    OVERLOADED = ("overloaded", 503, "This server takes no more runs now")
    DRAINING = ("draining", 503, "This server is going away")
    STORE_UNAVAILABLE = ("store-unavailable", 503, "The conversation store cannot be reached")
    INTERNAL_ERROR = ("internal-error", 500, "Internal error")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title


@frozen
class Fault:
    """One thing wrong with a request; `pointer` is a JSON pointer as a URI fragment (RFC 6901)."""

    pointer: str
    detail: str

    def under(self, prefix: str) -> "Fault":
        """The same fault, seen from the value that holds it: `prefix` such as `/request`."""
        return Fault(f"#{prefix}{self.pointer[1:]}", self.detail)


@frozen
class Problem:
    """What a client is told of a failure (RFC 9457)."""

    kind: Kind
    detail: str
    faults: tuple[Fault, ...] = ()
    retry_after: float | None = None
    """Seconds."""
    quota: Quota | None = None
    """Of the limit that was reached."""


class ServiceError(Exception):
    """A failure that is a problem of the wire contract."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        retry_after: float | None = None,
        quota: Quota | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(kind, detail, tuple(faults), retry_after, quota)

    def under(self, prefix: str) -> "ServiceError":
        """The same failure, seen from the value that holds what was at fault."""
        faults = [fault.under(prefix) for fault in self.problem.faults]
        return ServiceError.of(evolve(self.problem, faults=tuple(faults)))

    @classmethod
    def of(cls, problem: Problem) -> "ServiceError":
        """A fresh exception for a known problem: one instance is never raised by two tasks."""
        return cls(
            problem.kind,
            problem.detail,
            faults=problem.faults,
            retry_after=problem.retry_after,
            quota=problem.quota,
        )


def busy() -> ServiceError:
    """What is said of a conversation that another run has claimed."""
    return ServiceError(
        Kind.CONVERSATION_BUSY,
        "a run is still running in this conversation; wait for it or cancel it",
    )


def no_conversation() -> ServiceError:
    """What is said of a conversation that is not there, or another owner's."""
    return ServiceError(Kind.CONVERSATION_NOT_FOUND, "there is no conversation of that id")


MOST_FAULTS = 200
"""Faults told of one request, so that a hostile one costs little and gets a short answer."""


def invalid(faults: Sequence[Fault]) -> ServiceError:
    """The validation error that holds every fault, up to `MOST_FAULTS`."""
    faults = faults[:MOST_FAULTS]
    return ServiceError(
        Kind.VALIDATION_ERROR,
        "; ".join(f"{fault.pointer[2:] or 'request'} {fault.detail}" for fault in faults),
        faults=faults,
    )
