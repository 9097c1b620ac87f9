"""What can a run say? Its events, and how they are encoded."""

from typing import Literal

from attrs import frozen
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.json import Encoder

from service.core.conversation import FinishReason, Usage
from service.core.errors import Problem


class FaultBody(Struct, frozen=True):
    """One field at fault."""

    pointer: str
    detail: str


class ProblemBody(Struct, frozen=True, kw_only=True):
    """A problem as it is written (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None
    errors: tuple[FaultBody, ...] | UnsetType = UNSET
    retry_after: float | UnsetType = UNSET
    """Seconds."""


def problem_body(problem: Problem, request_id: str | None) -> ProblemBody:
    """A problem as a client is told of it."""
    faults = tuple(FaultBody(fault.pointer, fault.detail) for fault in problem.faults)
    return ProblemBody(
        type=f"/problems/{problem.kind.slug}",
        title=problem.kind.title,
        status=problem.kind.status,
        detail=problem.detail,
        request_id=request_id,
        errors=faults or UNSET,
        retry_after=UNSET if problem.retry_after is None else problem.retry_after,
    )


class Timing(Struct, frozen=True):
    """Seconds since the request: until the first text, and until the end of the answer."""

    time_to_first_token: float | None
    total_time: float


class Started(Struct, frozen=True, kw_only=True, tag_field="type", tag="started"):
    """Groq has accepted the request."""

    run_id: str
    conversation_id: str | None
    user_message_id: str
    message_id: str
    model: str
    created_at: str
    dropped_messages: int
    ignored_parameters: tuple[str, ...]
    simulated: bool
    finished: Literal[False] = False


class Delta(Struct, frozen=True, tag_field="type", tag="delta"):
    """Text that came, and where present reasoning and tools, as Groq sends them."""

    content: str
    reasoning: str | UnsetType = UNSET
    tool_calls: tuple[Raw, ...] | UnsetType = UNSET
    executed_tools: tuple[Raw, ...] | UnsetType = UNSET
    finished: Literal[False] = False


class Finished(Struct, frozen=True, kw_only=True, tag_field="type", tag="finished"):
    """The answer is whole, or was cancelled."""

    content: Literal[""] = ""
    finish_reason: FinishReason
    usage: Usage | None
    cost: float | None
    """US dollars by the prices of the catalogue; None where usage or prices are not known."""
    timing: Timing
    message_id: str | None
    """None where the run was cancelled before Groq had accepted it."""
    content_length: int
    """Bytes of the answer in UTF-8."""
    content_sha256: str
    """Of the same bytes, in lower-case hexadecimal."""
    finished: Literal[True] = True


class Failed(Struct, frozen=True, kw_only=True, tag_field="type", tag="failed"):
    """The run ended without a whole answer."""

    content: Literal[""] = ""
    error: ProblemBody
    message_id: str | None
    finished: Literal[True] = True


Event = Started | Delta | Finished | Failed


@frozen
class Ending:
    """How a model's answer ended."""

    finish_reason: FinishReason
    usage: Usage | None


encode = Encoder().encode
"""An event or another value of the contract as JSON bytes."""
