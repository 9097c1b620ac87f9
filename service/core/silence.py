"""Has nothing happened for too long? A timer that costs an assignment per event."""

import asyncio
from collections.abc import Callable


class Silence:
    """Calls `then` each time that `touch` was not called for so many seconds.

    One timer of the loop is set anew only when it fires, not at each touch.
    """

    def __init__(self, seconds: float, then: Callable[[], None]) -> None:
        self._seconds = seconds
        self._then = then
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._last = self._waited_from = self._now()
        self._timer = self._loop.call_at(self._last + seconds, self._fire)

    def touch(self) -> None:
        """Something happened."""
        self._last = self._now()

    def stop(self) -> None:
        """Never call again."""
        self._timer.cancel()
        # It leads back to whoever has this, and would keep a log until a search for cycles.
        self._then = _nothing

    def _fire(self) -> None:
        # Not by the clock: a timer may be a rounding early, and would be set anew for no time.
        silent = self._last == self._waited_from
        if silent:
            self._last = self._now()
        self._waited_from = self._last
        self._timer = self._loop.call_at(self._last + self._seconds, self._fire)
        if silent:
            self._then()


def _nothing() -> None:
    pass
