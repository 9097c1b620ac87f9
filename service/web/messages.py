"""What can be said on a socket? The messages of both directions."""

from typing import Annotated, Literal

from attrs import field, frozen
from msgspec import Meta, Struct

from service.core.events import ProblemBody
from service.core.request import JsonObject
from service.core.run import START, RunStatus
from service.web.body import KEY_PATTERN

LONGEST_ID = 64

# What `Meta` says is for the description of the socket; validators see to it here.
Id = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=LONGEST_ID,
        description="Chosen by the client; free again after a terminal event, `left` or `error`.",
    ),
]
Cursor = Annotated[int, Meta(ge=START, description="The seq of an event; -1 is before the first.")]
Seq = Annotated[int, Meta(ge=0, description="The number of an event in its run, without gap.")]
IdempotencyKey = Annotated[
    str,
    Meta(pattern=KEY_PATTERN, description="The same key and request again join the same run."),
]
Seconds = Annotated[float, Meta(ge=0, description="Seconds.")]


def _fits(_instance: object, _attribute: object, value: str) -> None:
    if not 1 <= len(value) <= LONGEST_ID:
        raise ValueError(f"must have 1 to {LONGEST_ID} characters, got {len(value)}")


def _is_cursor(_instance: object, _attribute: object, value: int) -> None:
    if value < START:
        raise ValueError(f"must be the seq of an event, or {START}; got {value}")


# By the client. Parsed strictly, as the body of a request is.


@frozen
class AuthMessage:
    """Say who you are: first, where authentication is on and the handshake did not say it."""

    type: str
    token: Annotated[str, Meta(description="An API key of this service, or a JWT.")]


@frozen
class ChatMessage:
    """Start a run, and read it under this id."""

    type: str
    id: Id = field(validator=_fits)
    request: JsonObject
    idempotency_key: IdempotencyKey | None = None


@frozen
class ResumeMessage:
    """Read a run after a cursor, from the start where there is none."""

    type: str
    id: Id = field(validator=_fits)
    run_id: str
    after: Cursor = field(default=START, validator=_is_cursor)


@frozen
class CancelMessage:
    """Cancel the run that is read under this id."""

    type: str
    id: Id = field(validator=_fits)


@frozen
class LeaveMessage:
    """Stop reading under this id; the run goes on by its `on_disconnect`."""

    type: str
    id: Id = field(validator=_fits)


@frozen
class PingMessage:
    """Ask for a `pong`."""

    type: str


CLIENT_MESSAGES = {
    "auth": AuthMessage,
    "chat": ChatMessage,
    "resume": ResumeMessage,
    "cancel": CancelMessage,
    "leave": LeaveMessage,
    "ping": PingMessage,
}
"""By their `type`."""


# By the server.


class SocketLimits(Struct, frozen=True, kw_only=True):
    """What one socket may do."""

    runs: int
    """Read at once."""
    message_bytes: int
    messages_per_second: float
    messages_burst: int


class Welcome(Struct, frozen=True, kw_only=True, tag_field="type", tag="welcome"):
    """The first message."""

    protocol: Literal[1] = 1
    connection_id: str
    limits: SocketLimits


class Resumed(Struct, frozen=True, kw_only=True, tag_field="type", tag="resumed"):
    """The answer to `resume`, before its events."""

    id: Id
    run_id: str
    after: Cursor
    last_seq: Cursor
    status: RunStatus
    recovered: bool = True


class Left(Struct, frozen=True, tag_field="type", tag="left"):
    """The answer to `leave`: nothing more comes under this id."""

    id: Id


class Error(Struct, frozen=True, tag_field="type", tag="error"):
    """A message was refused, or Groq refused a run before it had started."""

    id: Id | None
    error: ProblemBody


class Pong(Struct, frozen=True, tag_field="type", tag="pong"):
    """The answer to `ping`."""


class Draining(Struct, frozen=True, tag_field="type", tag="draining"):
    """This server is going away: reconnect after so many seconds, and resume."""

    retry_after: Seconds


ServerMessage = Welcome | Resumed | Left | Error | Pong | Draining
