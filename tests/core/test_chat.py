import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatting import ANSWER, WHOLE, Limits, chatting, make_chat, prove, prove_log, read, whole_log
from clock import play, steps
from fakes import ACCEPT, Step
from service.core.chat import LAST_WRITES_SECONDS, OPENING_SECONDS, REOPEN_SECONDS, Caller
from service.core.conversation import AnswerStatus
from service.core.errors import Kind, ServiceError
from service.core.events import Delta
from service.core.owners import ANONYMOUS
from service.core.request import UnsupportedParameters
from service.core.run import Run, RunStatus, Stage, Stop

REFUSED = ServiceError(Kind.UPSTREAM_RATE_LIMITED, "later", retry_after=7)


def id_of(run: Run) -> str:
    assert run.origin.conversation_id
    return run.origin.conversation_id


def stuck() -> list[Step]:
    """An answer that does not end by itself."""
    return [ACCEPT, Delta("Half"), asyncio.Event()]


class TestStarting:
    async def test_a_request_at_fault_starts_nothing(self) -> None:
        async with chatting() as made:
            with pytest.raises(ServiceError) as raised:
                made.ask("", key="key")

            assert raised.value.problem.kind is Kind.VALIDATION_ERROR
            assert made.observer.started == []
            assert made.ask("Why?", key="key").run_id

    async def test_what_a_model_does_not_take_may_be_left_out(self) -> None:
        async with chatting(unsupported=UnsupportedParameters.IGNORE) as made:
            run = await made.asked(hyperparameters={"top_k": 5})

            assert prove_log(run)[0]["ignored_parameters"] == ["top_k"]
            assert made.model.prompts[0].hyperparameters == {}

    async def test_a_conversation_that_is_not_there_is_refused_to_who_waits(self) -> None:
        async with chatting() as made:
            run = made.ask(conversation_id="nowhere")
            with pytest.raises(ServiceError) as raised:
                await run.reached(Stage.PREPARED)

            assert raised.value.problem.kind is Kind.CONVERSATION_NOT_FOUND
            assert made.model.prompts == []
            assert made.runs.running_in(ANONYMOUS, "nowhere") is None

    async def test_a_refusal_by_groq_is_raised_to_who_waits(self) -> None:
        async with chatting([REFUSED]) as made:
            run = made.ask()
            await run.reached(Stage.PREPARED)
            with pytest.raises(ServiceError) as raised:
                await run.reached(Stage.ANSWERED)

            assert raised.value.problem == REFUSED.problem

    async def test_there_are_no_more_runs_than_the_limit(self) -> None:
        async with chatting(stuck(), limits=Limits(active=2)) as made:
            first = made.ask()
            made.ask()
            with pytest.raises(ServiceError) as raised:
                made.ask()
            await made.chat.cancel(ANONYMOUS, first.run_id)

            assert raised.value.problem.kind is Kind.OVERLOADED
            assert raised.value.problem.retry_after
            made.ask()

    async def test_history_of_a_conversation_goes_to_the_model(self) -> None:
        async with chatting() as made:
            run = await made.asked("One?", system_prompt="Be brief.")
            await made.asked("Two?", conversation_id=id_of(run))

            said = [turn.content for turn in made.model.prompts[-1].turns]
            assert said == ["Be brief.", "One?", WHOLE, "Two?"]


class TestOneRunInAConversation:
    async def test_another_is_refused_while_it_runs(self) -> None:
        async with chatting(stuck()) as made:
            run = made.ask()
            with pytest.raises(ServiceError) as raised:
                made.ask(conversation_id=id_of(run))

            assert raised.value.problem.kind is Kind.CONVERSATION_BUSY

    async def test_one_that_is_not_saved_may_read_its_history(self) -> None:
        async with chatting() as made:
            run = await made.asked()
            made.model.script = stuck()
            busy = made.ask("And?", conversation_id=id_of(run))
            made.model.script = ANSWER
            aside = await made.asked(conversation_id=id_of(run), save_conversation=False)
            await made.chat.cancel(ANONYMOUS, busy.run_id)

            assert aside.status is RunStatus.FINISHED
            conversation = await made.conversation(busy)
            assert conversation
            assert len(conversation.messages) == 4

    async def test_a_regeneration_is_one_too(self) -> None:
        async with chatting() as made:
            run = await made.asked()
            assert run.started
            made.model.script = stuck()
            made.ask("And?", conversation_id=id_of(run))
            with pytest.raises(ServiceError) as raised:
                made.chat.regenerate(
                    id_of(run), run.started.message_id, {}, Caller(ANONYMOUS, "request")
                )

            assert raised.value.problem.kind is Kind.CONVERSATION_BUSY

    @given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=6))
    def test_no_two_build_on_the_same_end_of_a_branch(self, asks: list[tuple[int, bool]]) -> None:
        async def happen() -> None:
            async with chatting(turns=1) as made:
                first = await made.asked()
                runs = [first]
                for turns, waits in asks:
                    await steps(turns)
                    if waits:
                        await runs[-1].wait_done()
                    busy = made.runs.running_in(ANONYMOUS, id_of(first)) is not None
                    if busy:
                        with pytest.raises(ServiceError):
                            made.ask("And?", conversation_id=id_of(first))
                    else:
                        runs.append(made.ask("And?", conversation_id=id_of(first)))
                await runs[-1].wait_done()

                for run in runs:
                    prove_log(run)
                conversation = await made.conversation(first)
                assert conversation
                assert conversation.active_branch() == conversation.messages
                assert len(conversation.messages) == 2 * len(runs)

        play(happen())


class TestRegenerating:
    async def test_puts_a_new_answer_beside_the_old_one(self) -> None:
        async with chatting() as made:
            run = await made.asked()
            assert run.started
            old = run.started.message_id
            again = made.chat.regenerate(id_of(run), old, {}, Caller(ANONYMOUS, "request"))
            await again.wait_done()

            await prove(made, again)
            conversation = await made.conversation(run)
            assert conversation
            question, first, second = conversation.messages
            assert first.parent_message_id == second.parent_message_id == question.message_id
            assert conversation.active_message_id == second.message_id

    @pytest.mark.parametrize(
        ("conversation_id", "kind"),
        [("nowhere", Kind.CONVERSATION_NOT_FOUND), (None, Kind.MESSAGE_NOT_FOUND)],
    )
    async def test_what_is_not_there_is_refused(
        self, conversation_id: str | None, kind: Kind
    ) -> None:
        async with chatting() as made:
            run = await made.asked()
            again = made.chat.regenerate(
                conversation_id or id_of(run), "nowhere", {}, Caller(ANONYMOUS, "request")
            )
            with pytest.raises(ServiceError) as raised:
                await again.reached(Stage.PREPARED)

            assert raised.value.problem.kind is kind


class TestIdempotency:
    async def test_the_same_key_and_body_give_the_same_run(self) -> None:
        async with chatting() as made:
            run = made.ask(key="key", hyperparameters={"top_p": 0.5, "seed": 1})
            while_running = made.ask(key="key", hyperparameters={"seed": 1, "top_p": 0.5})
            await run.wait_done()

            assert while_running is run
            assert made.ask(key="key", hyperparameters={"top_p": 0.5, "seed": 1}) is run
            assert len(made.model.prompts) == 1

    @pytest.mark.parametrize("seed", [1.0, "1", 2, None])
    async def test_another_body_is_a_conflict(self, seed: object) -> None:
        async with chatting() as made:
            await made.asked(key="key", hyperparameters={"seed": 1})
            with pytest.raises(ServiceError) as raised:
                made.ask(key="key", hyperparameters={"seed": seed})

            assert raised.value.problem.kind is Kind.IDEMPOTENCY_CONFLICT

    async def test_a_regeneration_is_another_body(self) -> None:
        async with chatting() as made:
            run = await made.asked()
            assert run.started
            message_id, caller = run.started.message_id, Caller(ANONYMOUS, "request", "key")
            first = made.chat.regenerate(id_of(run), message_id, {}, caller)
            same = made.chat.regenerate(id_of(run), message_id, {}, caller)
            with pytest.raises(ServiceError):
                made.chat.regenerate(id_of(run), "another", {}, caller)
            with pytest.raises(ServiceError):
                made.ask(key="key")

            assert same is first

    @pytest.mark.parametrize("script", [[REFUSED], [0, RuntimeError("a defect")]])
    async def test_a_refused_request_does_not_use_its_key_up(self, script: list[Step]) -> None:
        async with chatting(script) as made:
            refused = await made.asked(key="key")
            made.model.script = ANSWER
            run = await made.asked("Another?", key="key")

            assert (refused.status, run.status) == (RunStatus.FAILED, RunStatus.FINISHED)

    async def test_a_refusal_before_groq_is_asked_does_not_use_its_key_up(self) -> None:
        async with chatting() as made:
            await made.asked(key="key", conversation_id="nowhere")
            run = await made.asked(key="key")

            assert run.status is RunStatus.FINISHED

    async def test_a_client_that_was_given_a_run_finds_it_by_its_key_though_groq_refused(
        self,
    ) -> None:
        async with chatting([0, REFUSED]) as made:
            run = await made.asked(key="key", detached=True)

            assert made.ask(key="key", detached=True) is run
            assert made.runs.get(ANONYMOUS, run.run_id) is run

    @pytest.mark.parametrize("script", [ANSWER, [ACCEPT, REFUSED]])
    async def test_a_run_that_has_started_keeps_its_key_whatever_becomes_of_it(
        self, script: list[Step]
    ) -> None:
        async with chatting(script) as made:
            run = await made.asked(key="key")

            assert made.ask(key="key") is run

    async def test_a_cancelled_run_keeps_its_key(self) -> None:
        async with chatting([asyncio.Event()]) as made:
            run = made.ask(key="key")
            await made.chat.cancel(ANONYMOUS, run.run_id)

            assert made.ask(key="key") is run

    async def test_a_key_is_free_again_when_its_log_is_gone(self) -> None:
        async with chatting(limits=Limits(retention=60)) as made:
            run = await made.asked(key="key")
            await asyncio.sleep(61)

            assert made.ask("Another?", key="key") is not run

    async def test_a_server_that_goes_away_still_gives_out_what_it_has(self) -> None:
        async with chatting() as made:
            run = await made.asked(key="key")
            await made.chat.drain(0)

            assert made.ask(key="key") is run


class TestCancelling:
    async def test_ends_the_run_and_the_request_to_groq(self) -> None:
        async with chatting(stuck()) as made:
            run = made.ask()
            await steps(10)
            cancelled = await made.chat.cancel(ANONYMOUS, run.run_id)

            assert cancelled is run
            assert (run.status, made.model.asked) == (RunStatus.CANCELLED, 0)
            await prove(made, run)

    async def test_again_or_after_the_end_changes_nothing(self) -> None:
        async with chatting() as made:
            run = await made.asked()
            before = whole_log(run)
            await made.chat.cancel(ANONYMOUS, run.run_id)
            await made.chat.cancel(ANONYMOUS, run.run_id)

            assert whole_log(run) == before
            assert run.status is RunStatus.FINISHED

    async def test_by_two_at_once_answers_both(self) -> None:
        async with chatting(stuck()) as made:
            run = made.ask()
            await asyncio.gather(
                made.chat.cancel(ANONYMOUS, run.run_id), made.chat.cancel(ANONYMOUS, run.run_id)
            )

            await prove(made, run)

    async def test_what_is_not_there_is_not_found(self) -> None:
        async with chatting() as made:
            with pytest.raises(ServiceError) as raised:
                await made.chat.cancel(ANONYMOUS, "nowhere")
            assert raised.value.problem.kind is Kind.RUN_NOT_FOUND

    async def test_a_cancelled_conversation_may_be_continued_at_once(self) -> None:
        async with chatting(stuck()) as made:
            run = made.ask()
            await steps(10)
            await made.chat.cancel(ANONYMOUS, run.run_id)
            made.model.script = ANSWER
            again = await made.asked("And?", conversation_id=id_of(run))

            assert again.status is RunStatus.FINISHED


class TestBeingLeft:
    @pytest.mark.parametrize(
        ("members", "goes_on"),
        [
            ({}, True),
            ({"save_conversation": False}, False),
            ({"on_disconnect": "cancel"}, False),
            ({"save_conversation": False, "on_disconnect": "continue"}, True),
        ],
    )
    async def test_a_run_goes_on_or_not_as_it_was_asked_to(
        self, members: dict[str, object], goes_on: bool
    ) -> None:
        async with chatting([ACCEPT, Delta("Half"), 60, *ANSWER[1:]]) as made:
            value = {"model": "small", "user_prompt": "Why?"} | members
            run = made.chat.start(value, Caller(ANONYMOUS, "request"))
            with run.reading():
                await run.reached(Stage.ANSWERED)
            await run.wait_done()

            await prove(made, run)
            assert (run.status is RunStatus.FINISHED) is goes_on
            assert run.timing().total_time == (60 if goes_on else Limits().grace)
            assert run.stopped_by is (None if goes_on else Stop.ABANDONED)

    async def test_a_regeneration_goes_on(self) -> None:
        async with chatting() as made:
            run = await made.asked()
            assert run.started
            made.model.script = [ACCEPT, 60, *ANSWER[1:]]
            again = made.chat.regenerate(
                id_of(run), run.started.message_id, {}, Caller(ANONYMOUS, "request")
            )
            with again.reading():
                await again.reached(Stage.ANSWERED)
            await again.wait_done()

            assert again.status is RunStatus.FINISHED


class TestDraining:
    async def test_takes_no_new_runs(self) -> None:
        async with chatting() as made:
            run = await made.asked()
            assert run.started
            await made.chat.drain(0)
            with pytest.raises(ServiceError) as asked:
                made.ask()
            with pytest.raises(ServiceError) as regenerated:
                made.chat.regenerate(
                    id_of(run), run.started.message_id, {}, Caller(ANONYMOUS, "request")
                )

            assert asked.value.problem.kind is Kind.DRAINING
            assert regenerated.value.problem.kind is Kind.DRAINING

    async def test_lets_runs_end_that_do_so_in_time(self) -> None:
        async with chatting([ACCEPT, 20, *ANSWER[1:]]) as made:
            run = made.ask()
            await made.chat.drain(30)

            assert run.status is RunStatus.FINISHED
            assert asyncio.get_running_loop().time() == 20

    async def test_interrupts_the_rest_and_keeps_what_there_is(self) -> None:
        async with chatting([ACCEPT, Delta("Half"), 40, *ANSWER[1:]]) as made:
            runs = [made.ask() for _ in range(3)]
            reading = asyncio.create_task(read(runs[0]))
            await made.chat.drain(30)

            assert [run.stopped_by for run in runs] == [Stop.INTERRUPTED] * 3
            for run in runs:
                await prove(made, run)
                conversation = await made.conversation(run)
                assert conversation
                assert conversation.active_branch()[-1].content == "Half"
            assert json.loads((await reading)[-1])["error"]["type"] == "/problems/interrupted"

    async def test_does_not_wait_for_ever_for_a_store_that_stalls(self) -> None:
        async with chatting(stuck()) as made:
            made.store.stall("finish")
            run = made.ask()
            await steps(10)
            began = asyncio.get_running_loop().time()
            await made.chat.drain(0)
            took = asyncio.get_running_loop().time() - began
            await run.wait_done()

            assert took == LAST_WRITES_SECONDS

    async def test_may_be_hurried(self) -> None:
        async with chatting(stuck()) as made:
            run = made.ask()
            draining = asyncio.create_task(made.chat.drain(30))
            await steps(10)
            await made.chat.drain(0)
            await draining

            assert run.stopped_by is Stop.INTERRUPTED
            assert asyncio.get_running_loop().time() == 0


class TestServing:
    async def test_opens_and_closes_the_store_and_ends_what_runs(self) -> None:
        made = make_chat(stuck())
        async with made.chat.serving():
            run = made.ask()
            await steps(10)

        assert run.stopped_by is Stop.INTERRUPTED
        assert (made.store.calls[0], made.store.calls[-1]) == ("open", "close")

    async def test_keeps_what_grows_and_forgets_what_is_old(self) -> None:
        made = make_chat(limits=Limits(retention=2))
        async with made.chat.serving():
            old = await made.asked()
            made.model.script = [ACCEPT, Delta("Half"), 9, *ANSWER[1:]]
            run = made.ask()
            await asyncio.sleep(5)
            conversation = await made.conversation(run)
            active, remembered = made.runs.active_count, made.runs.conversation_count
            await run.wait_done()

        assert conversation
        growing = conversation.active_branch()[-1]
        assert growing.content == "Half"
        assert getattr(growing, "status", None) is AnswerStatus.STREAMING
        assert (active, remembered) == (1, 1)
        assert old.done

    async def test_goes_on_without_a_store_and_opens_it_when_it_is_there(self) -> None:
        made = make_chat()
        made.store.fail("open", times=3)
        async with made.chat.serving():
            refused = await made.asked()
            unsaved = await made.asked(save_conversation=False)
            await asyncio.sleep(4 * REOPEN_SECONDS)
            run = await made.asked()

        assert refused.failure is not None
        assert refused.failure.kind is Kind.STORE_UNAVAILABLE
        assert (unsaved.status, run.status) == (RunStatus.FINISHED, RunStatus.FINISHED)
        assert made.observer.failures.count("open") == 3

    async def test_begins_at_once_where_the_store_opens_at_once(self) -> None:
        made = make_chat()
        async with made.chat.serving():
            began = asyncio.get_running_loop().time()

        assert began == 0

    async def test_does_not_wait_longer_than_so_for_a_store_that_opens_slowly(self) -> None:
        made = make_chat()
        gate = made.store.stall("open")
        async with made.chat.serving():
            began = asyncio.get_running_loop().time()
            refused = await made.asked()
            unsaved = await made.asked(save_conversation=False)
            gate.set()
            await steps(3)
            run = await made.asked()

        assert began == OPENING_SECONDS
        assert refused.failure is not None
        assert refused.failure.kind is Kind.STORE_UNAVAILABLE
        assert (unsaved.status, run.status) == (RunStatus.FINISHED, RunStatus.FINISHED)
        assert made.store.calls.count("open") == 1

    async def test_ends_though_the_store_is_still_being_opened(self) -> None:
        made = make_chat()
        made.store.stall("open")
        async with made.chat.serving():
            pass

        assert made.store.calls == ["open", "close"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_that_is_given_up_while_the_store_opens_leaves_nothing_behind(self) -> None:
        made = make_chat()
        made.store.stall("open")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(OPENING_SECONDS / 2), made.chat.serving():
                pass

        assert made.store.calls == ["open", "close"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_that_cannot_begin_leaves_nothing_behind(self) -> None:
        made = make_chat()
        made.store.fail("open", error=RuntimeError("a defect"))
        with pytest.raises(RuntimeError):
            async with made.chat.serving():
                pass
        await steps(2)

        assert asyncio.all_tasks() == {asyncio.current_task()}
