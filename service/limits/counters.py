"""How is counted in memory? A number for each window that has begun."""

import asyncio
import heapq

from attrs import define
from limits.aio.storage import Storage


@define
class _Window:
    count: int
    ends: float
    """By the loop's clock."""


class Counters(Storage):
    """A storage for fixed windows that begin with what is first counted in them.

    In place of the library's `MemoryStorage`, which looks at every owner for each hit, from a task
    that nobody awaits, and goes by a clock that may be set. No method suspends.
    """

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[str, _Window] = {}
        self._ends: list[tuple[float, str]] = []
        """A heap: the window that ends next comes first."""

    def __len__(self) -> int:
        """How many windows are held."""
        return len(self._windows)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the library may catch: nothing goes wrong here."""
        return ValueError

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count; the window begins now where there is none, and ends after `expiry` seconds."""
        now = asyncio.get_running_loop().time()
        self._forget_ended(now)
        window = self._windows.get(key)
        if window is None and amount < 0:
            return 0  # what is given back too late is gone
        if window is None:
            window = self._windows[key] = _Window(0, now + expiry)
            heapq.heappush(self._ends, (window.ends, key))
        window.count += amount
        return window.count

    async def get(self, key: str) -> int:
        """What was counted in the window that is open."""
        window = self._windows.get(key)
        if window is None or window.ends <= asyncio.get_running_loop().time():
            return 0
        return window.count

    async def get_expiry(self, key: str) -> float:
        """When the window ends; now, where none is open."""
        window = self._windows.get(key)
        now = asyncio.get_running_loop().time()
        return now if window is None else max(window.ends, now)

    async def check(self) -> bool:
        """Memory is always there."""
        return True

    async def reset(self) -> int:
        """Forget everything; how many windows there were."""
        count = len(self._windows)
        self._windows.clear()
        self._ends.clear()
        return count

    async def clear(self, key: str) -> None:
        """Forget what was counted in one window; it ends when it would have."""
        if window := self._windows.get(key):
            window.count = 0

    def _forget_ended(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            _, key = heapq.heappop(self._ends)
            del self._windows[key]
