"""What is needed from outside: a language model, a store of conversations, limits, an observer."""

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
    Usage,
)
from service.core.events import Delta, Ending
from service.core.quota import Admission, Quota
from service.core.spending import By, Spent

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

    def answer(
        self, prompt: Prompt
    ) -> AbstractAsyncContextManager[AsyncIterator[Delta | Usage | Ending]]:
        """Entered when the model has accepted the prompt; leaving it ends the generation at once.

        Iterating gives deltas as they arrive, then one `Ending`; and the usage of the answer so
        far whenever it is told, since an ending may not follow. Entering and iterating raise
        `ServiceError` of an `upstream-…` kind, `model-unavailable` or `context-too-long`.
        """
        ...


@frozen
class Beginning:
    """What is stored when a model has accepted a prompt: all of it, or nothing.

    The answer becomes the conversation's active message, its time the time of the update.
    """

    owner: str
    conversation_id: str
    run_id: str
    """Claims the conversation until its answer is finished."""
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


@frozen
class Kept:
    """A conversation, and whose it is."""

    owner: str
    conversation: Conversation


@frozen
class Lost:
    """A run that has lost its claim of a conversation to another process."""

    run_id: str
    removed: bool
    """Whether the conversation was removed; else another run has it."""


class ConversationStore(Protocol):
    """Keeps conversations. Every method raises `ServiceError(STORE_UNAVAILABLE)` when it cannot.

    Methods that change something do all of it or nothing, also when the caller is cancelled.
    What belongs to another owner is not there.

    What an answer cost is counted for its owner as soon as it begins, and stays counted when it is
    removed. What is known of it is replaced whenever the answer is kept again.

    Claims keep the runs of several processes out of each other's conversations. They lapse with
    the process that holds them; where only one process has the store, they are `Runs`' alone.
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

    async def get(self, owner: str, conversation_id: str) -> Conversation | None:
        """A conversation with all its messages, in the order in which they were begun."""
        ...

    async def take(self, owner: str, conversation_id: str, run_id: str) -> Conversation | None:
        """Claim a conversation for a run, and get it as it then is.

        Raises `ServiceError(CONVERSATION_BUSY)` while a run of another process has it. After
        anything but an answer that is finished, the claim is to be released.
        """
        ...

    async def release(self, conversation_id: str, run_id: str) -> None:
        """Give up a run's claim, if it has one; another run's stays."""
        ...

    async def claimed_by(self, owner: str, conversation_id: str) -> str | None:
        """The run of another process that has claimed a conversation."""
        ...

    async def begin(self, beginning: Beginning) -> None:
        """Keep a question and its beginning answer, and claim the conversation; both ids are new.

        A new conversation was created when its question was. Raises
        `ServiceError(CONVERSATION_NOT_FOUND)` when it was to continue one that is gone or another
        owner's, and `ServiceError(CONVERSATION_BUSY)` as `take` does.
        """
        ...

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Keep what answers have gained; those that have ended or are gone are passed over."""
        ...

    async def finish(self, conversation_id: str, answer: Answer, updated_at: str) -> None:
        """Keep an answer as it ended, in place of what was checkpointed; release the claim.

        May be repeated; an answer that is gone is passed over, though what it cost is counted.
        """
        ...

    async def renew(self) -> Sequence[Lost]:
        """Hold this process's claims for another lease, and settle what dead processes held.

        The runs that have lost their claim: stalled for longer than a lease, or the conversation
        was removed elsewhere.
        """
        ...

    async def page(
        self, owner: str, limit: int, after: Position | None, words: Sequence[str]
    ) -> Page:
        """Conversations by `updated_at` and id, latest first, that hold all the words.

        A word is held when a word in the title or in a message begins with it
        (`service.core.search`); no words, no condition.
        """
        ...

    async def change(
        self, owner: str, conversation_id: str, *, title: str | None, active_message_id: str | None
    ) -> None:
        """Set what is not None; `updated_at` stays. An unknown conversation is passed over."""
        ...

    async def delete(self, owner: str, conversation_id: str) -> bool:
        """Remove a conversation and its messages; whether there was one."""
        ...

    async def count(self) -> int:
        """How many conversations there are, of all owners."""
        ...

    # What was spent.

    async def record(self, owner: str, answer: Answer) -> None:
        """Count an answer that is not kept. May be repeated."""
        ...

    async def usage(self, owner: str, start: str, end: str, by: By) -> Sequence[Spent]:
        """What an owner's answers cost that were begun from one time on and before another.

        In the order of keys; those that have nothing are left out.
        """
        ...

    # To move conversations from one store to another.

    async def ids(self, after: str, limit: int) -> Sequence[str]:
        """Ids of conversations of all owners that come after one in the order of code points."""
        ...

    async def read(self, ids: Sequence[str]) -> Sequence[Kept]:
        """Conversations of all owners, in the order of ids; those that are not there left out."""
        ...

    async def write(self, kept: Sequence[Kept]) -> None:
        """Keep conversations as they are, in place of those with the same ids."""
        ...


class Quotas(Protocol):
    """Counts what owners start and spend, and lets nobody go beyond a limit.

    Methods do all of it or nothing, also when the caller is cancelled.
    """

    async def admit(self, owner: str) -> Admission | None:
        """Count a run that may start; None where nothing is limited.

        Raises `ServiceError(RATE_LIMITED)`, and then has counted nothing.
        """
        ...

    async def give_back(self, admission: Admission) -> None:
        """The run did not start: it counts no more."""
        ...

    async def spend(self, admission: Admission, tokens: int) -> Quota:
        """Count the tokens of a run that has ended; what is left then."""
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


class Authenticator(Protocol):
    """Tells who sent a credential."""

    async def owner_of(self, credential: str) -> str:
        """The owner that an API key or a JWT proves; never `service.core.owners.ANONYMOUS`.

        Raises `ServiceError(UNAUTHORIZED)`, also for an empty credential: its detail says what is
        expected, and nothing of what was sent.
        """
        ...
