"""Whose turn is it to ask a model? First come, first served, as far as Groq's limits let it."""

import asyncio
import math
from collections import deque

from attrs import field, frozen

from service.core.errors import Kind, ServiceError
from service.groq.quota import LONGEST_BELIEVED_SECONDS, Quota, Quotas

LEAST_WAIT_SECONDS = 0.001
"""So that roundings of a clock make no busy loop."""
PACE_SECONDS = 1.0
"""When to come back where only answers to others can make room."""


@frozen
class Turn:
    """Who may ask now; `number` counts them."""

    number: int
    tokens: int


@frozen(eq=False)
class _Place:
    """In the queue."""

    tokens: int
    latest: float
    """Until when it is waited, by the clock of the loop."""
    turn: "asyncio.Future[Turn | float]" = field(
        factory=lambda: asyncio.get_running_loop().create_future()
    )
    """Or the seconds after which one may come back."""


class Gate:
    """The turns at one model. Nothing here changes across an await.

    What was let through and has not been answered counts as used: what Groq says is left may not
    know of it yet. So not everybody runs off when a limit resets.
    """

    def __init__(self) -> None:
        self._requests: Quota | None = None
        self._tokens: Quota | None = None
        self._told_by = 0
        self._held_until = 0.0
        self._most_asking = math.inf
        self._turns = 0
        self._asking = 0
        self._asking_tokens = 0
        self._waiting: deque[_Place] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, tokens: int, patience_seconds: float) -> Turn:
        """Wait for a turn, which is to be given back to `leave`.

        Raises `ServiceError(UPSTREAM_RATE_LIMITED)` when the wait is, or becomes, too long.
        """
        if self._tokens and tokens > self._tokens.limit:
            tokens = 0  # it can never fit, and nobody shall wait behind it: Groq refuses it
        now = asyncio.get_running_loop().time()
        if not self._waiting and not self._seconds(1, tokens, now, asking=True):
            return self._admitted(tokens)
        ahead = sum(place.tokens for place in self._waiting)
        seconds = self._seconds(len(self._waiting) + 1, ahead + tokens, now, asking=False)
        if seconds > patience_seconds:
            raise _refused(seconds)
        return await self._queued(_Place(tokens, now + patience_seconds))

    def leave(self, turn: Turn) -> None:
        """Groq has answered, or will not: what it said, if anything, was told before."""
        self._asking -= 1
        self._asking_tokens -= turn.tokens
        self._wake()

    def told(self, turn: Turn, quotas: Quotas, *, taken: bool) -> None:
        """Groq has said what is left, when it took a request or refused it."""
        if taken:
            self._most_asking += 1
        if turn.number < self._told_by:
            return  # it was asked before what is known already, and is answered late
        self._told_by = turn.number
        self._requests = quotas.requests or self._requests
        self._tokens = quotas.tokens or self._tokens

    def hold(self, seconds: float) -> None:
        """Groq takes no request for so long; how many it takes then is not known.

        So one asks first, and with every one that is taken one more at once.
        """
        now = asyncio.get_running_loop().time()
        self._held_until = now + min(seconds, LONGEST_BELIEVED_SECONDS)
        self._most_asking = 1

    async def _queued(self, place: _Place) -> Turn:
        self._waiting.append(place)
        self._wake()
        try:
            turn = await place.turn
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
                self._wake()
            elif not place.turn.cancelled() and isinstance(turn := place.turn.result(), Turn):
                self.leave(turn)  # it had come just then
            raise
        if isinstance(turn, Turn):
            return turn
        raise _refused(turn)

    def _wake(self) -> None:
        """Give turns to those in front, and come back when the next one may be due."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._waiting:
            place = self._waiting[0]
            seconds = self._seconds(1, place.tokens, now, asking=True)
            if seconds and now + self._seconds(1, place.tokens, now, asking=False) < place.latest:
                due = min(now + max(seconds, LEAST_WAIT_SECONDS), place.latest)
                self._timer = loop.call_at(due, self._wake)
                return
            self._waiting.popleft()
            if not place.turn.done():  # else it was cancelled, and will hear of it
                place.turn.set_result(seconds or self._admitted(place.tokens))

    def _admitted(self, tokens: int) -> Turn:
        self._turns += 1
        self._asking += 1
        self._asking_tokens += tokens
        return Turn(self._turns, tokens)

    def _seconds(self, requests: int, tokens: int, now: float, *, asking: bool) -> float:
        """Until so much may be asked for; `asking`: besides what is being asked already."""
        seconds = max(0.0, self._held_until - now)
        if asking:
            requests += self._asking
            tokens += self._asking_tokens
            if self._asking >= self._most_asking:
                seconds = max(seconds, PACE_SECONDS)
        if self._requests:
            seconds = max(seconds, self._requests.seconds_until(requests, now))
        if self._tokens and tokens:
            seconds = max(seconds, self._tokens.seconds_until(tokens, now))
        return seconds


def _refused(seconds: float) -> ServiceError:
    return ServiceError(
        Kind.UPSTREAM_RATE_LIMITED,
        "Groq's limits for this model are used up; other requests come first",
        retry_after=max(round(seconds, 3), LEAST_WAIT_SECONDS),
    )
