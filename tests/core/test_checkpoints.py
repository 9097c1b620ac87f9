import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from clock import play, steps
from fakes import FailingStore, RecordingObserver
from service.core.checkpoints import INTERVAL_SECONDS, MOST_LEFT, Checkpoints
from service.core.conversation import Answer, AnswerStatus, Question
from service.core.events import Delta
from service.core.owners import ANONYMOUS
from service.core.ports import Beginning
from service.core.run import Origin, Run
from service.store.memory import MemoryStore


@define
class Writing:
    """Checkpoints, and the store that they are written to."""

    checkpoints: Checkpoints
    store: FailingStore
    observer: RecordingObserver

    async def begin(self, name: str) -> Run:
        """A run whose answer the store has, still empty."""
        question = Question(f"q-{name}", None, "Why?", "now")
        answer = Answer(f"a-{name}", f"q-{name}", "", "now", "small", AnswerStatus.STREAMING)
        await self.store.begin(Beginning(ANONYMOUS, name, name, answer, question, "Title"))
        run = Run(Origin(ANONYMOUS, name, name, "now", "request", False, False), 10)
        self.checkpoints.add(run, f"a-{name}")
        return run

    async def stored(self, name: str) -> tuple[str, str]:
        """The text and the reasoning that the store has."""
        conversation = await self.store.get(ANONYMOUS, name)
        assert conversation
        answer = conversation.message(f"a-{name}")
        assert isinstance(answer, Answer)
        return answer.content, answer.reasoning or ""


@asynccontextmanager
async def writing(turns: int = 0) -> AsyncIterator[Writing]:
    store, observer = FailingStore(MemoryStore(), turns=turns), RecordingObserver()
    await store.open()
    yield Writing(Checkpoints(store, observer), store, observer)


async def test_what_came_is_written() -> None:
    async with writing() as made:
        run = await made.begin("1")
        run.append(Delta("Once ", "Well"))
        await made.checkpoints.write()
        run.append(Delta("upon"))
        await made.checkpoints.write()

        assert await made.stored("1") == ("Once upon", "Well")


async def test_all_runs_are_written_at_once() -> None:
    async with writing() as made:
        for name in "123":
            run = await made.begin(name)
            run.append(Delta(name))

        await made.checkpoints.write()

        assert made.store.calls.count("checkpoint") == 1
        assert [await made.stored(name) for name in "123"] == [("1", ""), ("2", ""), ("3", "")]


async def test_nothing_is_written_where_nothing_came() -> None:
    async with writing() as made:
        run = await made.begin("1")
        await made.checkpoints.write()
        run.append(Delta("a"))
        await made.checkpoints.write()
        await made.checkpoints.write()

        assert made.store.calls.count("checkpoint") == 1


async def test_a_run_that_was_removed_is_not_written() -> None:
    async with writing() as made:
        run = await made.begin("1")
        run.append(Delta("a"))
        made.checkpoints.remove(run)
        await made.checkpoints.write()

        assert await made.stored("1") == ("", "")


async def test_a_failure_is_told_and_made_up_for() -> None:
    async with writing() as made:
        run = await made.begin("1")
        run.append(Delta("a"))
        made.store.fail("checkpoint")
        await made.checkpoints.write()
        before = await made.stored("1")
        await made.checkpoints.write()

        assert before == ("", "")
        assert await made.stored("1") == ("a", "")
        assert made.observer.failures == ["checkpoint"]


async def test_what_comes_while_it_is_written_comes_with_the_next_write() -> None:
    async with writing() as made:
        run = await made.begin("1")
        run.append(Delta("a"))
        gate = made.store.stall("checkpoint")
        first = asyncio.create_task(made.checkpoints.write())
        await steps(3)
        run.append(Delta("b"))
        gate.set()
        await first
        await made.checkpoints.write()

        assert await made.stored("1") == ("ab", "")


async def test_a_write_that_comes_after_the_end_does_not_undo_it() -> None:
    async with writing() as made:
        run = await made.begin("1")
        run.append(Delta("a"))
        gate = made.store.stall("checkpoint")
        late = asyncio.create_task(made.checkpoints.write())
        await steps(3)
        made.checkpoints.remove(run)
        ended = Answer("a-1", "q-1", "all of it", "now", "small", AnswerStatus.COMPLETE)
        await made.store.finish("1", ended, "now")
        gate.set()
        await late

        assert await made.stored("1") == ("all of it", "")


async def test_writes_come_at_every_interval_also_after_a_failure() -> None:
    async with writing() as made:
        run = await made.begin("1")
        keeping = asyncio.create_task(made.checkpoints.write_forever())
        made.store.fail("checkpoint", times=2)
        for _ in range(4):
            run.append(Delta("a"))
            await asyncio.sleep(INTERVAL_SECONDS)
        await steps(3)
        keeping.cancel()
        await asyncio.wait({keeping})

        assert made.store.calls.count("checkpoint") >= 3
        assert (await made.stored("1"))[0].startswith("aaa")


def ended(name: str) -> Answer:
    return Answer(f"a-{name}", f"q-{name}", f"all of {name}", "now", "small", AnswerStatus.COMPLETE)


async def test_answers_that_were_left_are_stored_when_the_store_is_back() -> None:
    async with writing() as made:
        for name in "12":
            await made.begin(name)
            made.checkpoints.leave(name, ended(name), "now")
        made.store.fail("finish", times=3)
        for _ in range(4):
            await made.checkpoints.write()

        assert [await made.stored(name) for name in "12"] == [("all of 1", ""), ("all of 2", "")]
        assert made.observer.failures == ["finish"] * 3


async def test_an_answer_that_was_left_is_stored_once() -> None:
    async with writing() as made:
        await made.begin("1")
        made.checkpoints.leave("1", ended("1"), "now")
        for _ in range(3):
            await made.checkpoints.write()

        assert made.store.calls.count("finish") == 1


async def test_no_more_answers_are_left_than_the_limit() -> None:
    async with writing() as made:
        for number in range(MOST_LEFT + 5):
            made.checkpoints.leave(str(number), ended(str(number)), "now")
        await made.checkpoints.write()

        assert made.store.calls.count("finish") == MOST_LEFT


async def test_an_answer_that_meets_a_defect_does_not_hold_up_the_others() -> None:
    async with writing() as made:
        for name in "12":
            await made.begin(name)
            made.checkpoints.leave(name, ended(name), "now")
        made.store.fail("finish", error=RuntimeError("a defect"))
        with pytest.raises(RuntimeError):
            await made.checkpoints.write()
        await made.checkpoints.write()

        assert await made.stored("2") == ("all of 2", "")


async def test_an_answer_that_was_left_does_not_bring_a_deleted_conversation_back() -> None:
    async with writing() as made:
        await made.begin("1")
        made.checkpoints.leave("1", ended("1"), "now")
        await made.store.delete(ANONYMOUS, "1")
        await made.checkpoints.write()

        assert await made.store.get(ANONYMOUS, "1") is None


async def test_a_defect_in_one_write_does_not_end_the_writing() -> None:
    async with writing() as made:
        run = await made.begin("1")
        made.store.fail("checkpoint", error=RuntimeError("a defect"))
        keeping = asyncio.create_task(made.checkpoints.write_forever())
        run.append(Delta("a"))
        await asyncio.sleep(3 * INTERVAL_SECONDS)
        keeping.cancel()
        await asyncio.wait({keeping})

        assert await made.stored("1") == ("a", "")
        assert made.observer.failures == ["checkpoint"]


events = st.lists(
    st.tuples(
        st.sampled_from(["1", "2"]),
        st.builds(Delta, st.text(max_size=4)) | st.builds(Delta, st.text(max_size=4), st.text()),
    )
    | st.sampled_from(["write", "fail", "fail late"]),
    max_size=20,
)


@given(events)
def test_what_is_stored_is_a_beginning_of_what_came_and_at_last_all_of_it(
    happening: Sequence[str | tuple[str, Delta]],
) -> None:
    async def happen() -> None:
        async with writing() as made:
            runs = {name: await made.begin(name) for name in "12"}
            for event in happening:
                match event:
                    case "fail":
                        made.store.fail("checkpoint")
                    case "fail late":
                        made.store.fail_late("checkpoint")
                    case (str() as name, Delta() as delta):
                        runs[name].append(delta)
                    case _:
                        await made.checkpoints.write()
                for name, run in runs.items():
                    content, reasoning = await made.stored(name)
                    assert run.content.whole().startswith(content)
                    assert run.reasoning.whole().startswith(reasoning)
            for _ in range(3):  # each kind of failure may still be due once
                await made.checkpoints.write()

            for name, run in runs.items():
                expected = (run.content.whole(), run.reasoning.whole())
                assert await made.stored(name) == expected

    play(happen())
