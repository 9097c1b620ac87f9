"""What a chat does with a store that other processes use too."""

import asyncio

import pytest

from chatting import ANSWER, Chatting, Limits, chatting, make_chat, prove, prove_log
from clock import steps
from fakes import ACCEPT, Step, unavailable
from service.core.chat import Caller
from service.core.errors import Kind, ServiceError, busy
from service.core.events import Delta
from service.core.generation import RELEASE_SECONDS
from service.core.owners import ANONYMOUS
from service.core.ports import Lost
from service.core.run import Run, RunStatus, Stage, Stop

REFUSED = ServiceError(Kind.UPSTREAM_RATE_LIMITED, "later", retry_after=7)
RENEWAL = 3.0


def id_of(run: Run) -> str:
    assert run.origin.conversation_id
    return run.origin.conversation_id


def stuck() -> list[Step]:
    """An answer that does not end by itself."""
    return [ACCEPT, Delta("Half"), asyncio.Event()]


async def begun(made: Chatting) -> Run:
    """A run that has ended, after which the calls of the store are counted anew."""
    run = await made.asked()
    made.store.calls.clear()
    return run


class TestTaking:
    async def test_a_conversation_that_goes_on_is_taken(self) -> None:
        async with chatting() as made:
            first = await begun(made)
            await made.asked("And?", conversation_id=id_of(first))

            assert made.store.calls == ["take", "begin", "finish"]

    async def test_a_regeneration_takes_it_too(self) -> None:
        async with chatting() as made:
            first = await begun(made)
            assert first.started
            caller = Caller(ANONYMOUS, "request")
            run = made.chat.regenerate(id_of(first), first.started.message_id, {}, caller)
            await run.wait_done()

            assert made.store.calls == ["take", "begin", "finish"]

    async def test_what_is_not_saved_only_reads(self) -> None:
        async with chatting() as made:
            first = await begun(made)
            await made.asked(conversation_id=id_of(first), save_conversation=False)

            assert made.store.calls == ["get", "record"]

    async def test_a_new_conversation_is_claimed_as_it_begins(self) -> None:
        async with chatting(stuck()) as made:
            run = made.ask()
            await run.reached(Stage.ANSWERED)

            assert made.store.calls == ["open", "begin"]
            assert made.store.claims == {id_of(run): run.run_id}

    async def test_the_claim_is_the_runs_own_from_before_groq_is_asked(self) -> None:
        async with chatting() as made:
            first = await begun(made)
            made.model.script = [asyncio.Event()]
            run = made.ask("And?", conversation_id=id_of(first))
            await run.reached(Stage.PREPARED)

            assert made.store.claims == {id_of(first): run.run_id}

    async def test_one_that_another_process_has_is_busy_and_may_be_asked_again(self) -> None:
        async with chatting() as made:
            first = await begun(made)
            made.store.fail("take", error=busy())
            run = made.ask("And?", conversation_id=id_of(first), key="key")
            with pytest.raises(ServiceError) as raised:
                await run.reached(Stage.PREPARED)
            again = await made.asked("And?", conversation_id=id_of(first), key="key")

            assert raised.value.problem.kind is Kind.CONVERSATION_BUSY
            assert len(made.model.prompts) == 2
            assert again.status is RunStatus.FINISHED

    async def test_one_that_goes_to_another_process_meanwhile_is_busy(self) -> None:
        async with chatting() as made:
            first = await begun(made)
            made.store.fail("begin", error=busy())
            run = await made.asked("And?", conversation_id=id_of(first))

            assert run.failure is not None
            assert run.failure.kind is Kind.CONVERSATION_BUSY
            await prove_untouched(made, first)


async def prove_untouched(made: Chatting, run: Run) -> None:
    """What a run left is as it left it."""
    conversation = await made.conversation(run)
    assert conversation
    assert len(conversation.messages) == 2
    assert made.store.claims == {}


class TestReleasing:
    @pytest.mark.parametrize(
        "script", [[REFUSED], [RuntimeError("a defect")]], ids=["refused", "defect"]
    )
    async def test_a_refusal_gives_the_claim_up_before_it_is_told(self, script: list[Step]) -> None:
        async with chatting(turns=1) as made:
            first = await begun(made)
            made.model.script = script
            gate = made.store.stall("release")
            run = made.ask("And?", conversation_id=id_of(first))
            await steps(20)
            calls, told = list(made.store.calls), run.done
            gate.set()
            await run.wait_done()

            assert (calls, told) == (["take", "release"], False)
            await prove_untouched(made, first)

    async def test_a_conversation_that_could_not_be_planned_is_given_up(self) -> None:
        async with chatting() as made:
            first = await begun(made)
            caller = Caller(ANONYMOUS, "request")
            run = made.chat.regenerate(id_of(first), "nowhere", {}, caller)
            await run.wait_done()

            assert made.store.calls == ["take", "release"]
            await prove_untouched(made, first)

    async def test_a_run_that_is_stopped_before_its_answer_gives_it_up(self) -> None:
        async with chatting() as made:
            first = await begun(made)
            made.model.script = [asyncio.Event()]
            run = made.ask("And?", conversation_id=id_of(first))
            await run.reached(Stage.PREPARED)
            await made.chat.cancel(ANONYMOUS, run.run_id)

            assert made.store.calls == ["take", "release"]
            await prove_untouched(made, first)

    @pytest.mark.parametrize("method", ["take", "begin"])
    async def test_a_claim_that_may_have_been_made_is_given_up(self, method: str) -> None:
        async with chatting() as made:
            first = await begun(made)
            made.store.fail_late(method)
            run = await made.asked("And?", conversation_id=id_of(first))

            assert run.failure is not None
            assert run.failure.kind is Kind.STORE_UNAVAILABLE
            assert made.store.claims == {}

    async def test_an_answer_that_began_is_given_up_by_its_end_alone(self) -> None:
        async with chatting([*ANSWER[:-1], REFUSED]) as made:
            run = await made.asked()

            assert made.store.calls == ["open", "begin", "finish"]
            await prove(made, run)

    async def test_what_is_not_saved_has_nothing_to_give_up(self) -> None:
        async with chatting([REFUSED]) as made:
            await made.asked(save_conversation=False)

            assert made.store.calls == ["open"]

    @pytest.mark.parametrize("error", [unavailable(), RuntimeError("a defect")])
    async def test_that_fails_does_not_change_the_refusal(self, error: Exception) -> None:
        async with chatting([REFUSED]) as made:
            made.store.fail_for_ever("release", error=error)
            run = await made.asked()

            assert run.failure == REFUSED.problem
            assert made.observer.failures == ["release"]
            assert made.observer.defects == []
            await prove(made, run)

    async def test_that_stalls_holds_the_refusal_up_for_so_long_and_no_longer(self) -> None:
        async with chatting([REFUSED]) as made:
            made.store.stall("release")
            run = await made.asked()

            assert run.failure == REFUSED.problem
            assert run.timing().total_time == RELEASE_SECONDS
            assert made.observer.failures == ["release"]

    async def test_another_owners_refusal_leaves_the_claim_alone(self) -> None:
        async with chatting(stuck()) as made:
            run = made.ask()
            await run.reached(Stage.ANSWERED)
            refused = await made.asked("And?", owner="bob", conversation_id=id_of(run))

            assert refused.failure is not None
            assert refused.failure.kind is Kind.CONVERSATION_NOT_FOUND
            assert made.store.claims == {id_of(run): run.run_id}
            assert made.runs.running_in(ANONYMOUS, id_of(run)) == run.run_id


class TestLosing:
    @pytest.mark.parametrize(
        ("removed", "reason", "status"),
        [
            (True, Stop.CANCELLED, RunStatus.CANCELLED),
            (False, Stop.INTERRUPTED, RunStatus.FAILED),
        ],
    )
    async def test_a_run_that_lost_its_claim_is_stopped_and_no_other(
        self, removed: bool, reason: Stop, status: RunStatus
    ) -> None:
        made = make_chat(stuck(), limits=Limits(renewal=RENEWAL))
        async with made.chat.serving():
            lost, unsaved = made.ask(), made.ask(save_conversation=False)
            kept = made.ask()
            await kept.reached(Stage.ANSWERED)
            made.store.lost = [Lost(lost.run_id, removed), Lost("never", not removed)]
            await lost.wait_done()
            took = asyncio.get_running_loop().time()
            await asyncio.sleep(2 * RENEWAL)
            others = (kept.done, unsaved.done)

        assert (lost.stopped_by, lost.status) == (reason, status)
        assert took == RENEWAL
        assert others == (False, False)
        prove_log(lost)

    async def test_one_that_waits_for_groq_is_stopped_too(self) -> None:
        made = make_chat([asyncio.Event()], limits=Limits(renewal=RENEWAL))
        async with made.chat.serving():
            run = made.ask()
            made.store.lost = [Lost(run.run_id, removed=False)]
            await run.wait_done()

        assert run.failure is not None
        assert run.failure.kind is Kind.INTERRUPTED

    async def test_claims_are_renewed_from_time_to_time(self) -> None:
        made = make_chat(limits=Limits(renewal=RENEWAL))
        async with made.chat.serving():
            await asyncio.sleep(10 * RENEWAL + 1)

        assert made.store.calls.count("renew") == 10

    @pytest.mark.parametrize("error", [unavailable(), RuntimeError("a defect")])
    async def test_a_renewal_that_fails_is_told_and_tried_again(self, error: Exception) -> None:
        made = make_chat(stuck(), limits=Limits(renewal=RENEWAL))
        made.store.fail("renew", times=3, error=error)
        async with made.chat.serving():
            run = made.ask()
            made.store.lost = [Lost(run.run_id, removed=True)]
            await run.wait_done()
            took = asyncio.get_running_loop().time()

        assert made.observer.failures == ["renew"] * 3
        assert took == 4 * RENEWAL
        assert run.stopped_by is Stop.CANCELLED


class TestOwners:
    async def test_what_is_anothers_is_not_there(self) -> None:
        async with chatting() as made:
            run = await made.asked(owner="ann")
            assert run.started
            bob = Caller("bob", "request")
            saved = await made.asked(owner="bob", conversation_id=id_of(run))
            aside = await made.asked(
                owner="bob", conversation_id=id_of(run), save_conversation=False
            )
            again = made.chat.regenerate(id_of(run), run.started.message_id, {}, bob)
            await again.wait_done()

            kinds = [r.failure.kind for r in (saved, aside, again) if r.failure]
            assert kinds == [Kind.CONVERSATION_NOT_FOUND] * 3
            await prove(made, run)

    async def test_nobody_stops_the_run_of_another(self) -> None:
        async with chatting(stuck()) as made:
            run = made.ask(owner="ann")
            with pytest.raises(ServiceError) as raised:
                await made.chat.cancel("bob", run.run_id)
            stopped = run.stopped_by
            await made.chat.cancel("ann", run.run_id)

            assert raised.value.problem.kind is Kind.RUN_NOT_FOUND
            assert stopped is None

    async def test_the_same_key_is_another_for_another(self) -> None:
        async with chatting() as made:
            of_ann = await made.asked(owner="ann", key="key")
            of_bob = await made.asked("Another?", owner="bob", key="key")

            assert of_bob.run_id != of_ann.run_id
            assert made.ask(owner="ann", key="key") is of_ann
            assert (of_ann.status, of_bob.status) == (RunStatus.FINISHED, RunStatus.FINISHED)

    async def test_what_is_kept_is_its_owners(self) -> None:
        async with chatting() as made:
            run = await made.asked(owner="ann")

            assert await made.store.get("ann", id_of(run))
            assert await made.store.get(ANONYMOUS, id_of(run)) is None
