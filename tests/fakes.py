"""What stands in for Groq, the store, the log and the clock, where a test steers them?"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import count, repeat
from typing import TypeVar

from attrs import define, evolve, field

from service.core.catalogue import Catalogue
from service.core.conversation import Answer, Conversation, FinishReason, Usage
from service.core.errors import Kind, ServiceError
from service.core.events import Delta, Ending
from service.core.plan import Stamps
from service.core.ports import (
    Beginning,
    Checkpoint,
    ConversationStore,
    Kept,
    Lost,
    Page,
    Position,
    Prompt,
)
from service.core.run import Run
from service.core.spending import By, Spent

T = TypeVar("T")

USAGE = Usage(7, 11, 18, reasoning_tokens=3, cached_tokens=2)
COST = 0.000028
"""Of that, on `small`."""
STOPPED = Ending(FinishReason.STOP, USAGE)

CATALOGUE = """
[parameters]
temperature = { minimum = 0.0, maximum = 2.0, default = 1.0 }
top_p = { minimum = 0.0, maximum = 1.0 }
max_tokens = { minimum = 1, maximum = 32000 }
stop = { max_items = 4 }
top_k = { supported = false, minimum = 0, neutral = 0 }
repetition_penalty = { supported = false, minimum = 0.0, maximum = 2.0, neutral = 1.0 }
frequency_penalty = { supported = false, minimum = -2.0, maximum = 2.0, neutral = 0.0 }
presence_penalty = { supported = false, minimum = -2.0, maximum = 2.0, neutral = 0.0 }
seed = { minimum = -9223372036854775808, maximum = 9223372036854775807 }
reasoning_effort = { supported = false, enum = ["none", "low", "high"] }
reasoning_format = { supported = false, enum = ["parsed", "raw", "hidden"] }

[[models]]
id = "small"
name = "Small"
context_window = 8192
max_completion_tokens = 4096
pricing.prompt_per_million = 1.0
pricing.completion_per_million = 2.0
pricing.cached_prompt_per_million = 0.5

[[models]]
id = "thinker"
name = "Thinker"
context_window = 131072
parameters.reasoning_effort = { supported = true, enum = ["low", "high"] }
parameters.stop = { supported = false }

[[models]]
id = "boundless"
name = "No limit is known"

[[models]]
id = "old"
name = "Gone"
replacement = "small"
"""
"""Models for the tests of the core; Groq serves all but `old`."""


def catalogue() -> Catalogue:
    """A catalogue of `CATALOGUE`, in which `old` is known to be gone."""
    made = Catalogue.from_toml(CATALOGUE, "models.toml")
    old = made.find("old")
    assert old
    models = [model for model in made.models if model is not old]
    return Catalogue([*models, evolve(old, available=False)], made.general)


class Accept(Enum):
    """A step of a script: the model accepts the prompt."""

    ACCEPT = "accept"


ACCEPT = Accept.ACCEPT
Step = Accept | Delta | Usage | Ending | asyncio.Event | float | BaseException
"""An event is waited for, seconds pass (0: one turn of the loop), an exception is raised."""


class FakeModel:
    """A language model that follows a script (`service.core.ports.LanguageModel`)."""

    simulated = False

    def __init__(self, script: Sequence[Step]) -> None:
        self.script = script
        """Of the answers that begin from now on."""
        self.prompts: list[Prompt] = []
        self.asked = 0
        """Answers that are under way."""
        self.cancelled = 0
        """Answers that were cut off by a cancellation."""

    @asynccontextmanager
    async def answer(self, prompt: Prompt) -> AsyncIterator[AsyncIterator[Delta | Usage | Ending]]:
        self.prompts.append(prompt)
        self.asked += 1
        try:
            async with aclosing(_performed(self.script)) as steps:
                async for step in steps:
                    if step is ACCEPT:
                        break
                yield _parts(steps)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.asked -= 1


async def _performed(script: Sequence[Step]) -> AsyncGenerator[Step, None]:
    for step in script:
        match step:
            case asyncio.Event():
                await step.wait()
            case float() | int():
                await asyncio.sleep(step)
            case BaseException():
                raise step
            case _:
                yield step


async def _parts(steps: AsyncIterator[Step]) -> AsyncIterator[Delta | Usage | Ending]:
    async for step in steps:
        assert isinstance(step, Delta | Usage | Ending)
        yield step


class RecordingObserver:
    """Remembers what it is told (`service.core.ports.Observer`)."""

    def __init__(self) -> None:
        self.started: list[Run] = []
        self.ended: list[Run] = []
        self.failures: list[str] = []
        """What the store could not do."""
        self.defects: list[BaseException] = []

    def run_started(self, run: Run) -> None:
        self.started.append(run)

    def run_ended(self, run: Run) -> None:
        self.ended.append(run)

    def store_failed(self, doing: str, error: Exception) -> None:
        self.failures.append(doing)

    def defect(self, run: Run, error: BaseException) -> None:
        self.defects.append(error)


class Clock:
    """Counting ids, and a time that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Since the beginning of 2025."""
        self._ids = count(1)

    def new_id(self) -> str:
        return f"id-{next(self._ids):06}"

    def now(self) -> str:
        moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @property
    def stamps(self) -> Stamps:
        return Stamps(self.new_id, self.now)


def unavailable() -> ServiceError:
    """What a store raises when it cannot."""
    return ServiceError(Kind.STORE_UNAVAILABLE, "the store is away", retry_after=1)


@define
class Trouble:
    """What shall happen to the calls of one method of a store."""

    errors: Iterator[Exception] = field(factory=lambda: iter(()))
    """One for each call; afterwards calls succeed."""
    errors_after: Iterator[Exception] = field(factory=lambda: iter(()))
    """The same, but what the call was for has been done."""
    gate: asyncio.Event | None = None
    """Waited for before anything is done."""


class FailingStore:
    """A store that fails or stalls on command, and else does what the store behind it does.

    Keeps claims as a store for several processes would. Every call takes `turns` turns of the
    loop before and after it does its work.
    """

    def __init__(self, store: ConversationStore, *, turns: int = 0) -> None:
        self.kind = store.kind
        self.calls: list[str] = []
        self.claims: dict[str, str] = {}
        """Of conversations by runs, by their ids."""
        self.lost: list[Lost] = []
        """What every renewal says beside what the store behind says."""
        self._store = store
        self._turns = turns
        self._troubles: dict[str, Trouble] = {}

    def fail(self, method: str, times: int = 1, *, error: Exception | None = None) -> None:
        """Let the next calls of a method fail before they do anything."""
        self._trouble(method).errors = repeat(error or unavailable(), times)

    def fail_late(self, method: str, times: int = 1) -> None:
        """Let the next calls of a method do what they shall, and then fail."""
        self._trouble(method).errors_after = repeat(unavailable(), times)

    def fail_for_ever(self, method: str, *, error: Exception | None = None) -> None:
        """Let all calls of a method fail."""
        self._trouble(method).errors = repeat(error or unavailable())

    def stall(self, method: str) -> asyncio.Event:
        """Let calls of a method wait until the event is set."""
        gate = self._trouble(method).gate = asyncio.Event()
        return gate

    def _trouble(self, method: str) -> Trouble:
        return self._troubles.setdefault(method, Trouble())

    async def _call(self, method: str, work: Callable[[], Awaitable[T]]) -> T:
        self.calls.append(method)
        trouble = self._trouble(method)
        await self._turn()
        if trouble.gate:
            await trouble.gate.wait()
        for error in trouble.errors:
            raise error
        result = await work()
        await self._turn()
        for error in trouble.errors_after:
            raise error
        return result

    async def _turn(self) -> None:
        for _ in range(self._turns):
            await asyncio.sleep(0)

    async def open(self) -> None:
        await self._call("open", self._store.open)

    async def close(self) -> None:
        await self._call("close", self._store.close)

    async def ping(self) -> None:
        await self._call("ping", self._store.ping)

    async def get(self, owner: str, conversation_id: str) -> Conversation | None:
        return await self._call("get", lambda: self._store.get(owner, conversation_id))

    async def take(self, owner: str, conversation_id: str, run_id: str) -> Conversation | None:
        async def work() -> Conversation | None:
            conversation = await self._store.take(owner, conversation_id, run_id)
            if conversation:
                self.claims[conversation_id] = run_id
            return conversation

        return await self._call("take", work)

    async def release(self, conversation_id: str, run_id: str) -> None:
        async def work() -> None:
            await self._store.release(conversation_id, run_id)
            if self.claims.get(conversation_id) == run_id:
                del self.claims[conversation_id]

        await self._call("release", work)

    async def claimed_by(self, owner: str, conversation_id: str) -> str | None:
        return await self._call(
            "claimed_by", lambda: self._store.claimed_by(owner, conversation_id)
        )

    async def renew(self) -> Sequence[Lost]:
        return [*await self._call("renew", self._store.renew), *self.lost]

    async def begin(self, beginning: Beginning) -> None:
        async def work() -> None:
            await self._store.begin(beginning)
            self.claims[beginning.conversation_id] = beginning.run_id

        await self._call("begin", work)

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> None:
        await self._call("checkpoint", lambda: self._store.checkpoint(checkpoints))

    async def finish(self, conversation_id: str, answer: Answer, updated_at: str) -> None:
        async def work() -> None:
            await self._store.finish(conversation_id, answer, updated_at)
            self.claims.pop(conversation_id, None)

        await self._call("finish", work)

    async def page(
        self, owner: str, limit: int, after: Position | None, words: Sequence[str]
    ) -> Page:
        return await self._call("page", lambda: self._store.page(owner, limit, after, words))

    async def change(
        self, owner: str, conversation_id: str, *, title: str | None, active_message_id: str | None
    ) -> None:
        await self._call(
            "change",
            lambda: self._store.change(
                owner, conversation_id, title=title, active_message_id=active_message_id
            ),
        )

    async def delete(self, owner: str, conversation_id: str) -> bool:
        return await self._call("delete", lambda: self._store.delete(owner, conversation_id))

    async def count(self) -> int:
        return await self._call("count", self._store.count)

    async def record(self, owner: str, answer: Answer) -> None:
        await self._call("record", lambda: self._store.record(owner, answer))

    async def usage(self, owner: str, start: str, end: str, by: By) -> Sequence[Spent]:
        return await self._call("usage", lambda: self._store.usage(owner, start, end, by))

    async def ids(self, after: str, limit: int) -> Sequence[str]:
        return await self._call("ids", lambda: self._store.ids(after, limit))

    async def read(self, ids: Sequence[str]) -> Sequence[Kept]:
        return await self._call("read", lambda: self._store.read(ids))

    async def write(self, kept: Sequence[Kept]) -> None:
        await self._call("write", lambda: self._store.write(kept))
