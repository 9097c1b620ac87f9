import asyncio
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clock import play
from service.core.silence import Silence


async def fired(touches: list[float], seconds: float, until: float) -> list[float]:
    """The moments at which silence was noticed, where something happened after these pauses."""
    loop = asyncio.get_running_loop()
    began, moments = loop.time(), list[float]()
    silence = Silence(seconds, lambda: moments.append(loop.time() - began))
    for pause in touches:
        await asyncio.sleep(pause)
        silence.touch()
    await asyncio.sleep(began + until - loop.time())
    silence.stop()
    await asyncio.sleep(10 * seconds)
    return moments


async def test_silence_is_noticed_each_time_that_it_has_lasted_so_long() -> None:
    assert await fired([], 15, until=50) == pytest.approx([15, 30, 45])


async def test_what_happens_puts_it_off() -> None:
    assert await fired([10, 10, 10], 15, until=50) == pytest.approx([45])


async def test_nothing_is_noticed_after_stop() -> None:
    assert await fired([], 15, until=14) == []


@given(st.lists(st.integers(1, 40), max_size=12), st.integers(1, 20))
def test_it_is_noticed_at_whole_multiples_after_the_last_touch(
    pauses: list[int], about_seconds: int
) -> None:
    seconds = about_seconds + math.pi - 3  # so that silence never ends just as it is noticed
    until = sum(pauses) + 50
    touched = [0, *itertools.accumulate(pauses), until]
    expected = [
        begin + multiple * seconds
        for begin, end in itertools.pairwise(touched)
        for multiple in range(1, math.floor((end - begin) / seconds) + 1)
    ]

    moments = play(fired([float(pause) for pause in pauses], seconds, until))

    assert moments == pytest.approx(expected)
