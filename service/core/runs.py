"""Which runs exist? Claims of conversations, idempotency keys, and what is forgotten when."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterator

from attrs import define, frozen

from service.core.errors import Kind, ServiceError, busy
from service.core.quota import Quota
from service.core.run import Run

EXPIRED_SECONDS = 3600
"""How long a client is told that a run is expired instead of unknown."""
MOST_EXPIRED = 100_000
"""Ids remembered for that at the most."""
RETRY_SECONDS = 1
"""Until a run may have ended: nobody knows."""


@frozen
class RunLimits:
    """How many runs there may be, and how long they are kept."""

    active: int
    retention_seconds: float
    retention_bytes: int
    active_per_owner: int | None = None


@define
class _Entry:
    run: Run
    key: str | None
    fingerprint: bytes
    ended: float | None = None
    """By the loop's clock."""


@frozen
class _Expired:
    owner: str
    forgotten: float
    """By the loop's clock."""


class Runs:
    """The runs of this process. What belongs to another owner is not there.

    Relies on one event loop: nothing here awaits, so a look-up and the claim that follows it
    are one step.
    """

    def __init__(self, limits: RunLimits) -> None:
        self._limits = limits
        self._active: dict[str, _Entry] = {}
        self._active_of: Counter[str] = Counter()
        """By owner; nothing for an owner who has none."""
        self._ended: OrderedDict[str, _Entry] = OrderedDict()
        self._ended_bytes = 0
        self._expired: OrderedDict[str, _Expired] = OrderedDict()
        self._keys: dict[tuple[str, str], _Entry] = {}
        self._claims: dict[tuple[str, str], str | None] = {}

    # Look-ups.

    @property
    def active_count(self) -> int:
        """Runs without a terminal event."""
        return len(self._active)

    @property
    def reader_count(self) -> int:
        """Readers of runs without a terminal event."""
        return sum(entry.run.reader_count for entry in self._active.values())

    @property
    def conversation_count(self) -> int:
        """Conversations that have a run in memory."""
        entries = (*self._active.values(), *self._ended.values())
        return len({e.run.origin.conversation_id for e in entries} - {None})

    def active(self) -> Iterator[Run]:
        """Runs without a terminal event."""
        return (entry.run for entry in list(self._active.values()))

    def get(self, owner: str, run_id: str) -> Run:
        """A run whose log can be read; raises `run-expired` or `run-not-found`."""
        self.sweep()
        entry = self._active.get(run_id) or self._ended.get(run_id)
        if entry and entry.run.origin.owner == owner:
            return entry.run
        expired = self._expired.get(run_id)
        if expired and expired.owner == owner:
            raise ServiceError(Kind.RUN_EXPIRED, "the log of this run is no longer kept")
        raise ServiceError(Kind.RUN_NOT_FOUND, "there is no run of that id")

    def started_by(self, owner: str, key: str | None, fingerprint: bytes) -> Run | None:
        """The run that an idempotency key started; raises `idempotency-conflict`."""
        self.sweep()
        entry = self._keys.get((owner, key)) if key is not None else None
        if entry is None:
            return None
        if entry.fingerprint != fingerprint:
            raise ServiceError(
                Kind.IDEMPOTENCY_CONFLICT, "this key was used with another body; use a new key"
            )
        return entry.run

    # Claims.

    def claim(self, owner: str, conversation_id: str, run_id: str | None) -> None:
        """Take a conversation for a run, or for its removal; raises `conversation-busy`."""
        claimed = (owner, conversation_id)
        if self._claims.get(claimed, "") is None:
            raise ServiceError(Kind.CONVERSATION_NOT_FOUND, "this conversation is being removed")
        if claimed in self._claims:
            raise busy()
        self._claims[claimed] = run_id

    def release(self, owner: str, conversation_id: str) -> None:
        """Let the conversation be taken again."""
        self._claims.pop((owner, conversation_id), None)

    def running_in(self, owner: str, conversation_id: str) -> str | None:
        """The id of the run that has claimed a conversation."""
        return self._claims.get((owner, conversation_id))

    # From first to last.

    def check_room(self, owner: str) -> None:
        """Raise `overloaded` or `rate-limited` when no more runs may be active."""
        if len(self._active) >= self._limits.active:
            raise ServiceError(
                Kind.OVERLOADED,
                f"all {self._limits.active} places for runs are taken; try again",
                retry_after=RETRY_SECONDS,
            )
        allowed = self._limits.active_per_owner
        if allowed is not None and self._active_of[owner] >= allowed:
            raise ServiceError(
                Kind.RATE_LIMITED,
                f"the limit of runs at once, {allowed}, is reached; wait for one to end, or cancel",
                retry_after=RETRY_SECONDS,
                quota=Quota(allowed, 0, asyncio.get_running_loop().time() + RETRY_SECONDS),
            )

    def add(self, run: Run, key: str | None, fingerprint: bytes) -> None:
        """Make a run known; an idempotency key leads to it from now on."""
        entry = _Entry(run, key, fingerprint)
        self._active[run.run_id] = entry
        self._active_of[run.origin.owner] += 1
        if key is not None:
            self._keys[run.origin.owner, key] = entry

    def ended(self, run: Run) -> None:
        """Keep the log of a run that has its terminal event for a while."""
        entry = self._active.pop(run.run_id)
        self._leave(run.origin.owner)
        entry.ended = asyncio.get_running_loop().time()
        self._ended[run.run_id] = entry
        self._ended_bytes += run.size
        self.sweep()

    def free_key(self, run: Run) -> None:
        """Let an idempotency key be used again: its request started no run."""
        entry = self._active.get(run.run_id) or self._ended.get(run.run_id)
        if entry is None or entry.key is None:
            return
        key = (run.origin.owner, entry.key)
        if self._keys.get(key) is entry:
            del self._keys[key]

    def discard(self, run: Run) -> None:
        """Forget a run of which no client knows."""
        self.free_key(run)
        if self._active.pop(run.run_id, None):
            self._leave(run.origin.owner)

    def _leave(self, owner: str) -> None:
        self._active_of[owner] -= 1
        if not self._active_of[owner]:
            del self._active_of[owner]

    def sweep(self) -> None:
        """Forget logs that are too old, or too many bytes in all, the oldest first."""
        now = asyncio.get_running_loop().time()
        while self._ended:
            entry = next(iter(self._ended.values()))
            assert entry.ended is not None
            expired = entry.ended + self._limits.retention_seconds <= now
            if not expired and self._ended_bytes <= self._limits.retention_bytes:
                break
            self._forget(entry.run, now)
        while self._expired:
            oldest = next(iter(self._expired.values()))
            if oldest.forgotten + EXPIRED_SECONDS > now and len(self._expired) <= MOST_EXPIRED:
                break
            self._expired.popitem(last=False)

    def _forget(self, run: Run, now: float) -> None:
        self.free_key(run)
        del self._ended[run.run_id]
        self._ended_bytes -= run.size
        self._expired[run.run_id] = _Expired(run.origin.owner, now)
