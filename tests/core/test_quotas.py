import asyncio

import pytest

from chatting import Chatting, Limits, chatting, prove, prove_log
from clock import steps
from fakes import ACCEPT, USAGE, Step
from service.core.chat import Caller
from service.core.errors import Kind, Problem, ServiceError
from service.core.events import Delta
from service.core.quota import Admission, Quota, Rate, RateLimits
from service.core.run import Run, RunStatus, Stage
from service.limits.quotas import open_quotas

REFUSED = ServiceError(Kind.UPSTREAM_RATE_LIMITED, "later", retry_after=7)
BROKEN = ServiceError(Kind.UPSTREAM_ERROR, "Groq broke off")
ONE = RateLimits(requests=Rate(1, 60))
MANY_TOKENS = RateLimits(tokens=Rate(1000, 60))


def stuck() -> list[Step]:
    """An answer that does not end by itself."""
    return [ACCEPT, Delta("Half"), asyncio.Event()]


async def refusal(run: Run) -> Problem:
    """Why a run was refused, to who waits for it."""
    with pytest.raises(ServiceError) as raised:
        await run.reached(Stage.PREPARED)
    return raised.value.problem


async def is_let_in(made: Chatting, owner: str = "") -> bool:
    """Whether one more run of an owner is let in, as far as this service decides."""
    run = made.ask(owner=owner)
    try:
        await run.reached(Stage.PREPARED)
    except ServiceError as error:
        if error.problem.kind is Kind.RATE_LIMITED:
            return False
        raise
    return True


class TestARunTooMany:
    async def test_is_refused_before_groq_is_asked_and_leaves_nothing(self) -> None:
        async with chatting(quotas=open_quotas(ONE)) as made:
            await made.asked()
            run = made.ask()
            problem = await refusal(run)

            assert problem.kind is Kind.RATE_LIMITED
            assert (problem.retry_after, problem.quota) == (60, Quota(1, 0, 60))
            assert len(made.model.prompts) == 1
            assert made.store.calls.count("begin") == 1
            await prove(made, run)
            with pytest.raises(ServiceError):
                made.runs.get("", run.run_id)

    async def test_is_let_in_when_the_window_has_ended(self) -> None:
        async with chatting(quotas=open_quotas(ONE)) as made:
            await made.asked()
            problem = await refusal(made.ask(key="key"))
            assert problem.retry_after
            await asyncio.sleep(problem.retry_after)

            run = await made.asked(key="key")

            assert run.status is RunStatus.FINISHED
            assert run.quota == Quota(1, 0, 120)

    async def test_is_so_for_one_owner_and_not_for_another(self) -> None:
        async with chatting(quotas=open_quotas(ONE)) as made:
            let_in = [await is_let_in(made, owner) for owner in ("ann", "bob", "ann", "", "bob")]

            assert let_in == [True, True, False, True, False]

    async def test_reads_nothing_from_the_store(self) -> None:
        async with chatting(quotas=open_quotas(ONE)) as made:
            first = await made.asked()
            before = len(made.store.calls)
            run = made.ask(conversation_id=first.origin.conversation_id)
            await refusal(run)

            assert {"get", "take"}.isdisjoint(made.store.calls[before:])

    async def test_is_one_while_another_is_not_yet_decided(self) -> None:
        accepted = asyncio.Event()
        async with chatting([accepted, ACCEPT], quotas=open_quotas(ONE)) as made:
            made.ask()
            await steps(10)

            assert not await is_let_in(made)

    async def test_may_be_a_regeneration(self) -> None:
        async with chatting(quotas=open_quotas(ONE)) as made:
            run = await made.asked()
            assert run.started
            assert run.origin.conversation_id
            again = made.chat.regenerate(
                run.origin.conversation_id, run.started.message_id, {}, Caller("", "request")
            )

            assert (await refusal(again)).kind is Kind.RATE_LIMITED


class TestWhatCounts:
    async def test_a_retry_is_not_charged_again(self) -> None:
        async with chatting(quotas=open_quotas(ONE)) as made:
            run = made.ask(key="key")
            at_once = made.ask(key="key")
            await run.wait_done()
            later = made.ask(key="key")

            assert run is at_once is later
            assert run.status is RunStatus.FINISHED
            assert not await is_let_in(made)

    @pytest.mark.parametrize("detached", [False, True])
    async def test_what_groq_refuses_does_not(self, detached: bool) -> None:
        async with chatting([REFUSED], quotas=open_quotas(ONE)) as made:
            for _ in range(3):
                run = await made.asked(detached=detached)
                assert run.failure == REFUSED.problem
                assert run.quota is None

            assert await is_let_in(made)

    async def test_what_is_refused_here_does_not(self) -> None:
        async with chatting(quotas=open_quotas(ONE)) as made:
            for _ in range(3):
                problem = await refusal(made.ask(conversation_id="nowhere"))
                assert problem.kind is Kind.CONVERSATION_NOT_FOUND

            assert await is_let_in(made)

    async def test_what_was_cancelled_before_groq_had_accepted_does_not(self) -> None:
        async with chatting([asyncio.Event()], quotas=open_quotas(ONE)) as made:
            for _ in range(3):
                run = made.ask()
                await run.reached(Stage.PREPARED)
                await made.chat.cancel("", run.run_id)
                assert run.status is RunStatus.CANCELLED

            assert await is_let_in(made)

    async def test_what_was_cancelled_before_anything_happened_does_not(self) -> None:
        async with chatting(quotas=open_quotas(ONE)) as made:
            for _ in range(3):
                await made.chat.cancel("", made.ask().run_id)

            assert await is_let_in(made)

    async def test_what_the_store_did_not_begin_does_not(self) -> None:
        async with chatting(quotas=open_quotas(ONE)) as made:
            made.store.fail("begin")
            await made.asked()

            assert await is_let_in(made)

    async def test_what_failed_after_its_start_does(self) -> None:
        async with chatting([ACCEPT, BROKEN], quotas=open_quotas(ONE)) as made:
            await made.asked()

            assert not await is_let_in(made)

    async def test_what_was_cancelled_after_its_start_does(self) -> None:
        async with chatting(stuck(), quotas=open_quotas(ONE)) as made:
            run = made.ask()
            await run.reached(Stage.ANSWERED)
            await made.chat.cancel("", run.run_id)

            assert not await is_let_in(made)


class TestTokens:
    @pytest.mark.parametrize("saved", [True, False])
    async def test_are_counted_as_groq_says(self, saved: bool) -> None:
        async with chatting(quotas=open_quotas(MANY_TOKENS)) as made:
            await made.asked(save_conversation=saved)
            run = await made.asked(save_conversation=saved)

            assert run.quota == Quota(1000, 1000 - 2 * USAGE.total_tokens, 60)

    async def test_are_counted_where_the_answer_could_not_be_stored(self) -> None:
        async with chatting(quotas=open_quotas(MANY_TOKENS)) as made:
            made.store.fail_for_ever("finish")
            run = await made.asked()

            assert run.status is RunStatus.FAILED
            assert run.quota
            assert run.quota.remaining == 1000 - USAGE.total_tokens

    async def test_are_refused_when_they_are_gone(self) -> None:
        limits = RateLimits(tokens=Rate(USAGE.total_tokens, 60))
        async with chatting(quotas=open_quotas(limits)) as made:
            await made.asked()
            problem = await refusal(made.ask())

            assert "tokens, 18 per minute," in problem.detail
            assert problem.retry_after == 60

    async def test_are_estimated_where_groq_had_no_time_to_say(self) -> None:
        script: list[Step] = [ACCEPT, Delta("y" * 800, "z" * 400), asyncio.Event()]
        async with chatting(script, quotas=open_quotas(MANY_TOKENS)) as made:
            run = made.ask("x" * 1200)
            await run.reached(Stage.ANSWERED)
            await steps(10)
            await made.chat.cancel("", run.run_id)

            assert run.quota == Quota(1000, 400, 60)

    async def test_of_a_run_that_did_not_start_are_not_counted(self) -> None:
        async with chatting([REFUSED], quotas=open_quotas(MANY_TOKENS)) as made:
            await made.asked("x" * 4000)
            made.model.script = stuck()
            run = made.ask()
            await run.reached(Stage.ANSWERED)

            assert run.quota == Quota(1000, 1000, 60)


class BrokenQuotas:
    """Lets everything in, and cannot count it afterwards."""

    async def admit(self, owner: str) -> Admission:
        return Admission(owner, 60, Quota(10, 9, 60))

    async def give_back(self, admission: Admission) -> None:
        raise ConnectionError("the count is away")

    async def spend(self, admission: Admission, tokens: int) -> Quota:
        raise ConnectionError("the count is away")


@pytest.mark.parametrize("script", [None, [REFUSED]])
async def test_a_run_ends_though_it_cannot_be_counted(script: list[Step] | None) -> None:
    quotas = BrokenQuotas()
    async with chatting(*([script] if script else []), quotas=quotas) as made:
        run = await made.asked()

        await prove(made, run)
        assert [type(defect) for defect in made.observer.defects] == [ConnectionError]


class TestRunsAtOnce:
    async def test_are_limited_for_each_owner(self) -> None:
        async with chatting(stuck(), limits=Limits(active_per_owner=2)) as made:
            first, _ = made.ask(owner="ann"), made.ask(owner="ann")
            with pytest.raises(ServiceError) as raised:
                made.ask(owner="ann", key="key")
            made.ask(owner="bob")
            await made.chat.cancel("ann", first.run_id)
            made.ask(owner="ann", key="key")

            problem = raised.value.problem
            assert problem.kind is Kind.RATE_LIMITED
            assert "runs at once, 2," in problem.detail
            assert (problem.retry_after, problem.quota) == (1, Quota(2, 0, 1))
            with pytest.raises(ServiceError):
                made.ask(owner="ann")

    async def test_are_so_many_again_however_they_ended(self) -> None:
        async with chatting([REFUSED], limits=Limits(active_per_owner=1)) as made:
            for _ in range(3):
                await made.asked()
                await made.asked(conversation_id="nowhere")
                await made.asked(detached=True)
                await made.chat.cancel("", made.ask().run_id)
                made.model.script = stuck()
                run = made.ask()
                with pytest.raises(ServiceError):
                    made.ask()
                await made.chat.cancel("", run.run_id)
                made.model.script = [ACCEPT, BROKEN]
                await made.asked()

    async def test_do_not_keep_a_retry_from_its_run(self) -> None:
        async with chatting(stuck(), limits=Limits(active_per_owner=1)) as made:
            run = made.ask(key="key")

            assert made.ask(key="key") is run

    async def test_are_not_counted_as_started_when_they_are_refused(self) -> None:
        quotas = open_quotas(RateLimits(requests=Rate(2, 60)))
        async with chatting(stuck(), quotas=quotas, limits=Limits(active_per_owner=1)) as made:
            run = made.ask()
            for _ in range(5):
                with pytest.raises(ServiceError):
                    made.ask()
            await made.chat.cancel("", run.run_id)
            made.model.script = [ACCEPT, BROKEN]
            run = await made.asked()

            assert prove_log(run)[0]["type"] == "started"
