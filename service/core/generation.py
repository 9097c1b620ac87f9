"""How does a run come about? From a plan to the terminal event, whatever happens on the way."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress

from attrs import define, evolve, frozen

from service.core.checkpoints import Checkpoints
from service.core.context import typical_tokens
from service.core.conversation import MILLI, Answer, AnswerStatus, FinishReason, Usage
from service.core.errors import Kind, Problem, ServiceError
from service.core.events import Delta, Ending, Finished, Started, Timing
from service.core.plan import Plan, Stamps
from service.core.ports import ConversationStore, LanguageModel, Observer, Quotas
from service.core.pricing import cost_of, nanodollars_of
from service.core.quota import Admission
from service.core.run import Run, Stop
from service.core.runs import Runs

Planning = Callable[[Run], Awaitable[Plan]]

FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.05, 2.0
"""Between attempts to store an ended answer."""
LEAST_PATIENCE_SECONDS = 5.0
"""For storing it, also where `store_patience_seconds` would not do for one attempt."""
RELEASE_SECONDS = 1.0
"""That a refusal waits at most for the store to give up a claim."""

DEFECT = Problem(Kind.INTERNAL_ERROR, "the server has a defect; it was logged")


@frozen
class GenerationLimits:
    """Seconds that a run and its last write may take."""

    run_seconds: float
    store_patience_seconds: float


class Generator:
    """Drives runs.

    The driver of a run is never cancelled: it owns the task that asks the model, which is, and
    turns whatever became of that into the one terminal event.
    """

    def __init__(
        self,
        *,
        model: LanguageModel,
        store: ConversationStore,
        runs: Runs,
        quotas: Quotas,
        observer: Observer,
        stamps: Stamps,
        limits: GenerationLimits,
    ) -> None:
        self._model = model
        self._store = store
        self._runs = runs
        self._quotas = quotas
        self._observer = observer
        self._stamps = stamps
        self._limits = limits
        self.checkpoints = Checkpoints(store, observer)

    async def drive(self, run: Run, planning: Planning) -> None:
        """Take a claimed run to its end."""
        job = _Job(run, planning)
        generation = asyncio.create_task(self._generate(job))
        run.stoppable_by(generation.cancel)
        loop = asyncio.get_running_loop()
        limit = loop.call_later(self._limits.run_seconds, run.stop, Stop.TOO_LONG)
        await asyncio.wait({generation})
        limit.cancel()
        outcome = self._outcome(run, generation)
        _take_stock(job, outcome)
        await self._settle(job)
        outcome = await self._kept(job, outcome)
        try:
            self._end(job, outcome)
        finally:
            if run.origin.conversation_id is not None:
                self._runs.release(run.origin.owner, run.origin.conversation_id)
        self._observer.run_ended(run)
        await self._count_unsaved(job)  # which no reader waits for

    # The part that may be cancelled.

    async def _generate(self, job: "_Job") -> Ending | Problem:
        run = job.run
        try:
            plan = await self._prepared(job)
            async with self._model.answer(plan.prompt) as parts:
                await _uninterrupted(self._begin(run, plan))
                async for part in parts:
                    if isinstance(part, Delta):
                        run.append(part)
                    elif isinstance(part, Usage):
                        run.usage = part
                    else:
                        return part
        except ServiceError as exc:
            # The task would keep it, and through its frames the prompt and what was read; and they
            # lead back to the task, so that all of it stayed until a search for cycles.
            return exc.problem
        return Problem(Kind.UPSTREAM_ERROR, "the answer broke off before its end")

    async def _prepared(self, job: "_Job") -> Plan:
        await self._admit(job)  # before anything is read: who is refused shall cost little
        job.plan = plan = await job.planning(job.run)
        job.run.model = plan.prompt.model.id
        job.run.prepared()
        return plan

    async def _admit(self, job: "_Job") -> None:
        """Count the run among its owner's; raises where there is a limit, and it is reached."""
        if admission := await self._quotas.admit(job.run.origin.owner):
            job.admission = admission
            job.run.quota = admission.quota

    async def _begin(self, run: Run, plan: Plan) -> None:
        owner, conversation_id = run.origin.owner, run.origin.conversation_id
        if conversation_id is not None:
            await self._store.begin(plan.beginning(owner, conversation_id, run.run_id))
            self.checkpoints.add(run, plan.answer.message_id)
        run.append(
            Started(
                run_id=run.run_id,
                conversation_id=conversation_id,
                user_message_id=plan.answer.parent_message_id,
                message_id=plan.answer.message_id,
                model=plan.prompt.model.id,
                created_at=run.origin.created_at,
                dropped_messages=plan.dropped,
                ignored_parameters=plan.ignored,
                simulated=self._model.simulated,
            )
        )

    # The part that may not.

    def _outcome(self, run: Run, generation: "asyncio.Task[Ending | Problem]") -> Ending | Problem:
        try:
            return generation.result()
        except asyncio.CancelledError:  # of the generation: nobody cancels its driver
            return self._stopped(run.stopped_by)
        except BaseException as error:  # noqa: BLE001  # the log needs an end
            self._observer.defect(run, error)
            return DEFECT

    def _stopped(self, reason: Stop | None) -> Ending | Problem:
        match reason:
            case Stop.CANCELLED | Stop.ABANDONED:
                return Ending(FinishReason.CANCELLED, None)
            case Stop.TOO_LONG:
                seconds = self._limits.run_seconds
                return Problem(
                    Kind.UPSTREAM_TIMEOUT, f"the answer was not done after {seconds:g} seconds"
                )
            case Stop.INTERRUPTED | None:
                return Problem(
                    Kind.INTERRUPTED, "the server stopped before the answer was done; ask again"
                )

    async def _settle(self, job: "_Job") -> None:
        """Count what a run has used; one that did not start counts no more."""
        run, plan, admission = job.run, job.plan, job.admission
        if admission is None:
            return
        try:
            if run.started is None or plan is None:
                run.quota = None
                await self._quotas.give_back(admission)
            else:
                run.quota = await self._quotas.spend(admission, _tokens(run, plan))
        except Exception as exc:  # noqa: BLE001  # the run has to end, whatever the count is
            self._observer.defect(run, exc)

    async def _kept(self, job: "_Job", outcome: Ending | Problem) -> Ending | Problem:
        """Store the answer whole before the log ends: who sees the end finds the message.

        How the run ends, where the answer could not be stored.
        """
        run, plan, conversation_id = job.run, job.plan, job.run.origin.conversation_id
        if conversation_id is None:
            return outcome
        if run.started is None or plan is None:
            await self._release(run, conversation_id)
            return outcome
        self.checkpoints.remove(run)
        try:
            answer = _ended_answer(job, plan, outcome)
            return await self._keep(conversation_id, answer) or outcome
        except Exception as exc:  # noqa: BLE001  # a log without an end would leave its readers waiting for ever
            self._observer.defect(run, exc)
            return DEFECT

    async def _release(self, run: Run, conversation_id: str) -> None:
        """Give up the claim before the refusal is told: who asks again at once is let in."""
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._store.release(conversation_id, run.run_id)
        except Exception as exc:  # noqa: BLE001  # the run has to end, whatever the store does
            self._observer.store_failed("release", exc)

    def _end(self, job: "_Job", outcome: Ending | Problem) -> None:
        run, plan = job.run, job.plan
        if run.started is None or plan is None:
            self._end_unbegun(job, outcome)
            return
        run.ended_at = self._stamps.now()
        if isinstance(outcome, Ending):
            run.append(_finished(job, outcome, plan.answer.message_id))
        else:
            saved = run.origin.conversation_id is not None
            run.fail(outcome, plan.answer.message_id if saved else None)
        self._runs.ended(run)

    def _end_unbegun(self, job: "_Job", outcome: Ending | Problem) -> None:
        """End a run that stored nothing: refused, or cancelled before Groq had accepted it."""
        run = job.run
        run.ended_at = self._stamps.now()
        if isinstance(outcome, Ending):
            run.append(_finished(job, outcome, None))
        else:
            run.fail(outcome, None)
            if not run.origin.detached:
                self._runs.free_key(run)
        if job.plan or isinstance(outcome, Ending):
            self._runs.ended(run)
        else:  # refused before anybody heard of it
            self._runs.discard(run)

    async def _keep(self, conversation_id: str, answer: Answer) -> Problem | None:
        """Store an answer; a store that cannot is tried again for a while.

        The problem, where it could not be stored.
        """
        failure = Problem(Kind.STORE_UNAVAILABLE, "the answer could not be stored", retry_after=1)
        delay = FIRST_DELAY_SECONDS
        patience = max(self._limits.store_patience_seconds, LEAST_PATIENCE_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while True:
                    try:
                        await self._store.finish(conversation_id, answer, self._stamps.now())
                    except ServiceError as exc:
                        failure = exc.problem
                        self._observer.store_failed("finish", exc)
                        await asyncio.sleep(delay)
                        delay = min(2 * delay, LONGEST_DELAY_SECONDS)
                    else:
                        return None
        self.checkpoints.leave(conversation_id, answer, self._stamps.now())
        return failure

    async def _count_unsaved(self, job: "_Job") -> None:
        """Count what an answer cost that is not saved; nothing of what was said is stored."""
        run, plan = job.run, job.plan
        if run.started is None or plan is None or run.origin.conversation_id is not None:
            return
        owner, answer = run.origin.owner, _with_cost(job, plan.answer)
        try:
            async with asyncio.timeout(LEAST_PATIENCE_SECONDS):
                await self._store.record(owner, answer)
        except (ServiceError, TimeoutError) as exc:
            self._observer.store_failed("record", exc)
            self.checkpoints.leave_uncounted(owner, answer)
        except Exception as exc:  # noqa: BLE001  # the run has ended well all the same
            self._observer.defect(run, exc)


@define
class _Job:
    """A run, and its plan once there is one."""

    run: Run
    planning: Planning
    plan: Plan | None = None
    admission: Admission | None = None
    """Where the owner has limits."""
    timing: Timing | None = None
    """Once the answer has ended."""


def _take_stock(job: _Job, outcome: Ending | Problem) -> None:
    """What the answer took, before it is stored and told: both say the same."""
    run = job.run
    job.timing = run.timing()
    if isinstance(outcome, Ending) and outcome.usage:
        run.usage = outcome.usage
    if job.plan:
        run.cost = cost_of(run.usage, job.plan.prompt.model.pricing)


def _tokens(run: Run, plan: Plan) -> int:
    """What Groq says, else a low estimate: who cancels before the end is told has used as much."""
    if run.usage:
        return run.usage.total_tokens
    asked = (turn.content for turn in plan.prompt.turns)
    return typical_tokens(*asked, run.content.whole(), run.reasoning.whole())


def _with_cost(job: _Job, answer: Answer) -> Answer:
    assert job.timing
    assert job.plan
    return evolve(
        answer,
        usage=job.run.usage,
        milliseconds=round(job.timing.total_time * MILLI),
        nanodollars=nanodollars_of(job.run.usage, job.plan.prompt.model.pricing),
    )


def _ended_answer(job: _Job, plan: Plan, outcome: Ending | Problem) -> Answer:
    run = job.run
    whole = isinstance(outcome, Ending) and outcome.finish_reason is not FinishReason.CANCELLED
    return evolve(
        _with_cost(job, plan.answer),
        content=run.content.whole(),
        reasoning=run.reasoning.whole() or None,
        status=AnswerStatus.COMPLETE if whole else AnswerStatus.PARTIAL,
        finish_reason=outcome.finish_reason if isinstance(outcome, Ending) else None,
    )


def _finished(job: _Job, ending: Ending, message_id: str | None) -> Finished:
    run = job.run
    assert job.timing
    content = run.content.whole().encode()
    return Finished(
        finish_reason=ending.finish_reason,
        usage=run.usage,
        cost=run.cost,
        timing=job.timing,
        message_id=message_id,
        content_length=len(content),
        content_sha256=hashlib.sha256(content).hexdigest(),
    )


async def _uninterrupted(work: Awaitable[None]) -> None:
    """Await something to its end also when cancelled meanwhile; the cancellation comes after."""
    task = asyncio.ensure_future(work)
    interrupted: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except (
            asyncio.CancelledError
        ) as exc:  # by a client, by a deadline, or by one after the other
            interrupted = exc
    task.result()
    if interrupted:
        raise interrupted
