"""How is a run followed? A log of events with one writer and any number of readers."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, IntEnum, StrEnum

from attrs import frozen
from msgspec import UNSET, Struct

from service.core.conversation import FinishReason, Usage
from service.core.errors import Problem, ServiceError
from service.core.events import (
    Delta,
    Event,
    Failed,
    Finished,
    ProblemBody,
    Started,
    Timing,
    encode,
    problem_body,
)
from service.core.gaps import Gaps
from service.core.quota import Quota

WRITE_LIMIT = 64 * 1024
"""Bytes that a reader is given at once, unless one event alone has more."""
FRAME_OVERHEAD = 64
"""Bytes that a transport may put around an event."""

START = -1
"""The cursor of a reader that has nothing yet."""


class Stage(IntEnum):
    """How far a run has come."""

    CLAIMED = 0
    PREPARED = 1
    """Whatever this service can refuse was not refused; Groq is being asked."""
    ANSWERED = 2
    """Groq has accepted: the log has begun."""


class RunStatus(StrEnum):
    """What a client is told of a run's state."""

    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Stop(Enum):
    """Why a generation was stopped from outside."""

    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    """By its last reader, where `on_disconnect` is `cancel`."""
    INTERRUPTED = "interrupted"
    """By a server that stops, or that has lost its claim of the conversation."""
    TOO_LONG = "too_long"


@frozen
class Origin:
    """Where a run came from, and what becomes of it without readers."""

    owner: str
    run_id: str
    conversation_id: str | None
    """None when nothing is saved."""
    created_at: str
    request_id: str
    cancel_when_left: bool
    detached: bool
    """Begun by a request that does not read it."""


class RunState(Struct, frozen=True, kw_only=True):
    """A run as a client may ask for it."""

    run_id: str
    status: RunStatus
    model: str | None
    conversation_id: str | None
    message_id: str | None
    content: str
    reasoning: str
    finish_reason: FinishReason | None
    usage: Usage | None
    cost: float | None
    """US dollars."""
    timing: Timing | None
    error: ProblemBody | None
    last_seq: int
    """-1 while the log is empty."""
    created_at: str
    ended_at: str | None


class Text:
    """Text that grows by pieces; read whole from time to time."""

    __slots__ = ("_pieces", "add")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.add = self._pieces.append
        """Add a piece to the end."""

    def whole(self) -> str:
        """All of it."""
        if len(self._pieces) > 1:
            self._pieces[:] = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""


class Run:
    """One generation: its log, its readers, and how it is stopped.

    All of it changes between awaits of one event loop, never across one.
    """

    def __init__(self, origin: Origin, grace_seconds: float) -> None:
        self.origin = origin
        self.run_id = origin.run_id
        self.model: str | None = None
        self.began = asyncio.get_running_loop().time()
        self.first_text_at: float | None = None
        self.gaps = Gaps()
        self.stage = Stage.CLAIMED
        self.failure: Problem | None = None
        self.started: Started | None = None
        self.ending: Finished | Failed | None = None
        self.ended_at: str | None = None
        self.stopped_by: Stop | None = None
        self.quota: Quota | None = None
        """What its owner had left when the run was last counted; None where it does not count."""
        self.usage: Usage | None = None
        """As far as Groq has told."""
        self.cost: float | None = None
        """US dollars, once the answer has ended; None where they are not known."""
        self.content = Text()
        self.reasoning = Text()
        self.size = 0
        """Bytes of the log, roughly as they lie in memory."""
        self._log: list[bytes] = []
        self._followers: tuple[Callable[[], None], ...] = ()
        self._readers = 0
        self._grace_seconds = grace_seconds
        self._grace: asyncio.TimerHandle | None = None
        self._stop_generation: Callable[[], object] | None = None

    # What is so.

    @property
    def done(self) -> bool:
        """Whether the terminal event is in the log."""
        return self.ending is not None

    @property
    def last_seq(self) -> int:
        """The number of the newest event, -1 while there is none."""
        return len(self._log) - 1

    @property
    def reader_count(self) -> int:
        """Who reads now, or waits for the end."""
        return self._readers

    @property
    def status(self) -> RunStatus:
        """What a client is told."""
        match self.ending:
            case None:
                return RunStatus.RUNNING
            case Failed():
                return RunStatus.FAILED
            case Finished(finish_reason=FinishReason.CANCELLED):
                return RunStatus.CANCELLED
            case Finished():
                return RunStatus.FINISHED

    def state(self) -> RunState:
        """The run as a client may ask for it."""
        finished = self.ending if isinstance(self.ending, Finished) else None
        return RunState(
            run_id=self.run_id,
            status=self.status,
            model=self.model,
            conversation_id=self.origin.conversation_id,
            message_id=self.started.message_id if self.started else None,
            content=self.content.whole(),
            reasoning=self.reasoning.whole(),
            finish_reason=finished.finish_reason if finished else None,
            usage=self.usage,
            cost=self.cost,
            timing=finished.timing if finished else None,
            error=self.ending.error if isinstance(self.ending, Failed) else None,
            last_seq=self.last_seq,
            created_at=self.origin.created_at,
            ended_at=self.ended_at,
        )

    def timing(self) -> Timing:
        """Seconds since the request, until the first text and until now."""
        now = asyncio.get_running_loop().time()
        first = None if self.first_text_at is None else round(self.first_text_at - self.began, 6)
        return Timing(first, round(now - self.began, 6))

    # The writer's side.

    def append(self, event: Event) -> None:
        """Add an event to the log and wake who waits for it. Nothing follows a terminal event."""
        assert self.ending is None, "the log has ended"
        payload = encode(event)
        self._log.append(payload)
        self.size += len(payload) + FRAME_OVERHEAD
        if isinstance(event, Delta):
            self.gaps.piece()
            if self.first_text_at is None and (event.content or event.reasoning):
                self.first_text_at = asyncio.get_running_loop().time()
            if event.content:
                self.content.add(event.content)
            if event.reasoning is not UNSET:
                self.reasoning.add(event.reasoning)
        else:
            self._mark(event)
        for wake in self._followers:
            wake()

    def _mark(self, event: Started | Finished | Failed) -> None:
        if isinstance(event, Started):
            self.stage = Stage.ANSWERED
            self.started = event
        else:
            if isinstance(event, Finished):
                self.usage, self.cost = event.usage, event.cost
            self.ending = event
            self._stop_generation = None  # it would keep the task, and so the prompt
            self._end_grace()

    def prepared(self) -> None:
        """Nothing more is refused here; what follows is Groq's."""
        self.stage = Stage.PREPARED
        for wake in self._followers:
            wake()

    def fail(self, problem: Problem, message_id: str | None) -> None:
        """End the log with a problem; before `started` it is a refusal."""
        self.failure = problem
        body = problem_body(problem, self.origin.request_id)
        self.append(Failed(error=body, message_id=message_id))

    # Stopping.

    def stoppable_by(self, stop_generation: Callable[[], object]) -> None:
        """Name what ends the generation; it is called at once if `stop` came earlier."""
        self._stop_generation = stop_generation
        if self.stopped_by:
            stop_generation()

    def stop(self, reason: Stop) -> None:
        """End the generation; the first reason counts, and none once the run is done."""
        if self.done or self.stopped_by:
            return
        self.stopped_by = reason
        if self._stop_generation:
            self._stop_generation()

    # The readers' side.

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count as a reader."""
        self._readers += 1
        self._end_grace()
        try:
            yield
        finally:
            self._readers -= 1
            self.left()

    def left(self) -> None:
        """Begin the time of grace where no reader is left and the run shall not go on alone."""
        if self._readers or self.done or self._grace or not self.origin.cancel_when_left:
            return
        loop = asyncio.get_running_loop()
        self._grace = loop.call_later(self._grace_seconds, self.stop, Stop.ABANDONED)

    def _end_grace(self) -> None:
        if self._grace:
            self._grace.cancel()
            self._grace = None

    def after(self, seq: int) -> Sequence[bytes]:
        """Encoded events after a cursor, up to `WRITE_LIMIT` bytes or one event; maybe none."""
        log, first = self._log, seq + 1
        if len(log) - first > 1:
            size = 0
            for end in range(first, len(log)):
                size += len(log[end]) + FRAME_OVERHEAD
                if size > WRITE_LIMIT and end > first:
                    return log[first:end]
        return log[first:]

    @contextmanager
    def following(self, wake: Callable[[], None]) -> Iterator[None]:
        """Have `wake` called, from within the writer's step, when something happened."""
        self._followers = (*self._followers, wake)
        try:
            yield
        finally:
            self._followers = tuple(w for w in self._followers if w is not wake)

    async def reached(self, stage: Stage) -> None:
        """Wait until the run has come so far, or has ended; raises what it was refused with."""
        await self._until(lambda: self.stage >= stage or self.done)
        if self.failure and self.stage < stage:
            raise ServiceError.of(self.failure)

    async def wait_done(self) -> None:
        """Wait for the terminal event."""
        await self._until(lambda: self.done)

    async def _until(self, reached: Callable[[], bool]) -> None:
        if reached():
            return
        waiter = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not waiter.done() and reached():
                waiter.set_result(None)

        with self.following(wake):
            await waiter
