"""How does each message on a socket look? One example or more, made of the messages' own types."""

from collections.abc import Mapping, Sequence

import attrs
import msgspec

from service.core.errors import Fault, Kind, Problem
from service.core.events import problem_body
from service.core.run import RunStatus
from service.web.examples import (
    BUSY,
    CHAT_REQUESTS,
    EVENTS,
    IDEMPOTENCY_KEY,
    REQUEST_ID,
    RUN_ID,
    UNREADABLE,
    EventExample,
    Example,
    built,
)
from service.web.messages import (
    AuthMessage,
    CancelMessage,
    ChatMessage,
    Draining,
    Error,
    LeaveMessage,
    Left,
    PingMessage,
    Pong,
    Resumed,
    ResumeMessage,
    SocketLimits,
    Welcome,
)

ClientMessage = (
    AuthMessage | ChatMessage | ResumeMessage | CancelMessage | LeaveMessage | PingMessage
)


def _by_client(note: str, message: ClientMessage) -> Example:
    return Example(note, attrs.asdict(message, filter=lambda _, value: value is not None))


def _of_run(example: EventExample) -> Example:
    event = msgspec.to_builtins(example.event)
    return Example(example.note, {"id": "q1", "seq": example.seq} | event)


_INVALID = Problem(
    Kind.VALIDATION_ERROR,
    "request/hyperparameters/top_p must be between 0.0 and 1.0, got 3",
    (Fault("#/request/hyperparameters/top_p", "must be between 0.0 and 1.0, got 3"),),
)
_BY_CLIENT: Mapping[str, Sequence[Example]] = {
    "auth": [
        _by_client(
            "first, where the handshake did not say who you are",
            AuthMessage(type="auth", token="ail_0123456789abcdef"),  # noqa: S106  # no key
        )
    ],
    "chat": [
        _by_client(
            example.note,
            ChatMessage(type="chat", id="q1", request=example.payload, idempotency_key=key),
        )
        for example, key in zip(CHAT_REQUESTS, (None, IDEMPOTENCY_KEY, None), strict=True)
    ],
    "resume": [
        _by_client(
            "after a lost connection; put in your own `run_id`, and the last seq that you have",
            ResumeMessage(type="resume", id="q2", run_id=RUN_ID, after=0),
        ),
        _by_client(
            "from the start; put in your own `run_id`",
            ResumeMessage(type="resume", id="q2", run_id=RUN_ID),
        ),
    ],
    "cancel": [_by_client("while q1 is read", CancelMessage(type="cancel", id="q1"))],
    "leave": [_by_client("while q1 is read", LeaveMessage(type="leave", id="q1"))],
    "ping": [_by_client("at any time", PingMessage(type="ping"))],
}
_LIMITS = SocketLimits(runs=16, message_bytes=1_048_576, messages_per_second=20, messages_burst=40)
_BY_SERVER: Mapping[str, Sequence[Example]] = {
    "welcome": [built("first", Welcome(connection_id=REQUEST_ID, limits=_LIMITS))],
    "resumed": [
        built(
            "events 13 to 57 follow, and those to come",
            Resumed(id="q2", run_id=RUN_ID, after=12, last_seq=57, status=RunStatus.RUNNING),
        ),
        built(
            "nothing follows, and the id is free",
            Resumed(id="q2", run_id=RUN_ID, after=57, last_seq=57, status=RunStatus.FINISHED),
        ),
    ],
    "left": [built("nothing more comes for q1", Left("q1"))],
    "error": [
        built("a bad request", Error("q1", problem_body(_INVALID, REQUEST_ID))),
        built("Groq refused the run", Error("q1", problem_body(BUSY, REQUEST_ID))),
        built("no id to answer under", Error(None, problem_body(UNREADABLE, REQUEST_ID))),
    ],
    "pong": [built("at any time", Pong())],
    "draining": [built("when the server stops", Draining(1.836))],
}

SOCKET_EXAMPLES: Mapping[str, Sequence[Example]] = {
    **_BY_CLIENT,
    **_BY_SERVER,
    **{name: [_of_run(example) for example in examples] for name, examples in EVENTS.items()},
}
"""By the `type` of the message."""
