"""What time is it in a test? A loop whose clock jumps to the next timer instead of waiting."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")

LONGEST_TEST_SECONDS = 100_000.0
LEAST_JUMP_SECONDS = 1e-9
"""So that time never stands still by a rounding."""


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop that never sleeps.

    When nothing is left to do but to wait for a timer, it is at once that timer's time. A test
    that waits for what can never happen fails at once.
    """

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.now


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if ready := super().select(0):
            return ready
        if timeout is None:
            raise RuntimeError("the test waits for something that can never happen")
        if timeout > 0:
            self._loop.now += max(timeout, LEAST_JUMP_SECONDS)
        if self._loop.now > LONGEST_TEST_SECONDS:
            raise RuntimeError("the test waits for something that does not happen")
        return []


def play(work: Coroutine[object, object, T]) -> T:
    """Run something to its end on a loop of its own, and leave nothing behind."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        result = runner.run(work)
        left = asyncio.all_tasks(runner.get_loop())
        assert not left, f"tasks were left behind: {left}"
        return result


async def steps(count: int) -> None:
    """Let everything else that is ready run so many times."""
    for _ in range(count):
        await asyncio.sleep(0)
