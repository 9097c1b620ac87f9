"""How does a growing answer reach the store? A little at a time, all runs in one write."""

import asyncio
from collections.abc import Sequence

from attrs import define

from service.core.errors import ServiceError
from service.core.ports import Checkpoint, ConversationStore, Observer
from service.core.run import Run

INTERVAL_SECONDS = 0.5
"""Between two writes: with the time of a write, a crash loses less than the last second."""

MOST_AT_ONCE = 1000
"""Answers in one write."""


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


class Checkpoints:
    """Writes what running answers have gained, twice a second."""

    def __init__(self, store: ConversationStore, observer: Observer) -> None:
        self._store = store
        self._observer = observer
        self._growing: dict[str, _Saved] = {}

    def add(self, run: Run, message_id: str) -> None:
        """Begin to keep the answer of a run; its message is in the store."""
        self._growing[run.run_id] = _Saved(run, message_id)

    def remove(self, run: Run) -> None:
        """No more of this run: its answer is about to be stored whole."""
        self._growing.pop(run.run_id, None)

    async def write_forever(self) -> None:
        """Write at every interval; never returns."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write what has been gained since the last time. A failure is tried again next time."""
        gained = [(saved, saved.gained()) for saved in self._growing.values()]
        pending = [(saved, checkpoint) for saved, checkpoint in gained if checkpoint]
        if not pending:
            return
        for first in range(0, len(pending), MOST_AT_ONCE):
            await self._write_some(pending[first : first + MOST_AT_ONCE])

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
