"""How long were the pauses between the pieces of an answer? Counted, at 0.2 µs for each piece."""

from bisect import bisect_left
from collections.abc import Sequence
from time import monotonic

BOUNDS_SECONDS: Sequence[float] = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05),
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)
"""Pauses up to the first, up to the second, …, and longer ones."""


class Gaps:
    """The pauses of one answer."""

    __slots__ = ("_first", "_last", "counts")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_SECONDS) + 1)
        """How many pauses there were between two bounds."""
        self._first = self._last = 0.0

    @property
    def seconds(self) -> float:
        """All pauses together."""
        return self._last - self._first

    def piece(self) -> None:
        """A piece has come."""
        now = monotonic()  # the clock of uvloop has milliseconds only
        if self._last:
            self.counts[bisect_left(BOUNDS_SECONDS, now - self._last)] += 1
        else:
            self._first = now
        self._last = now
