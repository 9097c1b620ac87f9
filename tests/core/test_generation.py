import asyncio
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatting import ANSWER, WHOLE, Chatting, Limits, chatting, prove, prove_log, read, whole_log
from clock import play, steps
from fakes import ACCEPT, STOPPED, USAGE, Step
from service.core.conversation import Answer, AnswerStatus, FinishReason
from service.core.errors import Kind, ServiceError
from service.core.events import Delta, Ending
from service.core.owners import ANONYMOUS
from service.core.run import Run, RunStatus, Stop

REFUSED = ServiceError(Kind.UPSTREAM_RATE_LIMITED, "later", retry_after=7)
BROKEN = ServiceError(Kind.UPSTREAM_ERROR, "Groq broke off")
SLOW: Sequence[Step] = [0, 0, ACCEPT, 0, Delta("a"), 0, Delta("b", "c"), 0, 0, STOPPED]
PATIENCE = Limits().patience


def last_event(run: Run) -> dict[str, object]:
    event: dict[str, object] = json.loads(whole_log(run)[-1])
    return event


def kind_of(run: Run) -> str | None:
    return run.failure.kind.slug if run.failure else None


async def kept_answer(chatting: Chatting, run: Run) -> Answer:
    conversation = await chatting.conversation(run)
    assert conversation
    answer = conversation.active_branch()[-1]
    assert isinstance(answer, Answer)
    return answer


class TestAWholeAnswer:
    async def test_is_told_and_kept(self) -> None:
        async with chatting() as made:
            run = await made.asked("Tell me a story")

            await prove(made, run)
            answer = await kept_answer(made, run)
            assert (answer.content, answer.status) == (WHOLE, AnswerStatus.COMPLETE)
            assert (answer.finish_reason, answer.usage) == (FinishReason.STOP, USAGE)

    async def test_started_names_run_conversation_and_messages(self) -> None:
        async with chatting() as made:
            run = await made.asked(hyperparameters={"top_k": 0})

            event = prove_log(run)[0]
            conversation = await made.conversation(run)
            assert conversation
            question, answer = conversation.messages
            assert event == {
                "type": "started",
                "run_id": run.run_id,
                "conversation_id": conversation.conversation_id,
                "user_message_id": question.message_id,
                "message_id": answer.message_id,
                "model": "small",
                "created_at": "2025-01-01T00:00:00.000Z",
                "dropped_messages": 0,
                "ignored_parameters": [],
                "simulated": False,
                "finished": False,
            }

    async def test_is_kept_before_the_terminal_event(self) -> None:
        async with chatting() as made:
            stored = made.store.stall("finish")
            run = made.ask()
            await steps(20)
            before = run.done
            stored.set()
            await run.wait_done()

            assert before is False
            assert last_event(run)["type"] == "finished"

    async def test_its_conversation_may_be_continued_by_who_sees_the_end(self) -> None:
        async with chatting() as made:
            first = made.ask("One?")
            log = await read(first)
            second = made.ask("Two?", conversation_id=first.origin.conversation_id)
            await second.wait_done()

            assert json.loads(log[-1])["type"] == "finished"
            await prove(made, second)
            conversation = await made.conversation(second)
            assert conversation
            assert len(conversation.active_branch()) == 4

    async def test_that_is_not_to_be_saved_leaves_nothing_behind(self) -> None:
        async with chatting() as made:
            run = await made.asked(save_conversation=False)

            await prove(made, run)
            assert await made.store.count() == 0
            assert run.state().content == WHOLE

    async def test_is_not_checkpointed_any_more(self) -> None:
        async with chatting() as made:
            await made.asked()
            await made.generator.checkpoints.write()

            assert "checkpoint" not in made.store.calls

    async def test_ends_at_its_ending_whatever_would_follow(self) -> None:
        async with chatting([*ANSWER, Delta("more")]) as made:
            run = await made.asked()

            await prove(made, run)
            assert run.state().content == WHOLE


class TestAFailure:
    @pytest.mark.parametrize("turns", [0, 3])
    async def test_before_acceptance_leaves_everything_as_it_was(self, turns: int) -> None:
        async with chatting([REFUSED], turns=turns) as made:
            run = await made.asked()

            await prove(made, run)
            assert last_event(run)["type"] == "failed"
            assert kind_of(run) == "upstream-rate-limited"
            assert await made.store.count() == 0

    async def test_before_acceptance_does_not_change_an_older_conversation(self) -> None:
        async with chatting() as made:
            first = await made.asked()
            before = await made.conversation(first)
            made.model.script = [REFUSED]
            await made.asked("And?", conversation_id=first.origin.conversation_id)

            assert await made.conversation(first) == before

    @pytest.mark.parametrize(
        ("broken", "kind"),
        [
            ([ACCEPT, Delta("Half"), BROKEN], "upstream-error"),
            ([ACCEPT, Delta("Half")], "upstream-error"),
            ([ACCEPT, Delta("Half"), RuntimeError("a defect")], "internal-error"),
        ],
    )
    async def test_after_acceptance_keeps_what_there_is(
        self, broken: Sequence[Step], kind: str
    ) -> None:
        async with chatting(broken) as made:
            run = await made.asked()

            await prove(made, run)
            answer = await kept_answer(made, run)
            assert (answer.content, answer.status) == ("Half", AnswerStatus.PARTIAL)
            assert (answer.finish_reason, answer.usage) == (None, None)
            assert kind_of(run) == kind

    @pytest.mark.parametrize("script", [[RuntimeError("x")], [ACCEPT, RuntimeError("x")]])
    async def test_that_is_a_defect_is_told_to_the_observer_and_to_nobody_else(
        self, script: Sequence[Step]
    ) -> None:
        async with chatting(script) as made:
            run = await made.asked()

            assert [str(error) for error in made.observer.defects] == ["x"]
            assert kind_of(run) == "internal-error"
            assert b"RuntimeError" not in whole_log(run)[-1]

    async def test_of_the_model_to_be_cancelled_only_when_asked_is_an_interruption(self) -> None:
        async with chatting([ACCEPT, Delta("a"), asyncio.CancelledError()]) as made:
            run = await made.asked()

            await prove(made, run)
            assert kind_of(run) == "interrupted"

    async def test_holds_the_problem_and_the_request(self) -> None:
        async with chatting([REFUSED]) as made:
            run = await made.asked()

            error = last_event(run)["error"]
            assert error == {
                "type": "/problems/upstream-rate-limited",
                "title": "Groq's rate limit is reached",
                "status": 429,
                "detail": "later",
                "request_id": "request",
                "retry_after": 7,
            }


class TestAStop:
    @pytest.mark.parametrize("reason", [Stop.CANCELLED, Stop.ABANDONED])
    async def test_before_groq_accepted_leaves_only_the_end(self, reason: Stop) -> None:
        async with chatting([asyncio.Event(), *ANSWER]) as made:
            run = made.ask()
            await steps(10)
            run.stop(reason)
            await run.wait_done()

            await prove(made, run)
            (event,) = prove_log(run)
            assert (event["finish_reason"], event["message_id"]) == ("cancelled", None)
            assert made.model.cancelled == 1
            assert await made.store.count() == 0

    async def test_afterwards_keeps_what_there_is(self) -> None:
        async with chatting([ACCEPT, Delta("Half"), asyncio.Event()]) as made:
            run = made.ask()
            await steps(10)
            run.stop(Stop.CANCELLED)
            await run.wait_done()

            await prove(made, run)
            answer = await kept_answer(made, run)
            assert (answer.content, answer.status) == ("Half", AnswerStatus.PARTIAL)
            assert answer.finish_reason is FinishReason.CANCELLED
            assert run.status is RunStatus.CANCELLED
            assert made.model.cancelled == 1

    async def test_by_a_server_that_stops_is_a_failure(self) -> None:
        async with chatting([ACCEPT, Delta("Half"), asyncio.Event()]) as made:
            run = made.ask()
            await steps(10)
            run.stop(Stop.INTERRUPTED)
            await run.wait_done()

            await prove(made, run)
            assert kind_of(run) == "interrupted"

    @pytest.mark.parametrize("script", [[999], [ACCEPT, Delta("Half"), 999]])
    async def test_of_a_run_that_takes_too_long(self, script: Sequence[Step]) -> None:
        async with chatting(script, limits=Limits(run=60)) as made:
            run = await made.asked()

            await prove(made, run)
            assert kind_of(run) == "upstream-timeout"
            assert run.timing().total_time == 60

    async def test_does_not_disturb_the_store_that_begins(self) -> None:
        async with chatting() as made:
            begun = made.store.stall("begin")
            run = made.ask()
            await steps(10)
            run.stop(Stop.CANCELLED)
            await steps(10)
            begun.set()
            await run.wait_done()

            await prove(made, run)
            assert [event["type"] for event in prove_log(run)] == ["started", "finished"]
            assert run.status is RunStatus.CANCELLED

    @pytest.mark.parametrize("reason", [Stop.CANCELLED, Stop.INTERRUPTED])
    @pytest.mark.parametrize(
        "script",
        [SLOW, [*SLOW[:3], BROKEN], [0, 0, REFUSED], [*SLOW[:6], RuntimeError("a defect")]],
        ids=["whole", "broken", "refused", "defect"],
    )
    def test_at_any_moment_leaves_a_log_with_an_end_and_a_conversation_like_it(
        self, script: Sequence[Step], reason: Stop
    ) -> None:
        turns_taken = [play(stopped_after(turns, script, reason)) for turns in range(40)]

        assert turns_taken[0] is not None
        assert turns_taken[-1] is None, "the sweep ends before the run does"


async def stopped_after(turns: int, script: Sequence[Step], reason: Stop) -> Stop | None:
    """Stop a run after so many turns of the loop, and prove it; None where it had ended before."""
    async with chatting(script, turns=2) as made:
        run = made.ask()
        await steps(turns)
        run.stop(reason)
        await run.wait_done()

        await prove(made, run)
        return run.stopped_by


class TestTheStore:
    async def test_that_cannot_begin_fails_the_run_before_it_has_started(self) -> None:
        async with chatting() as made:
            made.store.fail("begin")
            run = await made.asked()

            await prove(made, run)
            assert kind_of(run) == "store-unavailable"
            assert made.model.asked == 0

    async def test_that_cannot_be_read_refuses_the_run(self) -> None:
        async with chatting() as made:
            first = await made.asked()
            made.store.fail("take")
            run = await made.asked("And?", conversation_id=first.origin.conversation_id)

            assert kind_of(run) == "store-unavailable"
            assert len(made.model.prompts) == 1

    async def test_that_comes_back_in_time_gets_the_answer(self) -> None:
        async with chatting() as made:
            made.store.fail("finish", times=5)
            run = await made.asked()

            await prove(made, run)
            assert run.status is RunStatus.FINISHED
            assert made.observer.failures == ["finish"] * 5

    async def test_that_failed_after_it_had_stored_gets_the_answer_again(self) -> None:
        async with chatting() as made:
            made.store.fail_late("finish", times=2)
            run = await made.asked()

            await prove(made, run)

    async def test_that_does_not_come_back_fails_the_run_when_patience_ends(self) -> None:
        async with chatting() as made:
            made.store.fail_for_ever("finish")
            run = await made.asked()

            assert kind_of(run) == "store-unavailable"
            assert run.timing().total_time == PATIENCE
            assert made.runs.active_count == 0
            prove_log(run)

    async def test_that_comes_back_after_the_run_has_given_up_gets_the_answer_all_the_same(
        self,
    ) -> None:
        async with chatting() as made:
            made.store.fail_for_ever("finish")
            run = await made.asked()
            await made.generator.checkpoints.write()
            made.store.fail("finish", times=0)
            await made.generator.checkpoints.write()

            answer = await kept_answer(made, run)
            assert (answer.status, answer.content) == (AnswerStatus.COMPLETE, run.content.whole())
            made.store.calls.clear()
            await made.generator.checkpoints.write()
            assert made.store.calls == []

    async def test_that_begins_slowly_is_waited_for_however_often_the_run_is_cancelled(
        self,
    ) -> None:
        async with chatting() as made:
            gate = made.store.stall("begin")
            run = made.ask()
            while "begin" not in made.store.calls:  # noqa: ASYNC110  # turns of the loop, no time
                await asyncio.sleep(0)
            [generation] = [
                task for task in asyncio.all_tasks() if "_generate" in repr(task.get_coro())
            ]
            for _ in range(3):
                generation.cancel()
                await asyncio.sleep(0)
            run.stop(Stop.CANCELLED)
            gate.set()
            await run.wait_done()

            assert run.started
            assert run.status is not RunStatus.RUNNING
            assert (await kept_answer(made, run)).status is AnswerStatus.PARTIAL

    async def test_that_stalls_fails_the_run_when_patience_ends(self) -> None:
        async with chatting() as made:
            made.store.stall("finish")
            run = await made.asked()

            assert kind_of(run) == "store-unavailable"
            assert run.timing().total_time == PATIENCE

    async def test_gets_one_attempt_at_least_however_short_patience_is(self) -> None:
        async with chatting(limits=Limits(patience=0), turns=3) as made:
            run = await made.asked()

            await prove(made, run)
            assert run.status is RunStatus.FINISHED

    async def test_with_a_defect_at_the_end_leaves_the_message_to_be_found(self) -> None:
        async with chatting() as made:
            made.store.fail_for_ever("finish", error=RuntimeError("a defect"))
            run = await made.asked(key="key")

            answer = await kept_answer(made, run)
            assert last_event(run)["message_id"] == answer.message_id
            assert made.ask(key="key") is run

    @pytest.mark.parametrize("method", ["take", "begin", "finish"])
    async def test_with_a_defect_ends_the_log_all_the_same(self, method: str) -> None:
        async with chatting() as made:
            first = await made.asked()
            made.store.fail(method, error=RuntimeError("a defect"))
            run = await made.asked("And?", conversation_id=first.origin.conversation_id)

            prove_log(run)
            assert kind_of(run) == "internal-error"
            assert made.runs.active_count == 0
            assert run.origin.conversation_id is not None
            assert made.runs.running_in(ANONYMOUS, run.origin.conversation_id) is None
            assert len(made.observer.defects) == 1


pieces = st.builds(Delta, st.text(max_size=8)) | st.builds(
    Delta, st.text(max_size=8), st.text(max_size=8)
)
endings = st.one_of(
    st.builds(Ending, st.sampled_from(FinishReason), st.none() | st.just(USAGE)),
    st.sampled_from([BROKEN, RuntimeError("a defect")]),
    st.none(),
)
scripts = st.builds(
    lambda before, parts, ending: [
        *before,
        ACCEPT,
        *parts,
        *([] if ending is None else [ending]),
    ],
    st.lists(st.sampled_from([0, 1.5]), max_size=2),
    st.lists(pieces | st.sampled_from([0, 0.7]), max_size=8),
    endings,
) | st.lists(st.sampled_from([0, 1.5]), max_size=2).map(lambda before: [*before, REFUSED])


class TestWhateverHappens:
    @given(
        scripts,
        st.none() | st.tuples(st.integers(0, 30), st.sampled_from(Stop)),
        st.dictionaries(st.sampled_from(["begin", "finish", "checkpoint"]), st.integers(1, 3)),
        st.dictionaries(st.sampled_from(["finish", "checkpoint"]), st.integers(1, 3)),
        st.integers(0, 2),
    )
    def test_the_log_has_one_end_and_the_conversation_holds_what_the_log_says(
        self,
        script: list[Step],
        stop: tuple[int, Stop] | None,
        fails: dict[str, int],
        fails_late: dict[str, int],
        turns: int,
    ) -> None:
        async def happen() -> None:
            async with chatting(script, turns=turns) as made:
                for method, times in fails.items():
                    made.store.fail(method, times)
                for method, times in fails_late.items():
                    made.store.fail_late(method, times)
                writing = asyncio.create_task(made.generator.checkpoints.write_forever())
                run = made.ask()
                reading = asyncio.create_task(read(run))
                if stop:
                    await steps(stop[0])
                    run.stop(stop[1])
                log = await reading
                writing.cancel()
                await asyncio.wait({writing})

                assert log == whole_log(run)
                await prove(made, run)

        play(happen())
