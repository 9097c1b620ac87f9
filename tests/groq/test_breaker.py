"""When a model is left alone, and who tries it again. On a clock that jumps."""

import asyncio

import pytest
from attrs import define, field

from clock import play
from service.core.errors import Kind, ServiceError
from service.groq.breaker import FAILURES, OPEN_SECONDS, PROBE_SECONDS, Breaker, State, Trial


@define
class Story:
    """A breaker, and what it told."""

    told: list[State] = field(factory=list)
    breaker: Breaker = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.breaker = Breaker(self.told.append)

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            with self.breaker.trial() as trial:
                trial.failed()

    def succeed(self) -> None:
        with self.breaker.trial() as trial:
            trial.succeeded()

    def refused(self) -> float | None:
        with pytest.raises(ServiceError) as raised:
            self.succeed()
        assert raised.value.problem.kind is Kind.UPSTREAM_ERROR
        return raised.value.problem.retry_after


def test_a_model_that_fails_again_and_again_is_left_alone_for_a_while() -> None:
    async def story() -> None:
        it = Story()
        it.fail(FAILURES - 1)
        assert it.told == []
        it.fail()
        assert it.told == [State.OPEN]
        assert it.refused() == OPEN_SECONDS
        await asyncio.sleep(OPEN_SECONDS - 2)
        assert it.refused() == 2
        await asyncio.sleep(1.5)
        assert it.refused() == PROBE_SECONDS
        await asyncio.sleep(0.5)
        it.succeed()
        assert it.told == [State.OPEN, State.HALF_OPEN, State.CLOSED]
        it.fail(FAILURES - 1)
        it.succeed()

    play(story())


def test_one_success_in_between_starts_the_count_anew() -> None:
    async def story() -> None:
        it = Story()
        for _ in range(3):
            it.fail(FAILURES - 1)
            it.succeed()
        assert it.told == []

    play(story())


def test_what_says_neither_counts_for_nothing() -> None:
    async def story() -> None:
        it = Story()
        it.fail(FAILURES - 1)
        for error in (asyncio.CancelledError(), ServiceError(Kind.UPSTREAM_RATE_LIMITED, "x")):
            with pytest.raises(type(error)), it.breaker.trial():
                raise error
        assert it.told == []
        it.fail()
        assert it.told == [State.OPEN]

    play(story())


def test_only_the_first_word_of_a_trial_counts() -> None:
    async def story() -> None:
        it = Story()
        for _ in range(FAILURES):
            with it.breaker.trial() as trial:
                trial.succeeded()
                trial.failed()
        assert it.told == []

    play(story())


async def opened() -> Story:
    it = Story()
    it.fail(FAILURES)
    await asyncio.sleep(OPEN_SECONDS)
    return it


def test_only_one_tries_at_a_time() -> None:
    async def story() -> None:
        it = await opened()
        with it.breaker.trial() as trial:
            for _ in range(10):
                assert it.refused() == PROBE_SECONDS
            trial.succeeded()
            it.succeed()

    play(story())


def test_a_try_that_fails_leaves_the_model_alone_once_more() -> None:
    async def story() -> None:
        it = await opened()
        it.fail()
        assert it.refused() == OPEN_SECONDS
        await asyncio.sleep(OPEN_SECONDS)
        it.succeed()
        assert it.told == [
            State.OPEN,
            State.HALF_OPEN,
            State.OPEN,
            State.HALF_OPEN,
            State.CLOSED,
        ]

    play(story())


def test_after_a_try_that_is_cancelled_the_next_one_tries_at_once() -> None:
    async def story() -> None:
        it = await opened()
        for _ in range(3):
            with pytest.raises(asyncio.CancelledError), it.breaker.trial():
                raise asyncio.CancelledError
        assert it.told[-2:] == [State.HALF_OPEN, State.OPEN]
        it.succeed()
        assert it.told[-2:] == [State.HALF_OPEN, State.CLOSED]

    play(story())


def test_failures_of_those_who_asked_before_change_nothing() -> None:
    async def story() -> None:
        it = Story()
        early = [Trial(it.breaker) for _ in range(2)]
        it.fail(FAILURES)
        await asyncio.sleep(OPEN_SECONDS - 1)
        early[0].failed()
        assert it.refused() == 1
        await asyncio.sleep(1)
        with it.breaker.trial() as trial:
            early[1].failed()
            assert it.breaker.state is State.HALF_OPEN
            trial.succeeded()
        assert it.told == [State.OPEN, State.HALF_OPEN, State.CLOSED]

    play(story())


def test_a_success_of_one_who_asked_before_shows_that_it_works() -> None:
    async def story() -> None:
        it = Story()
        early = Trial(it.breaker)
        it.fail(FAILURES)
        early.succeeded()
        it.succeed()
        assert it.told == [State.OPEN, State.CLOSED]

    play(story())


def test_an_old_try_does_not_end_a_new_one() -> None:
    async def story() -> None:
        it = await opened()
        early = Trial(it.breaker)
        with it.breaker.trial():
            early.succeeded()
            it.fail(FAILURES)
            await asyncio.sleep(OPEN_SECONDS)
            second = it.breaker.trial()
            second.__enter__()
        assert it.told[-1] is State.HALF_OPEN
        assert it.refused() == PROBE_SECONDS
        second.__exit__(None, None, None)
        assert it.told[-2:] == [State.HALF_OPEN, State.OPEN]

    play(story())
