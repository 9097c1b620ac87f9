"""What is needed from outside: a language model, a store of conversations, an observer."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from service.core.catalogue import Model
from service.core.conversation import (
    Answer,
    Conversation,
    Hyperparameters,
    Question,
    Summary,
)
from service.core.events import Delta, Ending

if TYPE_CHECKING:
    from service.core.run import Run


class Role(StrEnum):
    """Who speaks in a prompt."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@frozen
class Turn:
    """One message of a prompt."""

    role: Role
    content: str


@frozen
class Prompt:
    """What a model is asked."""

    model: Model
    turns: tuple[Turn, ...]
    hyperparameters: Hyperparameters


class LanguageModel(Protocol):
    """Asks for answers."""

    simulated: bool
    """Whether the answers come from the built-in simulator."""

    def answer(self, prompt: Prompt) -> AbstractAsyncContextManager[AsyncIterator[Delta | Ending]]:
        """Entered when the model has accepted the prompt; leaving it ends the generation at once.

        Iterating gives deltas as they arrive, then one `Ending`. Entering and iterating raise
        `ServiceError` of an `upstream-…` kind, `model-unavailable` or `context-too-long`.
        """
        ...


@frozen
class Beginning:
    """What is stored when a model has accepted a prompt: all of it, or nothing.

    The answer becomes the conversation's active message, its time the time of the update.
    """

    conversation_id: str
    answer: Answer
    question: Question | None
    """None where an old question is answered anew."""
    title: str | None
    """Of a conversation that begins with this question; None where it exists."""


@frozen
class Checkpoint:
    """What a growing answer has gained."""

    message_id: str
    content: str
    reasoning: str
    whole: bool
    """True when the texts replace what is stored, false when they are to be added to it."""


@frozen
class Page:
    """One page of a list of conversations."""

    items: tuple[Summary, ...]
    last: bool
    """Whether the list ends here."""


@frozen
class Position:
    """A place in the list of conversations: after the conversation with these two."""

    updated_at: str
    conversation_id: str


class ConversationStore(Protocol):
    """Keeps conversations. Every method raises `ServiceError(STORE_UNAVAILABLE)` when it cannot.

    Methods that change something do all of it or nothing, also when the caller is cancelled.
    """

    kind: str
    """`memory`, `sqlite`, …: never an address."""

    async def open(self) -> None:
        """Make ready: connect, bring the schema up to date, settle what a crash left behind.

        Does nothing on an open store; may be called again when it raised.
        """
        ...

    async def close(self) -> None:
        """Let go of what `open` took; harmless when not open."""
        ...

    async def ping(self) -> None:
        """Raise unless the store works."""
        ...

    async def get(self, conversation_id: str) -> Conversation | None:
        """A conversation with all its messages, in the order in which they were begun."""
        ...

    async def begin(self, beginning: Beginning) -> None:
        """Keep a question and its beginning answer; both ids are new.

        A new conversation was created when its question was. Raises
        `ServiceError(CONVERSATION_NOT_FOUND)` when it was to continue one that is gone.
        """
        ...

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Keep what answers have gained; those that have ended or are gone are passed over."""
        ...

    async def finish(self, conversation_id: str, answer: Answer, updated_at: str) -> None:
        """Keep an answer as it ended, in place of what was checkpointed of it.

        May be repeated; an answer that is gone is passed over.
        """
        ...

    async def page(self, limit: int, after: Position | None, words: Sequence[str]) -> Page:
        """Conversations by `updated_at` and id, latest first, that hold all the words.

        A word is held when a word in the title or in a message begins with it
        (`service.core.search`); no words, no condition.
        """
        ...

    async def change(
        self, conversation_id: str, *, title: str | None, active_message_id: str | None
    ) -> None:
        """Set what is not None; `updated_at` stays. An unknown conversation is passed over."""
        ...

    async def delete(self, conversation_id: str) -> bool:
        """Remove a conversation and its messages; whether there was one."""
        ...

    async def count(self) -> int:
        """How many conversations there are."""
        ...


class Observer(Protocol):
    """Is told what happens, to log and to count it. Never raises."""

    def run_started(self, run: "Run") -> None:
        """A run was claimed; Groq has not been asked yet."""
        ...

    def run_ended(self, run: "Run") -> None:
        """A run has its terminal event, or was refused."""
        ...

    def store_failed(self, doing: str, error: Exception) -> None:
        """The store could not do something; it will be tried again."""
        ...

    def defect(self, run: "Run", error: BaseException) -> None:
        """A run ended by an exception that nothing expects."""
        ...
