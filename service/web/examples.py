"""How does what travels look? Examples, made of the types that travel."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from attrs import frozen

from service.core.conversation import AnswerStatus, FinishReason, Summary, Usage
from service.core.errors import Fault, Kind, Problem
from service.core.events import Delta, Event, Failed, Finished, Started, Timing, problem_body
from service.core.request import JsonObject
from service.core.run import RunState, RunStatus
from service.core.spending import By
from service.web.chat import ChatAnswer, StartedRun
from service.web.conversations import ConversationList
from service.web.export import AssistantMessage, ShownConversation, UserMessage
from service.web.health import Health, Liveness, Readiness
from service.web.usage import UsageItem, UsageReport, UsageSum

MODEL = "openai/gpt-oss-20b"
RUN_ID = "01a20656-9923-73b4-af2e-b5818839d55f"
CONVERSATION_ID = "01a20656-9923-73b4-af2e-b580c3f11836"
QUESTION_ID = "01a20656-9923-73b4-af2e-b582a3d8a0a8"
MESSAGE_ID = "01a20656-9923-73b4-af2e-b583baef7fde"
REQUEST_ID = "01a20656-9920-7d11-a0e3-5f2a1c0d9b47"
IDEMPOTENCY_KEY = "3f0c5a52-6a0e-4f83-9a10-6c1d1f2f0c11"

_TEXT_SHA256 = "4c186903549c3a98362870a72e9a635ac20a1d46e6b4e8ab0c13be95e3fbe93a"
_BEGAN, _ENDED = "2026-11-23T02:57:48.323Z", "2026-11-23T02:57:48.546Z"
_USAGE = Usage(prompt_tokens=10, completion_tokens=1, total_tokens=11)
_TIMING = Timing(0.206, 0.223)
_COST = 0.00000105
_SUM: Mapping[str, Any] = {
    "answers": 1,
    "prompt_tokens": 10,
    "completion_tokens": 1,
    "total_tokens": 11,
    "reasoning_tokens": 0,
    "cached_tokens": 0,
    "seconds": 0.223,
    "cost": _COST,
    "unpriced": 0,
}
_PROMPT, _TEXT = "Explain quantum computing", "Quantum"


@frozen
class Example:
    """A value as it travels; `note` says when, and what must be put in before it is sent."""

    note: str
    payload: JsonObject


def built(note: str, value: object) -> Example:
    """A value of the code as it travels."""
    return Example(note, msgspec.to_builtins(value))


# What is asked.

CHAT_REQUESTS: Sequence[Example] = [
    Example("the least", {"model": MODEL, "user_prompt": _PROMPT}),
    Example(
        "much of what can be asked for",
        {
            "model": MODEL,
            "user_prompt": _PROMPT,
            "system_prompt": "You are a helpful AI assistant.",
            "hyperparameters": {"temperature": 0.7, "max_tokens": 2048, "stop": ["END"]},
            "save_conversation": True,
            "conversation_id": None,
            "on_disconnect": "cancel",
        },
    ),
    Example(
        "the next question; put in your own `conversation_id`",
        {
            "model": MODEL,
            "user_prompt": "And in one sentence?",
            "conversation_id": CONVERSATION_ID,
        },
    ),
]
REGENERATIONS: Sequence[Example] = [
    Example("as the old answer was asked for", {}),
    Example("colder", {"hyperparameters": {"temperature": 0.2}}),
]
CHANGES: Sequence[Example] = [
    Example("another title", {"title": "Quantum computing"}),
    Example(
        "another branch; put in your own `active_message_id`", {"active_message_id": MESSAGE_ID}
    ),
]

# What is answered.

INVALID = Problem(
    Kind.VALIDATION_ERROR,
    "hyperparameters/top_p must be between 0.0 and 1.0, got 3",
    (Fault("#/hyperparameters/top_p", "must be between 0.0 and 1.0, got 3"),),
)
UNREADABLE = Problem(Kind.MALFORMED_JSON, "the body must be a JSON object")
BUSY = Problem(Kind.UPSTREAM_RATE_LIMITED, "Groq's limit is reached", retry_after=7.5)
SILENT = Problem(Kind.UPSTREAM_TIMEOUT, "Groq was silent for 30 seconds")


@frozen
class EventExample:
    """An event of a run, and its number."""

    note: str
    seq: int
    event: Event


EVENTS: Mapping[str, Sequence[EventExample]] = {
    "started": [
        EventExample(
            "Groq has accepted the request",
            0,
            Started(
                run_id=RUN_ID,
                conversation_id=CONVERSATION_ID,
                user_message_id=QUESTION_ID,
                message_id=MESSAGE_ID,
                model=MODEL,
                created_at=_BEGAN,
                dropped_messages=0,
                ignored_parameters=(),
                simulated=False,
            ),
        )
    ],
    "delta": [
        EventExample("text", 1, Delta(_TEXT)),
        EventExample("what a model thinks", 1, Delta("", reasoning="The user asks")),
    ],
    "finished": [
        EventExample(
            f"the whole answer was {_TEXT}",
            2,
            Finished(
                finish_reason=FinishReason.STOP,
                usage=_USAGE,
                cost=_COST,
                timing=_TIMING,
                message_id=MESSAGE_ID,
                content_length=7,
                content_sha256=_TEXT_SHA256,
            ),
        )
    ],
    "failed": [
        EventExample(
            "a part of the answer is kept",
            2,
            Failed(error=problem_body(SILENT, REQUEST_ID), message_id=MESSAGE_ID),
        )
    ],
}
"""By their `type`."""

ANSWERS: Mapping[type, Example] = {
    type(value): built(note, value)
    for note, value in (
        (
            "a short answer",
            ChatAnswer(
                run_id=RUN_ID,
                conversation_id=CONVERSATION_ID,
                message_id=MESSAGE_ID,
                model=MODEL,
                content=_TEXT,
                reasoning="",
                finish_reason=FinishReason.STOP,
                usage=_USAGE,
                cost=_COST,
                timing=_TIMING,
            ),
        ),
        ("to be read at `/api/runs/{run_id}/events`", StartedRun(RUN_ID)),
        (
            "a run that has ended",
            RunState(
                run_id=RUN_ID,
                status=RunStatus.FINISHED,
                model=MODEL,
                conversation_id=CONVERSATION_ID,
                message_id=MESSAGE_ID,
                content=_TEXT,
                reasoning="",
                finish_reason=FinishReason.STOP,
                usage=_USAGE,
                cost=_COST,
                timing=_TIMING,
                error=None,
                last_seq=2,
                created_at=_BEGAN,
                ended_at=_ENDED,
            ),
        ),
        (
            "the only page",
            ConversationList(
                items=(Summary(CONVERSATION_ID, _PROMPT, _BEGAN, _ENDED, 2, MODEL),),
                next_cursor=None,
            ),
        ),
        (
            "a day",
            UsageReport(
                start="2025-01-01T00:00:00.000Z",
                end="2025-02-01T00:00:00.000Z",
                group_by=By.DAY,
                items=(UsageItem(key="2025-01-31", **_SUM),),
                total=UsageSum(**_SUM),
            ),
        ),
        (
            "one question and its answer",
            ShownConversation(
                conversation_id=CONVERSATION_ID,
                title=_PROMPT,
                created_at=_BEGAN,
                updated_at=_ENDED,
                active_message_id=MESSAGE_ID,
                active_run_id=None,
                messages=(
                    UserMessage(
                        content=_PROMPT,
                        message_id=QUESTION_ID,
                        parent_message_id=None,
                        created_at=_BEGAN,
                    ),
                    AssistantMessage(
                        content=_TEXT,
                        message_id=MESSAGE_ID,
                        parent_message_id=QUESTION_ID,
                        created_at=_BEGAN,
                        model=MODEL,
                        status=AnswerStatus.COMPLETE,
                        reasoning=None,
                        finish_reason=FinishReason.STOP,
                        usage=_USAGE,
                        seconds=_TIMING.total_time,
                        cost=_COST,
                        system_prompt=None,
                        hyperparameters={"temperature": 0.7},
                    ),
                ),
            ),
        ),
        (
            "a conversation after its change",
            Summary(CONVERSATION_ID, "Quantum computing", _BEGAN, _ENDED, 2, MODEL),
        ),
        (
            "with SQLite",
            Health(conversations_in_memory=1, store="sqlite", active_runs=0, version="0.1.0"),
        ),
        ("always", Liveness()),
        ("all is well", Readiness("ready", {"store": "ok", "groq": "ok"})),
    )
}
"""By what they are made of."""
