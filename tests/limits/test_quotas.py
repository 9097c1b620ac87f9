import asyncio
from collections import Counter

import pytest
from attrs import define, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from clock import play
from service.core.errors import Kind, Problem, ServiceError
from service.core.ports import Quotas
from service.core.quota import Admission, Quota, Rate, RateLimits
from service.limits.counters import Counters
from service.limits.quotas import LimitedQuotas, open_quotas

A_MINUTE = RateLimits(requests=Rate(3, 60))
TOKENS = RateLimits(tokens=Rate(100, 86_400))
BOTH = RateLimits(Rate(3, 60), Rate(100, 86_400))


class DistantCounters(Counters):
    """Counters that are reached over a network: everybody else has turns before the answer."""

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        await asyncio.sleep(0)
        counted = await super().incr(key, expiry, amount)
        await asyncio.sleep(0)
        return counted

    async def get(self, key: str) -> int:
        counted = await super().get(key)
        await asyncio.sleep(0)
        return counted


async def let_in(quotas: Quotas, owner: str = "ann") -> Admission:
    """An owner's run, which is limited."""
    admission = await quotas.admit(owner)
    assert admission
    return admission


async def refused(quotas: Quotas, owner: str = "ann") -> Problem:
    """The problem of an owner who is not let in."""
    with pytest.raises(ServiceError) as raised:
        await quotas.admit(owner)
    assert raised.value.problem.kind is Kind.RATE_LIMITED
    return raised.value.problem


class TestWithoutLimits:
    async def test_everybody_is_let_in_and_nothing_is_counted(self) -> None:
        quotas = open_quotas(RateLimits())

        assert [await quotas.admit("ann") for _ in range(100)] == [None] * 100


class TestRequests:
    async def test_so_many_are_let_in_until_the_window_ends(self) -> None:
        quotas = open_quotas(A_MINUTE)
        quota = [(await let_in(quotas)).quota for _ in range(3)]
        await asyncio.sleep(59)
        problem = await refused(quotas)
        await asyncio.sleep(1)

        assert quota == [Quota(3, 2, 60), Quota(3, 1, 60), Quota(3, 0, 60)]
        assert problem == Problem(
            Kind.RATE_LIMITED,
            "the limit of requests, 3 per minute, is reached; it resets in 1 s",
            retry_after=1,
            quota=Quota(3, 0, 60),
        )
        assert (await let_in(quotas)).quota == Quota(3, 2, 120)

    async def test_one_owner_takes_nothing_from_another(self) -> None:
        quotas = open_quotas(A_MINUTE)
        for owner in ("ann", "", "ann/3", "bob") * 3:
            await let_in(quotas, owner)

        assert (await refused(quotas, "")).retry_after == 60
        assert (await let_in(quotas, "3")).quota.remaining == 2

    async def test_a_refusal_does_not_prolong_anything(self) -> None:
        quotas = open_quotas(A_MINUTE)
        for _ in range(3):
            await let_in(quotas)
        for _ in range(59):
            await refused(quotas)
            await asyncio.sleep(1)
        await asyncio.sleep(1)

        assert (await let_in(quotas)).quota.remaining == 2

    async def test_what_is_given_back_lets_another_in(self) -> None:
        quotas = open_quotas(A_MINUTE)
        *_, last = [await let_in(quotas) for _ in range(3)]
        await refused(quotas)
        await quotas.give_back(last)

        assert (await let_in(quotas)).quota == Quota(3, 0, 60)
        await refused(quotas)

    async def test_what_is_given_back_late_takes_nothing_from_the_next_window(self) -> None:
        quotas = open_quotas(A_MINUTE)
        late = await let_in(quotas)
        await asyncio.sleep(60)
        await let_in(quotas)
        await quotas.give_back(late)

        assert (await let_in(quotas)).quota.remaining == 1


class TestTokens:
    async def test_they_are_spent_when_a_run_has_ended_and_refused_when_they_are_gone(
        self,
    ) -> None:
        quotas = open_quotas(TOKENS)
        first, second = await let_in(quotas), await let_in(quotas)
        left = [await quotas.spend(first, 99), await quotas.spend(second, 50)]
        problem = await refused(quotas)
        await asyncio.sleep(86_400)

        assert first.quota == Quota(100, 100, 86_400)
        assert left == [Quota(100, 1, 86_400), Quota(100, 0, 86_400)]
        assert (
            problem.detail == "the limit of tokens, 100 per day, is reached; it resets in 86400 s"
        )
        assert (await let_in(quotas)).quota.remaining == 100

    async def test_they_count_in_the_window_in_which_they_were_used(self) -> None:
        quotas = open_quotas(TOKENS)
        early, late = await let_in(quotas), await let_in(quotas)
        await quotas.spend(early, 100)
        await asyncio.sleep(86_401)
        await quotas.spend(late, 100)

        assert (await refused(quotas)).retry_after == 86_400

    async def test_a_run_that_used_none_opens_no_window(self) -> None:
        quotas = open_quotas(TOKENS)
        await quotas.spend(await let_in(quotas), 0)
        await asyncio.sleep(10)

        assert (await let_in(quotas)).quota == Quota(100, 100, 86_410)

    async def test_giving_back_takes_no_token_back(self) -> None:
        quotas = open_quotas(TOKENS)
        admission = await let_in(quotas)
        await quotas.spend(admission, 30)
        await quotas.give_back(admission)

        assert (await let_in(quotas)).quota.remaining == 70


class TestBoth:
    async def test_what_is_told_is_the_limit_that_is_nearest_to_its_end(self) -> None:
        quotas = open_quotas(BOTH)
        admission = await let_in(quotas)

        assert admission.quota == Quota(3, 2, 60)
        assert await quotas.spend(admission, 30) == Quota(3, 2, 60)
        assert await quotas.spend(admission, 10) == Quota(100, 60, 86_400)

    async def test_a_refusal_names_the_limit_that_lasts_longest(self) -> None:
        quotas = open_quotas(BOTH)
        admissions = [await let_in(quotas) for _ in range(3)]
        by_requests = await refused(quotas)
        await quotas.spend(admissions[0], 100)
        by_both = await refused(quotas)

        assert (by_requests.detail.split()[3], by_requests.retry_after) == ("requests,", 60)
        assert (by_both.detail.split()[3], by_both.retry_after) == ("tokens,", 86_400)

    async def test_who_has_no_tokens_left_is_not_counted(self) -> None:
        quotas = open_quotas(BOTH)
        admission = await let_in(quotas)
        await quotas.spend(admission, 100)
        for _ in range(10):
            await refused(quotas)
        await asyncio.sleep(86_400)

        assert (await let_in(quotas)).quota == Quota(3, 2, 86_460)

    async def test_the_same_numbers_are_counted_apart(self) -> None:
        quotas = open_quotas(RateLimits(Rate(5, 60), Rate(5, 60)))
        admission = await let_in(quotas)
        await quotas.spend(admission, 4)

        assert (await let_in(quotas)).quota == Quota(5, 1, 60)


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (Rate(1, 1), "1 per second"),
        (Rate(1, 90), "1 per 90 seconds"),
        (Rate(1, 600), "1 per 10 minutes"),
        (Rate(1, 3_600), "1 per hour"),
        (Rate(1, 172_800), "1 per 2 days"),
    ],
)
async def test_a_refusal_says_which_limit_in_words(rate: Rate, text: str) -> None:
    quotas = open_quotas(RateLimits(requests=rate))
    await let_in(quotas)

    assert (await refused(quotas)).detail == (
        f"the limit of requests, {text}, is reached; it resets in {rate.seconds} s"
    )


@given(st.integers(1, 5), st.integers(1, 12))
def test_however_many_ask_at_once_no_more_are_let_in(amount: int, asking: int) -> None:
    async def ask() -> int:
        quotas = LimitedQuotas(RateLimits(requests=Rate(amount, 60)), DistantCounters())
        answers = await asyncio.gather(
            *(quotas.admit("ann") for _ in range(asking)), return_exceptions=True
        )
        refusals = [answer for answer in answers if isinstance(answer, ServiceError)]
        admissions = [answer for answer in answers if isinstance(answer, Admission)]
        assert len(refusals) + len(admissions) == asking
        assert all(refusal.problem.retry_after == 60 for refusal in refusals)
        for admission in admissions:
            await quotas.give_back(admission)
        again = [await let_in(quotas) for _ in range(amount)]
        assert again[-1].quota.remaining == 0
        return len(admissions)

    assert play(ask()) == min(amount, asking)


@frozen
class Ask:
    owner: str


@frozen
class Refuse:
    """Groq does, or the run was cancelled before it had started."""

    number: int


@frozen
class Start:
    number: int


@frozen
class Wait:
    seconds: float


Step = Ask | Refuse | Start | Wait
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(Ask, st.sampled_from(["ann", "bob", ""])),
    st.builds(Refuse, st.integers(0, 9)),
    st.builds(Start, st.integers(0, 9)),
    st.builds(Wait, st.integers(0, 100).map(lambda eighths: eighths / 8)),
)


@define
class Owners:
    """What owners do, and a count beside that of the quotas."""

    quotas: Quotas
    amount: int
    pending: list[Admission] = field(factory=list)
    windows: Counter[tuple[str, float]] = field(factory=Counter)
    """Runs that are pending or have started, by owner and end of the window."""

    async def take(self, step: Step) -> None:
        match step:
            case Ask(owner):
                await self._ask(owner)
            case Refuse(number) if self.pending:
                admission = self.pending.pop(number % len(self.pending))
                self.windows[admission.owner, admission.counted_until] -= 1
                await self.quotas.give_back(admission)
            case Start(number) if self.pending:
                self.pending.pop(number % len(self.pending))
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Refuse() | Start():
                pass

    async def _ask(self, owner: str) -> None:
        try:
            admission = await let_in(self.quotas, owner)
        except ServiceError as refusal:
            problem = refusal.problem
        else:
            self._let_in(admission)
            return
        assert problem.retry_after
        assert problem.quota
        assert self.windows[owner, problem.quota.resets_at] == self.amount
        await asyncio.sleep(problem.retry_after)
        self._let_in(await let_in(self.quotas, owner))

    def _let_in(self, admission: Admission) -> None:
        window = (admission.owner, admission.counted_until)
        self.windows[window] += 1
        assert self.windows[window] <= self.amount
        assert admission.quota.remaining == self.amount - self.windows[window]
        self.pending.append(admission)


@given(st.integers(1, 4), st.lists(STEPS, max_size=40))
def test_runs_in_a_window_never_exceed_the_limit_and_retry_after_is_true(
    amount: int, steps: list[Step]
) -> None:
    async def go() -> None:
        owners = Owners(open_quotas(RateLimits(requests=Rate(amount, 10))), amount)
        for step in steps:
            await owners.take(step)

    play(go())
