"""How does a growing answer reach the store? A little at a time, all runs in one write."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from attrs import define, frozen

from service.core.conversation import Answer
from service.core.errors import Kind, Problem, ServiceError
from service.core.ports import Checkpoint, ConversationStore, Observer
from service.core.run import Run

INTERVAL_SECONDS = 0.5
"""Between two writes: with the time of a write, a crash loses less than the last second."""

MOST_AT_ONCE = 1000
"""Answers in one write."""
MOST_LEFT = 1000
"""Ended answers that wait for a store which cannot be reached; the oldest are given up first.

As many again that are not saved wait to be counted: they push nothing out that is.
"""
MOST_FAILURES = 3
"""In a row, until the next round: one that cannot be written does not hold up the others."""
TOO_MANY_WAIT = Problem(Kind.STORE_UNAVAILABLE, f"more than {MOST_LEFT} wait for the store")


@define
class _Saved:
    """How much of an answer the store has, in characters."""

    run: Run
    message_id: str
    content: int = 0
    reasoning: int = 0

    def gained(self) -> Checkpoint | None:
        """What the store does not have yet."""
        content, reasoning = self.run.content.whole(), self.run.reasoning.whole()
        if len(content) == self.content and len(reasoning) == self.reasoning:
            return None
        return Checkpoint(
            self.message_id,
            content[self.content :],
            reasoning[self.reasoning :],
            whole=not (self.content or self.reasoning),
        )

    def advance(self, checkpoint: Checkpoint) -> None:
        self.content += len(checkpoint.content)
        self.reasoning += len(checkpoint.reasoning)

    def reset(self) -> None:
        """Nobody knows what of a failed write was kept: the next one replaces all."""
        self.content = self.reasoning = 0


@frozen
class _Left:
    """A write of an ended answer that the store has not taken."""

    doing: str
    write: Callable[[], Awaitable[None]]


class Checkpoints:
    """Writes what running answers have gained, twice a second."""

    def __init__(self, store: ConversationStore, observer: Observer) -> None:
        self._store = store
        self._observer = observer
        self._growing: dict[str, _Saved] = {}
        self._left: deque[_Left] = deque()
        self._uncounted: deque[_Left] = deque()

    def add(self, run: Run, message_id: str) -> None:
        """Begin to keep the answer of a run; its message is in the store."""
        self._growing[run.run_id] = _Saved(run, message_id)

    def remove(self, run: Run) -> None:
        """No more of this run: its answer is about to be stored whole."""
        self._growing.pop(run.run_id, None)

    def leave(self, conversation_id: str, answer: Answer, updated_at: str) -> None:
        """Go on trying to store an answer whose run has given up on the store."""
        finish = partial(self._store.finish, conversation_id, answer, updated_at)
        self._wait(self._left, _Left("finish", finish))

    def leave_uncounted(self, owner: str, answer: Answer) -> None:
        """Go on trying to count an answer that is not saved."""
        self._wait(self._uncounted, _Left("record", partial(self._store.record, owner, answer)))

    async def write_forever(self) -> None:
        """Write at every interval; never returns."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            try:
                await self.write()
            except Exception as exc:  # noqa: BLE001  # a defect must not end the keeping of all answers
                self._observer.store_failed("checkpoint", exc)

    async def _store_left(self, waiting: deque[_Left]) -> None:
        """Try each once, unless one after the other fails: then the store is away."""
        failures = 0
        for _ in range(len(waiting)):
            left = waiting.popleft()  # for good where it meets a defect: others wait behind it
            try:
                await left.write()
            except ServiceError as exc:
                self._observer.store_failed(left.doing, exc)
                self._wait(waiting, left)
                failures += 1
                if failures == MOST_FAILURES:
                    return
            else:
                failures = 0

    def _wait(self, waiting: deque[_Left], left: _Left) -> None:
        if len(waiting) == MOST_LEFT:
            given_up = waiting.popleft()
            self._observer.store_failed(
                f"{given_up.doing}, given up", ServiceError.of(TOO_MANY_WAIT)
            )
        waiting.append(left)

    async def write(self) -> None:
        """Write what has been gained since the last time. A failure is tried again next time."""
        gained = [(saved, saved.gained()) for saved in self._growing.values()]
        pending = [(saved, checkpoint) for saved, checkpoint in gained if checkpoint]
        for first in range(0, len(pending), MOST_AT_ONCE):
            await self._write_some(pending[first : first + MOST_AT_ONCE])
        await self._store_left(self._left)
        await self._store_left(self._uncounted)

    async def _write_some(self, pending: Sequence[tuple[_Saved, Checkpoint]]) -> None:
        try:
            await self._store.checkpoint([checkpoint for _, checkpoint in pending])
        except ServiceError as exc:
            self._observer.store_failed("checkpoint", exc)
            for saved, _ in pending:
                saved.reset()
        else:
            for saved, checkpoint in pending:
                saved.advance(checkpoint)
