import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatting import ANSWER, Chatting, chatting, prove, whole_log
from clock import steps
from fakes import ACCEPT, COST, USAGE, Clock, Step
from service.core.accounts import Account, Accounts, Period, stamp
from service.core.checkpoints import MOST_LEFT
from service.core.conversation import Answer, Usage
from service.core.errors import Kind, ServiceError
from service.core.events import Delta
from service.core.owners import ANONYMOUS
from service.core.run import Run, Stop
from service.core.spending import By, Expense, sum_of, total_of
from service.store.memory import MemoryStore

BROKEN = ServiceError(Kind.UPSTREAM_ERROR, "Groq broke off")
PARTIAL = Usage(7, 3, 10)
PARTIAL_COST = 0.000013


async def account(made: Chatting, owner: str = ANONYMOUS, by: By = By.DAY) -> Account:
    accounts = Accounts(made.store, made.clock.stamps)
    return await accounts.of(owner, accounts.period(None, None), by)


async def kept_answer(made: Chatting, run: Run) -> Answer:
    conversation = await made.conversation(run)
    assert conversation
    answer = conversation.active_branch()[-1]
    assert isinstance(answer, Answer)
    return answer


async def stopped(
    made: Chatting, reason: Stop = Stop.CANCELLED, *, save_conversation: bool = True
) -> Run:
    """A run that was stopped when all that its script has before an event had come."""
    run = made.ask(save_conversation=save_conversation)
    await steps(20)
    run.stop(reason)
    await run.wait_done()
    return run


class TestAnAnswer:
    async def test_costs_what_its_tokens_cost(self) -> None:
        async with chatting([*ANSWER[:1], 1.5, *ANSWER[1:]]) as made:
            run = await made.asked()

            answer = await kept_answer(made, run)
            assert (answer.usage, answer.cost, answer.seconds) == (USAGE, COST, 1.5)
            assert (run.state().usage, run.state().cost) == (USAGE, COST)

    async def test_of_a_model_without_a_price_costs_nobody_knows_what(self) -> None:
        async with chatting() as made:
            run = await made.asked(model="thinker")

            answer = await kept_answer(made, run)
            total = (await account(made)).total
            assert (answer.usage, answer.cost, run.state().cost) == (USAGE, None, None)
            assert (total.total_tokens, total.cost, total.unpriced) == (USAGE.total_tokens, 0, 1)

    @pytest.mark.parametrize(
        "end", [[BROKEN], [], [RuntimeError("a defect")]], ids=["broken", "ended", "defect"]
    )
    @pytest.mark.parametrize(
        ("told", "usage", "cost"),
        [([PARTIAL], PARTIAL, PARTIAL_COST), ([PARTIAL, USAGE], USAGE, COST), ([], None, None)],
    )
    async def test_that_fails_costs_what_groq_had_told(
        self, end: Sequence[Step], told: Sequence[Step], usage: Usage | None, cost: float | None
    ) -> None:
        async with chatting([ACCEPT, Delta("Half"), *told, *end]) as made:
            run = await made.asked()

            await prove(made, run)
            answer = await kept_answer(made, run)
            assert (answer.usage, answer.cost) == (usage, cost)
            assert (run.state().usage, run.state().cost) == (usage, cost)

    @pytest.mark.parametrize(
        ("told", "usage", "cost"), [([PARTIAL], PARTIAL, PARTIAL_COST), ([], None, None)]
    )
    @pytest.mark.parametrize("reason", [Stop.CANCELLED, Stop.INTERRUPTED, Stop.TOO_LONG])
    async def test_that_is_stopped_costs_what_groq_had_told(
        self, reason: Stop, told: Sequence[Step], usage: Usage | None, cost: float | None
    ) -> None:
        async with chatting([ACCEPT, Delta("Half"), *told, asyncio.Event()]) as made:
            run = await stopped(made, reason)

            await prove(made, run)
            answer = await kept_answer(made, run)
            assert (answer.usage, answer.cost) == (usage, cost)
            assert (run.state().usage, run.state().cost) == (usage, cost)

    async def test_takes_no_longer_for_a_store_that_does(self) -> None:
        async with chatting() as made:
            stored = made.store.stall("finish")
            run = made.ask()
            await asyncio.sleep(2)
            stored.set()
            await run.wait_done()

            await prove(made, run)
            assert (await kept_answer(made, run)).seconds == 0


class TestTheAccount:
    async def test_has_every_answer_once(self) -> None:
        async with chatting() as made:
            await made.asked()
            made.model.script = [ACCEPT, PARTIAL, BROKEN]
            await made.asked()
            made.model.script = [ACCEPT, PARTIAL, asyncio.Event()]
            await stopped(made)
            made.model.script = [ACCEPT, asyncio.Event()]
            await stopped(made)

            total = (await account(made)).total
            assert (total.answers, total.unpriced) == (4, 1)
            assert total.total_tokens == USAGE.total_tokens + 2 * PARTIAL.total_tokens
            assert total.cost == pytest.approx(COST + 2 * PARTIAL_COST)

    @pytest.mark.parametrize("saved", [True, False])
    async def test_has_nothing_of_what_groq_did_not_begin(self, saved: bool) -> None:
        async with chatting([BROKEN]) as made:
            await made.asked(save_conversation=saved)
            made.model.script = [asyncio.Event(), *ANSWER]
            await stopped(made, save_conversation=saved)

            assert (await account(made)).items == []

    async def test_has_an_answer_under_way_whose_cost_is_not_known_yet(self) -> None:
        held = asyncio.Event()
        async with chatting([*ANSWER[:-1], held, *ANSWER[-1:]]) as made:
            run = made.ask()
            await steps(20)
            before = (await account(made)).total
            held.set()
            await run.wait_done()

            after = (await account(made)).total
            assert (before.answers, before.unpriced, before.cost) == (1, 1, 0)
            assert (after.answers, after.unpriced, after.cost) == (1, 0, COST)

    async def test_keeps_what_was_removed(self) -> None:
        async with chatting() as made:
            run = await made.asked()
            before = await account(made)
            await made.conversations.delete(ANONYMOUS, str(run.origin.conversation_id))

            assert await account(made) == before
            assert before.total.cost == COST

    async def test_has_the_cost_of_what_was_removed_under_way(self) -> None:
        held = asyncio.Event()
        async with chatting([*ANSWER[:-1], held, *ANSWER[-1:]]) as made:
            run = made.ask()
            await steps(20)
            await made.store.delete(ANONYMOUS, str(run.origin.conversation_id))
            held.set()
            await run.wait_done()

            assert (await account(made)).total.cost == COST

    async def test_is_each_owners_own(self) -> None:
        async with chatting() as made:
            await made.asked(owner="ann")
            await made.asked(owner="ann", save_conversation=False)
            await made.asked(owner="bob", save_conversation=False)
            await made.chat.drain(1)

            answers = [(await account(made, who)).total.answers for who in ("ann", "bob", "eve")]
            assert answers == [2, 1, 0]

    async def test_is_by_day_or_by_model(self) -> None:
        async with chatting() as made:
            await made.asked()
            made.clock.seconds += 24 * 3600
            await made.asked()
            await made.asked(model="thinker")

            days, models = (await account(made)), (await account(made, by=By.MODEL))
            assert [(item.key, item.answers) for item in days.items] == [
                ("2025-01-01", 1),
                ("2025-01-02", 2),
            ]
            assert [(item.key, item.answers) for item in models.items] == [
                ("small", 2),
                ("thinker", 1),
            ]
            assert days.total == models.total
            assert days.total.answers == 3


class TestAnAnswerThatIsNotSaved:
    @pytest.mark.parametrize(
        ("end", "cost"),
        [(ANSWER[-1:], COST), ([PARTIAL, BROKEN], PARTIAL_COST), ([PARTIAL, 999], PARTIAL_COST)],
        ids=["whole", "failed", "abandoned"],
    )
    async def test_is_counted(self, end: Sequence[Step], cost: float) -> None:
        async with chatting([*ANSWER[:-1], *end]) as made:
            run = made.ask(save_conversation=False)
            run.left()
            await run.wait_done()
            await made.chat.drain(1)

            await prove(made, run)
            total = (await account(made)).total
            assert (total.answers, total.cost) == (1, cost)
            assert await made.store.count() == 0

    async def test_ends_without_waiting_to_be_counted(self) -> None:
        async with chatting() as made:
            counted = made.store.stall("record")
            run = await made.asked(save_conversation=False)

            await prove(made, run)
            before = (await account(made)).total.answers
            counted.set()
            await made.chat.drain(1)
            assert (before, (await account(made)).total.answers) == (0, 1)

    async def test_is_counted_later_where_the_store_is_away(self) -> None:
        async with chatting() as made:
            made.store.fail("record", times=2)
            await made.asked(save_conversation=False)
            await made.generator.checkpoints.write()
            before = (await account(made)).total.answers
            await made.generator.checkpoints.write()
            await made.generator.checkpoints.write()

            assert (before, (await account(made)).total.answers) == (0, 1)
            assert made.observer.failures == ["record"] * 2

    async def test_is_counted_once_where_the_store_fails_afterwards(self) -> None:
        async with chatting() as made:
            made.store.fail_late("record")
            await made.asked(save_conversation=False)
            await made.generator.checkpoints.write()

            assert (await account(made)).total.answers == 1
            assert made.observer.failures == ["record"]

    async def test_is_waited_for_in_bounded_time_by_a_server_that_stops(self) -> None:
        async with chatting() as made:
            made.store.stall("record")
            await made.asked(save_conversation=False)
            began = asyncio.get_running_loop().time()
            await made.chat.drain(60)

            assert asyncio.get_running_loop().time() - began < 10
            assert made.observer.failures == ["record"]

    async def test_ends_well_though_counting_it_meets_a_defect(self) -> None:
        async with chatting() as made:
            made.store.fail("record", error=RuntimeError("a defect"))
            run = await made.asked(save_conversation=False)
            await made.chat.drain(1)

            await prove(made, run)
            assert b'"finished":true' in whole_log(run)[-1]
            assert [str(error) for error in made.observer.defects] == ["a defect"]

    async def test_pushes_no_saved_one_out_of_what_waits_for_the_store(self) -> None:
        async with chatting() as made:
            made.store.fail_for_ever("finish")
            made.store.fail_for_ever("record")
            run = await made.asked()
            answer = await kept_answer(made, run)
            for _ in range(MOST_LEFT + 1):
                made.generator.checkpoints.leave_uncounted(ANONYMOUS, answer)
            made.store.fail("finish", times=0)
            await made.generator.checkpoints.write()

            assert (await kept_answer(made, run)).cost == COST


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def accounts() -> Accounts:
    """At the beginning of 2025."""
    return Accounts(MemoryStore(), Clock().stamps)


class TestAPeriod:
    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (None, None, ("2024-12-03T00:00:00.000Z", "2025-01-02T00:00:00.000Z")),
            ("2025-01-01T05:00Z", None, ("2025-01-01T05:00:00.000Z", "2025-01-02T00:00:00.000Z")),
            (None, "2024-03-01T05:00Z", ("2024-01-31T05:00:00.000Z", "2024-03-01T05:00:00.000Z")),
            (None, "0001-01-02T00:00Z", ("0001-01-01T00:00:00.000Z", "0001-01-02T00:00:00.000Z")),
        ],
    )
    def test_is_30_days_to_the_end_of_this_one_where_nothing_else_is_said(
        self, start: str | None, end: str | None, expected: tuple[str, str]
    ) -> None:
        period = accounts().period(
            *[None if text is None else moment(text) for text in (start, end)]
        )

        assert period == Period(*expected)

    def test_may_be_empty_but_not_end_before_it_starts(self) -> None:
        now, then = moment("2025-01-01T00:00Z"), moment("2024-12-31T23:59:59.999Z")

        assert accounts().period(now, now) == Period(stamp(now), stamp(now))
        with pytest.raises(ValueError, match="ends before"):
            accounts().period(now, then)
        with pytest.raises(ValueError, match="ends before"):
            accounts().period(moment("2025-01-03T00:00Z"), None)

    @given(st.datetimes(timezones=st.just(UTC)), st.integers(0, 10**12))
    def test_has_what_is_not_before_its_start(self, start: datetime, milliseconds: int) -> None:
        created = datetime.fromtimestamp(milliseconds / 1000, UTC)
        created = created.replace(microsecond=created.microsecond // 1000 * 1000)
        written = created.isoformat(timespec="milliseconds").replace("+00:00", "Z")

        try:
            first = stamp(start)
        except OverflowError:
            first = "9999-12-31T23:59:59.999Z"
        assert (written >= first) == (created >= start)


EXPENSES = st.lists(
    st.builds(
        Expense,
        st.just(""),
        st.just("2025-01-01T00:00:00.000Z"),
        st.sampled_from(["small", "large"]),
        st.none() | st.builds(Usage, *[st.integers(0, 10**6)] * 5),
        st.none() | st.integers(0, 10**6),
        st.none() | st.integers(0, 10**12),
    )
)


@given(EXPENSES, EXPENSES)
def test_sums_of_sums_are_sums_of_all(some: list[Expense], others: list[Expense]) -> None:
    parts = [sum_of("a", some), sum_of("b", others)]

    assert total_of("all", parts) == sum_of("all", [*some, *others])
    assert total_of("all", parts).unpriced == [
        expense.nanodollars for expense in some + others
    ].count(None)
