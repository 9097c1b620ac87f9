"""How does each message look? One example or more, made of the messages' own types."""

from collections.abc import Mapping, Sequence

import attrs
import msgspec
from attrs import frozen

from service.core.conversation import FinishReason, Usage
from service.core.errors import Fault, Kind, Problem
from service.core.events import Delta, Event, Failed, Finished, Started, Timing, problem_body
from service.core.request import JsonObject
from service.core.run import RunStatus
from service.web.messages import (
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
    ServerMessage,
    SocketLimits,
    Welcome,
)

_MODEL = "openai/gpt-oss-20b"
_RUN_ID = "01a20656-9923-73b4-af2e-b5818839d55f"
_CONVERSATION_ID = "01a20656-9923-73b4-af2e-b580c3f11836"
_MESSAGE_ID = "01a20656-9923-73b4-af2e-b583baef7fde"
_REQUEST_ID = "01a20656-9920-7d11-a0e3-5f2a1c0d9b47"
_TEXT_SHA256 = "4c186903549c3a98362870a72e9a635ac20a1d46e6b4e8ab0c13be95e3fbe93a"


@frozen
class Example:
    """A message as it travels; `note` says when, and what must be put in before it is sent."""

    note: str
    payload: JsonObject


ClientMessage = ChatMessage | ResumeMessage | CancelMessage | LeaveMessage | PingMessage


def _by_client(note: str, message: ClientMessage) -> Example:
    return Example(note, attrs.asdict(message, filter=lambda _, value: value is not None))


def _by_server(note: str, message: ServerMessage) -> Example:
    return Example(note, msgspec.to_builtins(message))


def _of_run(note: str, seq: int, event: Event) -> Example:
    return Example(note, {"id": "q1", "seq": seq} | msgspec.to_builtins(event))


def _chat(prompt: str, key: str | None = None, **members: object) -> ChatMessage:
    request = {"model": _MODEL, "user_prompt": prompt} | members
    return ChatMessage(type="chat", id="q1", request=request, idempotency_key=key)


_INVALID = Problem(
    Kind.VALIDATION_ERROR,
    "request/hyperparameters/top_p must be between 0.0 and 1.0, got 3",
    (Fault("#/request/hyperparameters/top_p", "must be between 0.0 and 1.0, got 3"),),
)
_UNREADABLE = Problem(Kind.MALFORMED_JSON, "the body must be a JSON object")
_BUSY = Problem(Kind.UPSTREAM_RATE_LIMITED, "Groq's limit is reached", retry_after=7.5)
_SILENT = Problem(Kind.UPSTREAM_TIMEOUT, "Groq was silent for 30 seconds")

EXAMPLES: Mapping[str, Sequence[Example]] = {
    "chat": [
        _by_client("the least", _chat("Explain quantum computing")),
        _by_client(
            "much of what can be asked for, and safe to be sent again",
            _chat(
                "Explain quantum computing",
                "3f0c5a52-6a0e-4f83-9a10-6c1d1f2f0c11",
                system_prompt="You are a helpful AI assistant.",
                hyperparameters={"temperature": 0.7, "max_tokens": 2048, "stop": ["END"]},
                save_conversation=True,
                conversation_id=None,
                on_disconnect="cancel",
            ),
        ),
        _by_client(
            "the next question; put in your own `conversation_id`",
            _chat("And in one sentence?", conversation_id=_CONVERSATION_ID),
        ),
    ],
    "resume": [
        _by_client(
            "after a lost connection; put in your own `run_id`, and the last seq that you have",
            ResumeMessage(type="resume", id="q2", run_id=_RUN_ID, after=0),
        ),
        _by_client(
            "from the start; put in your own `run_id`",
            ResumeMessage(type="resume", id="q2", run_id=_RUN_ID),
        ),
    ],
    "cancel": [_by_client("while q1 is read", CancelMessage(type="cancel", id="q1"))],
    "leave": [_by_client("while q1 is read", LeaveMessage(type="leave", id="q1"))],
    "ping": [_by_client("at any time", PingMessage(type="ping"))],
    "welcome": [
        _by_server(
            "first",
            Welcome(
                connection_id=_REQUEST_ID,
                limits=SocketLimits(
                    runs=16, message_bytes=1_048_576, messages_per_second=20, messages_burst=40
                ),
            ),
        )
    ],
    "resumed": [
        _by_server(
            "events 13 to 57 follow, and those to come",
            Resumed(id="q2", run_id=_RUN_ID, after=12, last_seq=57, status=RunStatus.RUNNING),
        ),
        _by_server(
            "nothing follows, and the id is free",
            Resumed(id="q2", run_id=_RUN_ID, after=57, last_seq=57, status=RunStatus.FINISHED),
        ),
    ],
    "started": [
        _of_run(
            "Groq has accepted the request",
            0,
            Started(
                run_id=_RUN_ID,
                conversation_id=_CONVERSATION_ID,
                user_message_id="01a20656-9923-73b4-af2e-b582a3d8a0a8",
                message_id=_MESSAGE_ID,
                model=_MODEL,
                created_at="2026-11-23T02:57:48.323Z",
                dropped_messages=0,
                ignored_parameters=(),
                simulated=False,
            ),
        )
    ],
    "delta": [
        _of_run("text", 1, Delta("Quantum")),
        _of_run("what a model thinks", 1, Delta("", reasoning="The user asks")),
    ],
    "finished": [
        _of_run(
            "the whole answer was Quantum",
            2,
            Finished(
                finish_reason=FinishReason.STOP,
                usage=Usage(prompt_tokens=10, completion_tokens=1, total_tokens=11),
                timing=Timing(0.206, 0.223),
                message_id=_MESSAGE_ID,
                content_length=7,
                content_sha256=_TEXT_SHA256,
            ),
        )
    ],
    "failed": [
        _of_run(
            "a part of the answer is kept",
            2,
            Failed(error=problem_body(_SILENT, _REQUEST_ID), message_id=_MESSAGE_ID),
        )
    ],
    "left": [_by_server("nothing more comes for q1", Left("q1"))],
    "error": [
        _by_server("a bad request", Error("q1", problem_body(_INVALID, _REQUEST_ID))),
        _by_server("Groq refused the run", Error("q1", problem_body(_BUSY, _REQUEST_ID))),
        _by_server("no id to answer under", Error(None, problem_body(_UNREADABLE, _REQUEST_ID))),
    ],
    "pong": [_by_server("at any time", Pong())],
    "draining": [_by_server("when the server stops", Draining(1.836))],
}
"""By the `type` of the message."""
