"""Whose turn it is, and when. On a clock that jumps."""

import asyncio

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from clock import play, steps
from service.core.errors import Kind, ServiceError
from service.groq.gate import PACE_SECONDS, Gate, Turn
from service.groq.quota import LONGEST_BELIEVED_SECONDS, Quota, Quotas

PATIENCE = 5.0
FIRST = Turn(0, 0)


def now() -> float:
    return asyncio.get_running_loop().time()


def requests(limit: int, remaining: int, per_second: float) -> Quotas:
    return Quotas(Quota(limit, remaining, per_second, now()), None)


def tokens(limit: int, remaining: int, per_second: float) -> Quotas:
    return Quotas(None, Quota(limit, remaining, per_second, now()))


def tell(gate: Gate, quotas: Quotas, turn: Turn = FIRST) -> None:
    gate.told(turn, quotas, taken=True)


async def turn(gate: Gate, size: int = 0) -> float:
    """When its turn came. What follows takes no time."""
    gate.leave(await gate.enter(size, PATIENCE))
    return now()


async def refusal(gate: Gate, size: int = 0) -> tuple[float, float | None]:
    """When it was refused, and when it may come back."""
    with pytest.raises(ServiceError) as raised:
        await gate.enter(size, PATIENCE)
    assert raised.value.problem.kind is Kind.UPSTREAM_RATE_LIMITED
    return now(), raised.value.problem.retry_after


class TestFarFromTheLimits:
    def test_nothing_waits_where_nothing_is_known(self) -> None:
        async def story() -> list[float]:
            gate = Gate()
            turns = [await gate.enter(10**9, 0) for _ in range(1000)]
            return [now(), len(turns)]

        assert play(story()) == [0, 1000]

    def test_nothing_waits_where_there_is_enough(self) -> None:
        async def story() -> None:
            gate = Gate()
            tell(gate, Quotas(Quota(1000, 999, 1, 0), Quota(9000, 8000, 1, 0)))
            entering = gate.enter(100, PATIENCE)
            with pytest.raises(StopIteration):  # not even a turn of the loop
                entering.send(None)

        play(story())


class TestAtALimit:
    def test_turns_come_in_order_as_the_limit_fills_up(self) -> None:
        async def story() -> list[float]:
            gate = Gate()
            tell(gate, requests(100, 0, 2.0))
            asked = []
            for _ in range(6):
                asked.append(asyncio.create_task(spend(gate)))
                await steps(1)
            return [await one for one in asked]

        async def spend(gate: Gate) -> float:
            own = await gate.enter(0, PATIENCE)
            at = now()
            left = max(0, int(2.0 * at) - round(2.0 * at))
            tell(gate, requests(100, left, 2.0), own)
            gate.leave(own)
            return at

        assert play(story()) == pytest.approx([0.5, 1, 1.5, 2, 2.5, 3], abs=0.02)

    def test_what_is_too_far_off_is_refused_at_once_with_the_time(self) -> None:
        async def story() -> tuple[float, float | None]:
            gate = Gate()
            tell(gate, requests(1000, 0, 1 / 60))
            return await refusal(gate)

        assert play(story()) == (0, 60)

    def test_who_comes_too_late_in_the_queue_is_refused_at_once(self) -> None:
        async def story() -> tuple[float, float | None]:
            gate = Gate()
            tell(gate, requests(1000, 0, 1.0))
            asked = [asyncio.create_task(turn(gate)) for _ in range(5)]
            await steps(2)
            refused = await refusal(gate)
            await asyncio.gather(*asked)
            return refused

        assert play(story()) == (0, 6)

    def test_a_request_takes_its_tokens(self) -> None:
        async def story() -> list[float]:
            gate = Gate()
            tell(gate, tokens(8000, 1000, 1000))
            return [await turn(gate, 1000), await turn(gate, 3000)]

        assert play(story()) == pytest.approx([0, 2])

    def test_a_small_one_does_not_overtake_a_large_one(self) -> None:
        async def story() -> list[float]:
            gate = Gate()
            tell(gate, tokens(8000, 1000, 1000))
            return list(await asyncio.gather(turn(gate, 3000), turn(gate, 10)))

        large, small = play(story())
        assert large == pytest.approx(2)
        assert small >= large

    def test_what_can_never_fit_is_left_to_groq_and_holds_nobody_up(self) -> None:
        async def story() -> list[float]:
            gate = Gate()
            tell(gate, tokens(8000, 1000, 1000))
            assert (await gate.enter(8001, PATIENCE)).tokens == 0
            return [await turn(gate, 900)]

        assert play(story()) == [0]

    def test_what_is_being_asked_counts_as_used(self) -> None:
        async def story() -> list[float]:
            gate = Gate()
            tell(gate, requests(1000, 2, 1 / 60))
            first, second = await gate.enter(0, PATIENCE), await gate.enter(0, PATIENCE)
            third = asyncio.create_task(turn(gate))
            await steps(5)
            waited = not third.done()
            gate.leave(first)  # nothing came of it
            gate.leave(second)
            return [await third, waited]

        assert play(story()) == [0, True]

    def test_the_wait_ends_also_where_those_who_ask_hear_nothing(self) -> None:
        async def story() -> tuple[float, float | None]:
            gate = Gate()
            tell(gate, requests(1000, 1, 1 / 60))
            await gate.enter(0, PATIENCE)
            return await refusal(gate)

        at, retry_after = play(story())
        assert at == PATIENCE
        assert retry_after
        assert 0 < retry_after <= LONGEST_BELIEVED_SECONDS

    def test_news_that_there_is_nothing_refuses_those_who_wait_at_once(self) -> None:
        async def story() -> tuple[float, float | None]:
            gate = Gate()
            tell(gate, requests(1000, 1, 1 / 60))
            own = await gate.enter(0, PATIENCE)
            waiting = asyncio.create_task(refusal(gate))
            await steps(3)
            tell(gate, requests(1000, 0, 1 / 60), own)
            gate.leave(own)
            return await waiting

        assert play(story()) == (0, 60)

    def test_no_patience_is_no_waiting(self) -> None:
        async def story() -> None:
            gate = Gate()
            tell(gate, requests(10, 1, 1))
            await gate.enter(0, 0)
            with pytest.raises(ServiceError):
                await gate.enter(0, 0)

        play(story())

    def test_an_answer_that_comes_late_does_not_tell_of_the_past(self) -> None:
        async def story() -> tuple[float, float | None]:
            gate = Gate()
            first, second = await gate.enter(0, PATIENCE), await gate.enter(0, PATIENCE)
            tell(gate, requests(1000, 0, 1 / 60), second)
            gate.leave(second)
            tell(gate, requests(1000, 1, 1 / 60), first)
            gate.leave(first)
            return await refusal(gate)

        assert play(story()) == (0, 60)


class TestCancelling:
    def test_who_waits_can_go_and_the_next_moves_up(self) -> None:
        async def story() -> float:
            gate = Gate()
            tell(gate, tokens(9000, 0, 1000))
            first = asyncio.create_task(turn(gate, 4000))
            second = asyncio.create_task(turn(gate, 1000))
            await steps(2)
            first.cancel()
            await asyncio.wait({first})
            assert first.cancelled()
            return await second

        assert play(story()) == pytest.approx(1)

    def test_a_turn_that_comes_to_one_who_goes_is_not_lost(self) -> None:
        async def story() -> float:
            gate = Gate()
            tell(gate, requests(1000, 2, 1 / 60))
            own, _ = await gate.enter(0, PATIENCE), await gate.enter(0, PATIENCE)
            first, second = asyncio.create_task(turn(gate)), asyncio.create_task(turn(gate))
            await steps(2)
            gate.leave(own)  # the turn is the first's now
            first.cancel()
            await asyncio.wait({first})
            return await second

        assert play(story()) == 0


class TestAHold:
    def test_nobody_asks_then_and_a_long_one_is_told(self) -> None:
        async def story() -> tuple[float, tuple[float, float | None]]:
            gate = Gate()
            gate.hold(2)
            at = await turn(gate)
            gate.hold(30)
            return at, await refusal(gate)

        assert play(story()) == (2, (2, 30))

    def test_none_is_believed_for_ever(self) -> None:
        async def story() -> tuple[float, float | None]:
            gate = Gate()
            gate.hold(86_400)
            return await refusal(gate)

        assert play(story()) == (0, LONGEST_BELIEVED_SECONDS)

    def test_after_it_one_asks_first_and_then_ever_more(self) -> None:
        async def story() -> list[int]:
            gate = Gate()
            gate.hold(1)
            inside, most, answer = 0, [], asyncio.Event()

            async def ask() -> None:
                nonlocal inside
                own = await gate.enter(0, PATIENCE)
                inside += 1
                await answer.wait()
                inside -= 1
                tell(gate, Quotas(None, None), own)
                gate.leave(own)

            asked = [asyncio.create_task(ask()) for _ in range(15)]
            await asyncio.sleep(1.1)
            for _ in range(4):
                most.append(inside)
                answer.set()
                answer.clear()
                await steps(5)
            await asyncio.gather(*asked)
            return most

        assert play(story()) == [1, 2, 4, 8]

    def test_who_then_hears_nothing_lets_the_others_go(self) -> None:
        async def story() -> tuple[float, float | None]:
            gate = Gate()
            gate.hold(1)
            await gate.enter(0, PATIENCE)
            return await refusal(gate)

        assert play(story()) == (1 + PATIENCE, PACE_SECONDS)


@define
class Bucket:
    """Groq's side of a limit, as it is."""

    limit: int
    per_second: float
    level: float
    at: float = 0.0

    def take(self, amount: int) -> Quota:
        """Refuses by AssertionError."""
        self.level = min(self.limit, self.level + (now() - self.at) * self.per_second)
        self.at = now()
        self.level -= amount
        assert self.level > -0.02 * self.limit - 1, "a request was burned"
        return Quota(self.limit, max(0, int(self.level)), self.per_second, now())


@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.integers(1, 500), st.floats(0, 1), st.floats(0, 8)),
        min_size=1,
        max_size=40,
    ),
    st.integers(500, 3000),
    st.floats(50, 5000),
    st.floats(0, 1),
)
def test_no_flood_is_burned_nobody_waits_too_long_and_none_is_forgotten(
    flood: list[tuple[float, int, float, float]], limit: int, per_second: float, full: float
) -> None:
    """Each comes at a time, of a size, is answered after a while, and may go while it waits."""

    async def story() -> None:
        gate = Gate()
        refusals: list[float] = []
        asking: set[object] = set()
        bucket = Bucket(limit, per_second, level=float(int(limit * full)))
        tell(gate, tokens(limit, int(limit * full), per_second))

        async def ask(at: float, size: int, seconds: float) -> None:
            await asyncio.sleep(at)
            came = now()
            try:
                own = await gate.enter(size, PATIENCE)
            except ServiceError as exc:
                refusals.append(exc.problem.retry_after or 0)
                return
            finally:
                assert now() - came <= PATIENCE + 0.01
            asking.add(asyncio.current_task())
            try:
                quota = bucket.take(size)
                await asyncio.sleep(seconds)
                tell(gate, Quotas(None, quota), own)
            finally:
                gate.leave(own)

        async def leave(task: "asyncio.Task[None]", at: float) -> None:
            await asyncio.sleep(at)
            if task not in asking:
                task.cancel()

        asked = [asyncio.create_task(ask(*one[:3])) for one in flood]
        leaving = [
            asyncio.create_task(leave(task, one[3]))
            for task, one in zip(asked, flood, strict=True)
            if one[3] < 6
        ]
        done, _ = await asyncio.wait({*asked, *leaving})
        for task in done:
            if not task.cancelled():
                task.result()
        assert all(seconds > 0 for seconds in refusals)
        await asyncio.sleep(60)
        came = now()
        assert await turn(gate, 1) == came  # nothing is left behind

    play(story())
