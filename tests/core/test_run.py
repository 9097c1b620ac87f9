import asyncio
import hashlib
import json
from collections.abc import Sequence

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from chatting import prove_log, read, text_of, whole_log
from clock import steps
from fakes import USAGE
from service.core.conversation import FinishReason
from service.core.errors import Fault, Kind, Problem, ServiceError
from service.core.events import Delta, Finished, Started
from service.core.run import START, WRITE_LIMIT, Origin, Run, RunStatus, Stage, Stop

PROBLEM = Problem(Kind.VALIDATION_ERROR, "wrong", (Fault("#/model", "is wrong"),), 1.5)
GRACE = 10.0
BIG = "é" * WRITE_LIMIT


def make_run(*, cancel_when_left: bool = False) -> Run:
    origin = Origin(
        owner="owner",
        run_id="run",
        conversation_id="conversation",
        created_at="2025-01-01T00:00:00.000Z",
        request_id="request",
        cancel_when_left=cancel_when_left,
        detached=False,
    )
    return Run(origin, GRACE)


def started() -> Started:
    return Started(
        run_id="run",
        conversation_id="conversation",
        user_message_id="question",
        message_id="answer",
        model="small",
        created_at="2025-01-01T00:00:00.000Z",
        dropped_messages=0,
        ignored_parameters=(),
        simulated=False,
    )


def finished(run: Run, reason: FinishReason = FinishReason.STOP) -> Finished:
    content = text_of(whole_log(run)).encode()
    return Finished(
        finish_reason=reason,
        usage=USAGE,
        cost=None,
        timing=run.timing(),
        message_id="answer",
        content_length=len(content),
        content_sha256=hashlib.sha256(content).hexdigest(),
    )


async def write(run: Run, batches: Sequence[Sequence[Delta]]) -> None:
    """Append as the generation does: some deltas at a time, then the end."""
    run.append(started())
    for batch in batches:
        await steps(1)
        for delta in batch:
            run.append(delta)
    await steps(1)
    run.append(finished(run))


texts = st.text(max_size=5) | st.sampled_from(["", "a" * 30_000, "a" * 65_000, BIG])
deltas = st.builds(Delta, texts) | st.builds(Delta, texts, texts)
batches = st.lists(st.lists(deltas, max_size=6), max_size=6)


@frozen
class Habits:
    """How a reader reads: when it comes, how slow it is, and where it is cut off."""

    comes_after: int
    turns_per_write: int
    cuts: tuple[int, ...]
    """After so many events it has lost its connection, and comes back with its cursor."""


habits = st.builds(
    Habits,
    st.integers(0, 12),
    st.integers(0, 3),
    st.lists(st.integers(0, 3), max_size=4).map(tuple),
)


async def follow(run: Run, reader: Habits) -> list[bytes]:
    """What a reader has in the end that was cut off and came back."""
    await steps(reader.comes_after)
    got: list[bytes] = []
    for cut in reader.cuts:
        got += list(run.after(START + len(got)))[:cut]
        await steps(reader.turns_per_write)
    return got + await read(run, START + len(got), turns=reader.turns_per_write)


class TestReading:
    @given(batches, st.lists(habits, min_size=1, max_size=5))
    async def test_every_reader_gets_every_event_once_in_order_however_it_reads(
        self, written: list[list[Delta]], readers: list[Habits]
    ) -> None:
        run = make_run()
        async with asyncio.TaskGroup() as group:
            group.create_task(write(run, written))
            reading = [group.create_task(follow(run, reader)) for reader in readers]

        assert all(reader.result() == whole_log(run) for reader in reading)
        events = prove_log(run)
        expected = [delta.content for batch in written for delta in batch]
        assert [event["content"] for event in events[1:-1]] == expected

    @given(batches, st.data())
    async def test_a_cursor_anywhere_gives_the_events_after_it(
        self, written: list[list[Delta]], data: st.DataObject
    ) -> None:
        run = make_run()
        await write(run, written)
        after = data.draw(st.integers(START, run.last_seq))

        assert await read(run, after) == whole_log(run)[after + 1 :]

    @given(batches)
    async def test_a_write_has_64_kib_or_one_event_and_no_less_than_fits(
        self, written: list[list[Delta]]
    ) -> None:
        run = make_run()
        await write(run, written)
        log, after = whole_log(run), START

        while piece := run.after(after):
            rest = log[after + 1 + len(piece) :]
            after += len(piece)
            assert len(piece) == 1 or sum(map(len, piece)) <= WRITE_LIMIT
            assert not rest or sum(map(len, [*piece, rest[0]])) > WRITE_LIMIT - 64 * (
                len(piece) + 1
            )

    async def test_a_write_ends_before_the_event_that_would_be_too_much(self) -> None:
        run = make_run()
        for _ in range(3):
            run.append(Delta("a" * (WRITE_LIMIT // 2)))

        assert [len(run.after(seq)) for seq in (START, 0, 1)] == [1, 1, 1]

    async def test_there_is_nothing_after_the_last_event(self) -> None:
        run = make_run()
        run.append(started())

        assert list(run.after(START)) != []
        assert list(run.after(0)) == []

    async def test_a_payload_is_encoded_once_for_all_readers(self) -> None:
        run = make_run()
        run.append(started())

        assert run.after(START)[0] is run.after(START)[0]

    async def test_what_a_reader_was_given_does_not_grow(self) -> None:
        run = make_run()
        run.append(started())
        given_before = run.after(START)

        run.append(Delta("more"))

        assert len(given_before) == 1

    async def test_the_size_covers_what_the_log_holds(self) -> None:
        run = make_run()
        await write(run, [[Delta("a" * 1000), Delta("b")]])

        assert sum(map(len, whole_log(run))) <= run.size <= sum(map(len, whole_log(run))) + 4 * 128


class TestFollowing:
    async def test_a_follower_is_told_of_every_change(self) -> None:
        run, told = make_run(), list[int]()
        with run.following(lambda: told.append(run.last_seq)):
            run.prepared()
            run.append(started())
            run.append(Delta("a"))
            run.append(finished(run))

        assert told == [-1, 0, 1, 2]

    async def test_nobody_is_told_after_leaving(self) -> None:
        run, stays, leaves = make_run(), list[int](), list[int]()
        with run.following(lambda: stays.append(run.last_seq)):
            with run.following(lambda: leaves.append(run.last_seq)):
                run.append(started())
            run.append(Delta("a"))

        assert (stays, leaves) == ([0, 1], [0])

    async def test_a_reader_that_is_cancelled_disturbs_no_other(self) -> None:
        run = make_run()
        cancelled, stays = asyncio.create_task(read(run)), asyncio.create_task(read(run))
        await steps(1)
        run.append(started())
        cancelled.cancel()
        await steps(3)
        run.append(Delta("a"))
        run.append(finished(run))

        assert await stays == whole_log(run)
        assert cancelled.cancelled()


class TestWaiting:
    async def test_for_the_end_of_a_log_that_has_ended_takes_no_time(self) -> None:
        run = make_run()
        run.append(started())
        run.append(finished(run))

        await run.wait_done()

    async def test_wakes_all_who_wait_for_the_end(self) -> None:
        run = make_run()
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(run.wait_done()) for _ in range(3)]
            await steps(2)
            run.append(started())
            await steps(2)
            before = [task.done() for task in waiting]
            run.append(finished(run))

        assert before == [False] * 3

    async def test_for_a_stage_ends_when_the_run_has_come_so_far(self) -> None:
        run = make_run()
        async with asyncio.TaskGroup() as group:
            prepared = group.create_task(run.reached(Stage.PREPARED))
            accepted = group.create_task(run.reached(Stage.ANSWERED))
            await steps(2)
            at_first = (prepared.done(), accepted.done())
            run.prepared()
            await steps(2)
            then = (prepared.done(), accepted.done())
            run.append(started())

        assert (at_first, then) == ((False, False), (True, False))

    async def test_a_later_stage_holds_the_earlier_ones(self) -> None:
        run = make_run()
        run.append(started())

        await run.reached(Stage.PREPARED)
        await run.reached(Stage.ANSWERED)

    @pytest.mark.parametrize("stage", [Stage.PREPARED, Stage.ANSWERED])
    async def test_a_refusal_is_raised_to_all_as_an_exception_of_its_own(
        self, stage: Stage
    ) -> None:
        run = make_run()
        waiting = [asyncio.create_task(run.reached(stage)) for _ in range(3)]
        await steps(2)
        run.fail(PROBLEM, None)

        raised = await asyncio.gather(*waiting, return_exceptions=True)

        assert [e.problem for e in raised if isinstance(e, ServiceError)] == [PROBLEM] * 3
        assert len({id(error) for error in raised}) == 3

    async def test_what_was_reached_is_not_refused_afterwards(self) -> None:
        run = make_run()
        run.prepared()
        run.fail(PROBLEM, None)

        await run.reached(Stage.PREPARED)
        with pytest.raises(ServiceError):
            await run.reached(Stage.ANSWERED)

    async def test_for_a_stage_ends_with_a_run_that_was_cancelled_before_it(self) -> None:
        run = make_run()
        run.append(finished(run, FinishReason.CANCELLED))

        await run.reached(Stage.ANSWERED)

    async def test_a_failure_after_started_is_no_refusal(self) -> None:
        run = make_run()
        run.append(started())
        run.fail(PROBLEM, "answer")

        await run.reached(Stage.ANSWERED)

    async def test_that_is_given_up_leaves_nothing_behind(self) -> None:
        run = make_run()
        waiting = asyncio.create_task(run.wait_done())
        await steps(2)
        waiting.cancel()
        await steps(2)

        run.append(started())
        run.append(finished(run))

        assert waiting.cancelled()


class TestStopping:
    async def test_the_first_reason_counts_and_stops_once(self) -> None:
        run, stops = make_run(), list[object]()
        run.stoppable_by(lambda: stops.append(run.stopped_by))

        run.stop(Stop.CANCELLED)
        run.stop(Stop.INTERRUPTED)

        assert stops == [Stop.CANCELLED]
        assert run.stopped_by is Stop.CANCELLED

    async def test_a_stop_before_there_is_a_generation_is_made_up_for(self) -> None:
        run, stops = make_run(), list[object]()
        run.stop(Stop.TOO_LONG)

        run.stoppable_by(lambda: stops.append(run.stopped_by))

        assert stops == [Stop.TOO_LONG]

    async def test_a_run_that_is_done_is_not_stopped(self) -> None:
        run, stops = make_run(), list[object]()
        run.stoppable_by(lambda: stops.append(run.stopped_by))
        run.append(started())
        run.append(finished(run))

        run.stop(Stop.CANCELLED)

        assert stops == []
        assert run.stopped_by is None

    async def test_nothing_follows_the_end(self) -> None:
        run = make_run()
        run.append(started())
        run.append(finished(run))

        with pytest.raises(AssertionError):
            run.append(Delta("more"))
        assert run.last_seq == 1


class TestGrace:
    async def test_a_run_is_abandoned_so_long_after_its_last_reader_left(self) -> None:
        run = make_run(cancel_when_left=True)
        with run.reading():
            await asyncio.sleep(2 * GRACE)
            while_read = run.stopped_by
        await asyncio.sleep(GRACE - 1)
        in_grace = run.stopped_by
        await asyncio.sleep(2)

        assert (while_read, in_grace, run.stopped_by) == (None, None, Stop.ABANDONED)

    async def test_a_reader_that_comes_back_in_time_saves_it(self) -> None:
        run = make_run(cancel_when_left=True)
        with run.reading():
            pass
        await asyncio.sleep(GRACE - 1)
        with run.reading():
            await asyncio.sleep(2 * GRACE)

            assert run.stopped_by is None

    async def test_grace_begins_anew_each_time(self) -> None:
        run = make_run(cancel_when_left=True)
        for _ in range(5):
            with run.reading():
                pass
            await asyncio.sleep(GRACE - 1)

        assert run.stopped_by is None

    async def test_it_goes_on_as_long_as_one_reader_stays(self) -> None:
        run = make_run(cancel_when_left=True)
        with run.reading():
            with run.reading():
                pass
            await asyncio.sleep(2 * GRACE)

            assert run.stopped_by is None

    async def test_a_reader_that_dies_has_left(self) -> None:
        run = make_run(cancel_when_left=True)
        with pytest.raises(ConnectionResetError), run.reading():
            raise ConnectionResetError
        await asyncio.sleep(GRACE + 1)

        assert run.stopped_by is Stop.ABANDONED

    async def test_a_run_that_shall_go_on_alone_does(self) -> None:
        run = make_run(cancel_when_left=False)
        with run.reading():
            pass
        await asyncio.sleep(2 * GRACE)

        assert run.stopped_by is None

    async def test_nothing_waits_for_readers_of_a_log_that_has_ended(self) -> None:
        run = make_run(cancel_when_left=True)
        run.append(started())
        with run.reading():
            pass
        run.append(finished(run))
        with run.reading():
            pass

        await asyncio.sleep(2 * GRACE)

        assert run.stopped_by is None


class TestState:
    async def test_at_first_there_is_nothing(self) -> None:
        state = make_run().state()

        assert (state.status, state.last_seq, state.content) == (RunStatus.RUNNING, -1, "")
        assert (state.message_id, state.timing, state.error) == (None, None, None)

    async def test_holds_what_has_come_so_far(self) -> None:
        run = make_run()
        run.append(started())
        run.append(Delta("Once ", "Well"))
        run.append(Delta("upon", ", so"))

        state = run.state()

        assert (state.content, state.reasoning) == ("Once upon", "Well, so")
        assert (state.status, state.message_id) == (RunStatus.RUNNING, "answer")

    @pytest.mark.parametrize(
        ("reason", "status"),
        [
            (FinishReason.STOP, RunStatus.FINISHED),
            (FinishReason.LENGTH, RunStatus.FINISHED),
            (FinishReason.CANCELLED, RunStatus.CANCELLED),
        ],
    )
    async def test_of_an_end(self, reason: FinishReason, status: RunStatus) -> None:
        run = make_run()
        run.append(started())
        run.append(finished(run, reason))

        state = run.state()

        assert (state.status, state.finish_reason, state.usage) == (status, reason, USAGE)
        assert state.last_seq == 1

    async def test_of_a_failure_holds_the_problem_as_the_event_does(self) -> None:
        run = make_run()
        run.append(started())
        run.fail(PROBLEM, "answer")

        state = run.state()

        event = json.loads(whole_log(run)[-1])
        assert state.status is RunStatus.FAILED
        assert state.error is not None
        assert event["error"] == {
            "type": "/problems/validation-error",
            "title": "The request is not valid",
            "status": 422,
            "detail": "wrong",
            "request_id": "request",
            "errors": [{"pointer": "#/model", "detail": "is wrong"}],
            "retry_after": 1.5,
        }

    async def test_the_time_to_the_first_text_is_kept(self) -> None:
        run = make_run()
        run.append(started())
        await asyncio.sleep(2)
        without_text = run.timing()
        run.append(Delta("", "Well"))
        await asyncio.sleep(3)
        run.append(Delta("a"))

        assert without_text.time_to_first_token is None
        assert run.timing().time_to_first_token == 2
        assert run.timing().total_time == 5
