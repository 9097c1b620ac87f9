"""Who said what: a tree of messages with an active branch."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from attrs import field, frozen

HyperparameterValue = int | float | str | tuple[str, ...]
Hyperparameters = Mapping[str, HyperparameterValue]

MILLI, NANO = 10**3, 10**9
"""In one."""

TITLE_LENGTH = 60
"""Characters of a first question that become a title; a client may set up to 200."""


class AnswerStatus(StrEnum):
    """How whole an answer is."""

    STREAMING = "streaming"
    COMPLETE = "complete"
    PARTIAL = "partial"


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    CANCELLED = "cancelled"


@frozen
class Usage:
    """What an answer cost, in tokens as Groq counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    reasoning_tokens: int = 0
    """Of the completion tokens."""
    cached_tokens: int = 0
    """Of the prompt tokens."""


@frozen
class Question:
    """A message by the user."""

    message_id: str
    parent_message_id: str | None
    content: str
    created_at: str


@frozen
class Answer:
    """A message by the model, and how it was asked for."""

    message_id: str
    parent_message_id: str
    content: str
    created_at: str
    model: str
    status: AnswerStatus
    reasoning: str | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    system_prompt: str | None = None
    hyperparameters: Hyperparameters = field(factory=dict)
    milliseconds: int | None = None
    """From the request to the end; whole, as is the next, so that sums are exact in every store."""
    nanodollars: int | None = None
    """What it cost (`service.core.pricing`); None where that is not known."""

    @property
    def seconds(self) -> float | None:
        """From the request to the end."""
        return None if self.milliseconds is None else self.milliseconds / MILLI

    @property
    def cost(self) -> float | None:
        """US dollars; None where they are not known."""
        return None if self.nanodollars is None else self.nanodollars / NANO


Message = Question | Answer


@frozen
class Summary:
    """A conversation as a list shows it."""

    conversation_id: str
    title: str
    created_at: str
    updated_at: str
    message_count: int
    model: str | None
    """Of the answer written last."""


@frozen
class Conversation:
    """All messages of a conversation, in the order in which they were written.

    Times are RFC 3339 in UTC with milliseconds, so they sort as strings.
    """

    conversation_id: str
    title: str
    created_at: str
    updated_at: str
    active_message_id: str
    """The leaf of the active branch."""
    messages: tuple[Message, ...]

    def message(self, message_id: str) -> Message | None:
        """The message of that id."""
        return next((m for m in self.messages if m.message_id == message_id), None)

    def active_branch(self) -> tuple[Message, ...]:
        """The active branch, oldest first."""
        return self.path_to(self.active_message_id)

    def path_to(self, message_id: str) -> tuple[Message, ...]:
        """From the first question to that message, oldest first; empty where there is none."""
        known = {message.message_id: message for message in self.messages}
        return tuple(reversed(list(_upwards(known, message_id))))

    def latest_leaf(self, message_id: str) -> str:
        """The leaf written last among those below a message, or the message itself."""
        below = {message_id}
        leaves = {message_id}
        latest = message_id
        for message in self.messages:  # parents come before their children
            if message.parent_message_id in below:
                below.add(message.message_id)
                leaves.discard(message.parent_message_id)
                leaves.add(message.message_id)
        for message in self.messages:
            if message.message_id in leaves:
                latest = message.message_id
        return latest

    def summary(self) -> Summary:
        """The conversation as a list shows it."""
        models = [m.model for m in self.messages if isinstance(m, Answer)]
        return Summary(
            self.conversation_id,
            self.title,
            self.created_at,
            self.updated_at,
            len(self.messages),
            models[-1] if models else None,
        )


def _upwards(known: Mapping[str, Message], message_id: str | None) -> Iterator[Message]:
    while message_id is not None and (message := known.get(message_id)):
        yield message
        message_id = message.parent_message_id


def system_prompt_of(path: Sequence[Message]) -> str | None:
    """The last system prompt that was given on a branch."""
    given = (m.system_prompt for m in reversed(path) if isinstance(m, Answer))
    return next((prompt for prompt in given if prompt is not None), None)


def title_of(question: str) -> str:
    """A title for a conversation: the beginning of its first question, on one line."""
    line = " ".join(question.split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"
