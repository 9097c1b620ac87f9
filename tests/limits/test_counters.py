import asyncio

from service.limits.counters import Counters


async def test_a_window_begins_with_what_is_first_counted_in_it() -> None:
    counters = Counters()
    await asyncio.sleep(7)
    counted = [await counters.incr("a", 10), await counters.incr("a", 10, 5)]
    ends = await counters.get_expiry("a")
    await asyncio.sleep(9)
    counted.append(await counters.incr("a", 10))

    assert counted == [1, 6, 7]
    assert ends == await counters.get_expiry("a") == 17


async def test_a_window_that_has_ended_holds_nothing() -> None:
    counters = Counters()
    await counters.incr("a", 10, 5)
    await asyncio.sleep(10)

    assert await counters.get("a") == 0
    assert await counters.get_expiry("a") == 10
    assert await counters.incr("a", 10) == 1
    assert await counters.get_expiry("a") == 20


async def test_keys_do_not_know_of_each_other() -> None:
    counters = Counters()
    await counters.incr("a", 10, 5)

    assert await counters.get("b") == 0
    assert await counters.incr("b", 20) == 1
    assert [await counters.get_expiry(key) for key in "abc"] == [10, 20, 0]


async def test_what_is_given_back_counts_no_more_and_the_window_goes_on() -> None:
    counters = Counters()
    await counters.incr("a", 10)
    await asyncio.sleep(1)
    await counters.incr("a", 10, -1)

    assert await counters.get("a") == 0
    assert await counters.incr("a", 10) == 1
    assert await counters.get_expiry("a") == 10


async def test_what_is_given_back_too_late_gives_nothing_to_the_next_window() -> None:
    counters = Counters()
    await counters.incr("a", 10)
    await asyncio.sleep(10)

    assert await counters.incr("a", 10, -1) == 0
    assert len(counters) == 0
    assert await counters.incr("a", 10) == 1


async def test_no_window_is_held_for_long_after_its_end() -> None:
    counters = Counters()
    for owner in range(1000):
        await counters.incr(f"minute {owner}", 60)
        await counters.incr(f"day {owner}", 86_400)
        await asyncio.sleep(1)

    assert len(counters) == 1000 + 60
    await asyncio.sleep(86_400)
    await counters.incr("another", 60)
    assert len(counters) == 1


async def test_refusals_at_the_beginning_of_a_window_hold_no_more_memory() -> None:
    counters = Counters()
    for _ in range(1000):
        await counters.incr("a", 10)
        await counters.incr("a", 10, -1)

    await asyncio.sleep(10)
    await counters.incr("b", 10)

    assert len(counters) == 1


async def test_it_is_there_and_can_be_emptied() -> None:
    counters = Counters()
    await counters.incr("a", 10, 3)
    await counters.incr("b", 10, 3)
    await counters.clear("a")
    await counters.clear("nothing")

    assert await counters.check()
    assert [await counters.get(key) for key in "ab"] == [0, 3]
    assert await counters.reset() == 2
    assert await counters.get("b") == 0
    await asyncio.sleep(10)
    assert await counters.incr("a", 10) == 1
