import asyncio

import pytest
from attrs import define, frozen
from hypothesis import given
from hypothesis import strategies as st

from clock import play
from service.core.errors import Kind, Problem, ServiceError
from service.core.run import Origin, Run
from service.core.runs import EXPIRED_SECONDS, MOST_EXPIRED, RunLimits, Runs

RETENTION = 300.0
ANN, BOB = "ann", "bob"
PROBLEM = Problem(Kind.UPSTREAM_ERROR, "x")


def make_runs(*, active: int = 1000, retention_bytes: int = 1 << 28) -> Runs:
    return Runs(RunLimits(active, RETENTION, retention_bytes))


def make_run(run_id: str, conversation_id: str | None = None, owner: str = ANN) -> Run:
    origin = Origin(owner, run_id, conversation_id, "now", "request", False, False)
    return Run(origin, 10)


def add(
    runs: Runs, run_id: str, key: str | None = None, mark: bytes = b"", owner: str = ANN
) -> Run:
    run = make_run(run_id, f"of-{run_id}", owner)
    runs.add(run, key, mark)
    return run


def end(runs: Runs, run: Run, *, detail_bytes: int = 0) -> None:
    run.fail(Problem(Kind.UPSTREAM_ERROR, "x" * detail_bytes), None)
    runs.ended(run)


def answer_to(runs: Runs, run_id: str, owner: str = ANN) -> str:
    """What a look-up comes to: `run`, or the slug of the problem."""
    try:
        return "run" if runs.get(owner, run_id).run_id == run_id else "another run"
    except ServiceError as exc:
        return exc.problem.kind.slug


class TestLookUp:
    async def test_finds_a_run_from_its_claim_to_its_end_and_beyond(self) -> None:
        runs = make_runs()
        run = add(runs, "1")
        at_first = runs.get(ANN, "1")
        end(runs, run)

        assert at_first is runs.get(ANN, "1") is run

    async def test_an_id_that_was_never_given_is_not_found(self) -> None:
        assert answer_to(make_runs(), "1") == "run-not-found"

    async def test_a_discarded_run_was_never_there(self) -> None:
        runs = make_runs()
        run = add(runs, "1", key="key")
        runs.discard(run)

        assert answer_to(runs, "1") == "run-not-found"
        assert runs.started_by(ANN, "key", b"") is None
        assert runs.active_count == 0

    async def test_counts_only_what_is_active(self) -> None:
        runs = make_runs()
        first, second = add(runs, "1"), add(runs, "2")
        end(runs, first)

        assert runs.active_count == 1
        assert list(runs.active()) == [second]

    async def test_counts_conversations_with_a_run_in_memory_once(self) -> None:
        runs = make_runs()
        for run_id, conversation_id in [("1", "a"), ("2", "a"), ("3", "b"), ("4", None)]:
            runs.add(make_run(run_id, conversation_id), None, b"")
        end(runs, runs.get(ANN, "1"))

        assert runs.conversation_count == 2

    async def test_runs_may_end_while_the_active_ones_are_gone_through(self) -> None:
        runs = make_runs()
        for run_id in "123":
            add(runs, run_id)

        for run in runs.active():
            end(runs, run)

        assert runs.active_count == 0

    async def test_what_belongs_to_another_was_never_there(self) -> None:
        runs = make_runs()
        run = add(runs, "1", owner=BOB)
        while_active = answer_to(runs, "1", ANN)
        end(runs, run)
        while_kept = answer_to(runs, "1", ANN)
        await asyncio.sleep(RETENTION + 1)

        assert {while_active, while_kept, answer_to(runs, "1", ANN)} == {"run-not-found"}
        assert answer_to(runs, "1", BOB) == "run-expired"
        assert answer_to(runs, "1", "") == "run-not-found"


class TestRetention:
    async def test_a_log_is_readable_for_so_long_then_expired_then_unknown(self) -> None:
        runs = make_runs()
        end(runs, add(runs, "1"))

        await asyncio.sleep(RETENTION - 1)
        kept = answer_to(runs, "1")
        await asyncio.sleep(2)
        expired = answer_to(runs, "1")
        await asyncio.sleep(EXPIRED_SECONDS - 2)
        still_expired = answer_to(runs, "1")
        await asyncio.sleep(3)

        assert (kept, expired, still_expired) == ("run", "run-expired", "run-expired")
        assert answer_to(runs, "1") == "run-not-found"

    async def test_a_run_that_is_active_is_never_forgotten(self) -> None:
        runs = make_runs(retention_bytes=0)
        add(runs, "1")
        await asyncio.sleep(10 * RETENTION)

        assert answer_to(runs, "1") == "run"

    async def test_the_oldest_go_first_when_there_are_too_many_bytes(self) -> None:
        runs = make_runs(retention_bytes=10_000)
        for run_id in "123":
            end(runs, add(runs, run_id), detail_bytes=4_000)

        assert [answer_to(runs, run_id) for run_id in "123"] == ["run-expired", "run", "run"]

    async def test_a_log_larger_than_all_that_may_be_kept_goes_at_once(self) -> None:
        runs = make_runs(retention_bytes=10_000)
        end(runs, add(runs, "1"), detail_bytes=20_000)

        assert answer_to(runs, "1") == "run-expired"

    async def test_no_more_ids_are_remembered_than_the_limit(self) -> None:
        runs = make_runs(retention_bytes=0)
        run = make_run("0")
        run.fail(PROBLEM, None)
        for number in range(MOST_EXPIRED + 2):
            run.run_id = str(number)
            runs.add(run, None, b"")
            runs.ended(run)

        assert answer_to(runs, "0") == "run-not-found"
        assert answer_to(runs, "1") == "run-not-found"
        assert answer_to(runs, "2") == "run-expired"


class TestIdempotency:
    async def test_a_key_leads_to_the_run_that_it_started(self) -> None:
        runs = make_runs()
        run = add(runs, "1", key="key", mark=b"body")

        assert runs.started_by(ANN, "key", b"body") is run
        assert runs.started_by(ANN, "other", b"body") is None
        assert runs.started_by(ANN, None, b"body") is None

    async def test_with_another_body_it_is_a_conflict(self) -> None:
        runs = make_runs()
        add(runs, "1", key="key", mark=b"body")

        with pytest.raises(ServiceError) as raised:
            runs.started_by(ANN, "key", b"another")
        assert raised.value.problem.kind is Kind.IDEMPOTENCY_CONFLICT

    async def test_it_lives_as_long_as_the_log_of_its_run(self) -> None:
        runs = make_runs()
        run = add(runs, "1", key="key", mark=b"body")
        end(runs, run)
        await asyncio.sleep(RETENTION - 1)
        kept = runs.started_by(ANN, "key", b"body")
        await asyncio.sleep(2)

        assert kept is run
        assert runs.started_by(ANN, "key", b"body") is None
        assert runs.started_by(ANN, "key", b"another") is None

    async def test_a_freed_key_starts_anew_and_stays_with_the_new_run(self) -> None:
        runs = make_runs()
        refused = add(runs, "1", key="key", mark=b"body")
        runs.free_key(refused)
        run = add(runs, "2", key="key", mark=b"another")
        runs.free_key(refused)
        end(runs, refused)
        await asyncio.sleep(RETENTION + 1)

        assert runs.started_by(ANN, "key", b"another") is run

    async def test_each_owner_has_keys_of_their_own(self) -> None:
        runs = make_runs()
        of_bob = add(runs, "1", key="key", mark=b"body", owner=BOB)
        before = runs.started_by(ANN, "key", b"another")
        of_ann = add(runs, "2", key="key", mark=b"another")

        assert before is None
        assert runs.started_by(ANN, "key", b"another") is of_ann
        assert runs.started_by(BOB, "key", b"body") is of_bob

    async def test_freeing_the_key_of_one_owner_leaves_the_other_theirs(self) -> None:
        runs = make_runs()
        of_bob = add(runs, "1", key="key", owner=BOB)
        runs.free_key(add(runs, "2", key="key"))

        assert runs.started_by(ANN, "key", b"") is None
        assert runs.started_by(BOB, "key", b"") is of_bob


class TestClaims:
    async def test_a_conversation_has_one_run_at_a_time(self) -> None:
        runs = make_runs()
        runs.claim(ANN, "conversation", "1")

        with pytest.raises(ServiceError) as raised:
            runs.claim(ANN, "conversation", "2")
        assert raised.value.problem.kind is Kind.CONVERSATION_BUSY
        assert runs.running_in(ANN, "conversation") == "1"

    async def test_what_was_released_may_be_claimed_again(self) -> None:
        runs = make_runs()
        runs.claim(ANN, "conversation", "1")
        runs.release(ANN, "conversation")
        runs.claim(ANN, "conversation", "2")

        assert runs.running_in(ANN, "conversation") == "2"
        assert runs.running_in(ANN, "another") is None

    async def test_a_claim_says_nothing_to_another_owner(self) -> None:
        runs = make_runs()
        runs.claim(ANN, "conversation", "1")
        seen = runs.running_in(BOB, "conversation")
        runs.claim(BOB, "conversation", "2")
        runs.release(BOB, "conversation")

        assert seen is None
        assert runs.running_in(ANN, "conversation") == "1"
        assert runs.running_in(BOB, "conversation") is None

    async def test_what_is_being_removed_is_gone_for_its_owner(self) -> None:
        runs = make_runs()
        runs.claim(ANN, "conversation", None)

        with pytest.raises(ServiceError) as raised:
            runs.claim(ANN, "conversation", "1")
        assert raised.value.problem.kind is Kind.CONVERSATION_NOT_FOUND
        runs.claim(BOB, "conversation", "2")


class TestRoom:
    async def test_there_is_room_until_the_limit(self) -> None:
        runs = make_runs(active=2)
        first = add(runs, "1")
        runs.check_room("")
        add(runs, "2")

        with pytest.raises(ServiceError) as raised:
            runs.check_room("")
        assert raised.value.problem.kind is Kind.OVERLOADED
        assert raised.value.problem.retry_after == 1

        end(runs, first)
        runs.check_room("")


@define
class Known:
    """What a naive bookkeeper knows of one run."""

    run: Run
    key: str | None
    ended: float | None = None

    @property
    def owner(self) -> str:
        return self.run.origin.owner


class NaiveRuns:
    """What the runs should say, by going through a list."""

    def __init__(self, retention_bytes: int) -> None:
        self.all: list[Known] = []
        self.forgotten: dict[tuple[str, str], float] = {}
        self._retention_bytes = retention_bytes

    def sweep(self, now: float) -> None:
        kept = sorted((k for k in self.all if k.ended is not None), key=lambda k: k.ended or 0)
        for known in kept:
            assert known.ended is not None
            size = sum(k.run.size for k in self.all if k.ended is not None)
            if now >= known.ended + RETENTION or size > self._retention_bytes:
                self.all.remove(known)
                self.forgotten[known.owner, known.run.run_id] = now

    def answer(self, owner: str, run_id: str, now: float) -> str:
        if any((known.owner, known.run.run_id) == (owner, run_id) for known in self.all):
            return "run"
        forgotten = self.forgotten.get((owner, run_id))
        expired = forgotten is not None and now < forgotten + EXPIRED_SECONDS
        return "run-expired" if expired else "run-not-found"

    def active(self) -> list[Known]:
        return [known for known in self.all if known.ended is None]

    def of_key(self, owner: str, key: str) -> Run | None:
        places = ((known.owner, known.key, known.run) for known in self.all)
        return next((run for *place, run in places if place == [owner, key]), None)


@frozen
class Add:
    owner: str
    key: str | None


@frozen
class End:
    bytes: int


@frozen
class Wait:
    seconds: float


Action = Add | End | Wait
actions = st.lists(
    st.builds(Add, st.sampled_from([ANN, BOB]), st.none() | st.sampled_from("abc"))
    | st.builds(End, st.integers(0, 3_000))
    | st.builds(Wait, st.sampled_from([1, 100, RETENTION, EXPIRED_SECONDS / 2])),
    max_size=20,
)


class TestWhateverHappens:
    @given(actions, st.sampled_from([0, 5_000, 1 << 28]))
    def test_look_ups_say_what_a_naive_list_says(
        self, actions: list[Action], retention_bytes: int
    ) -> None:
        async def happen() -> None:
            runs, naive = make_runs(retention_bytes=retention_bytes), NaiveRuns(retention_bytes)
            for number, action in enumerate(actions):
                await act(action, str(number), runs, naive)
                runs.sweep()
                now = asyncio.get_running_loop().time()
                naive.sweep(now)

                ids = [str(n) for n in range(len(actions))]
                for owner in (ANN, BOB):
                    said = [answer_to(runs, run_id, owner) for run_id in ids]
                    assert said == [naive.answer(owner, run_id, now) for run_id in ids]
                    started = [runs.started_by(owner, key, b"") for key in "abc"]
                    assert started == [naive.of_key(owner, key) for key in "abc"]
                assert runs.active_count == len(naive.active())

        play(happen())


async def act(action: Action, run_id: str, runs: Runs, naive: NaiveRuns) -> None:
    match action:
        case Add(owner, key):
            key = None if key and naive.of_key(owner, key) else key
            naive.all.append(Known(add(runs, run_id, key, owner=owner), key))
        case End(size) if naive.active():
            known = naive.active()[0]
            known.ended = asyncio.get_running_loop().time()
            end(runs, known.run, detail_bytes=size)
        case Wait(seconds):
            await asyncio.sleep(seconds)
        case End():
            pass
