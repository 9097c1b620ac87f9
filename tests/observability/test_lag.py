import asyncio
import time

import pytest

from service.observability.lag import measuring_lag

STALL_SECONDS = 0.1


async def test_a_loop_that_is_held_up_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.observability.lag.INTERVAL_SECONDS", 0.001)
    told: asyncio.Queue[float] = asyncio.Queue()

    async with asyncio.timeout(10), measuring_lag(told.put_nowait):
        await told.get()
        time.sleep(STALL_SECONDS)  # noqa: ASYNC251  # what is to be noticed
        lags = [await told.get()]
        while lags[-1] < STALL_SECONDS / 2:
            lags.append(await told.get())

    assert min(lags) >= 0


async def test_it_ends_with_what_it_is_open_for() -> None:
    before = asyncio.all_tasks()

    async with measuring_lag(lambda _: None):
        assert len(asyncio.all_tasks() - before) == 1

    assert asyncio.all_tasks() == before
