"""How late is the event loop? Measured by a task that only sleeps."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

INTERVAL_SECONDS = 0.25


@asynccontextmanager
async def measuring_lag(told: Callable[[float], None]) -> AsyncIterator[None]:
    """Tell, four times a second, how many seconds too late it is."""
    task = asyncio.create_task(_measure(told))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _measure(told: Callable[[float], None]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(INTERVAL_SECONDS)
        told(max(0.0, time.perf_counter() - began - INTERVAL_SECONDS))
