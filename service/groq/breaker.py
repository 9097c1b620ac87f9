"""Is it worth asking a model? Not while Groq fails again and again: then it is left alone."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from service.core.errors import Kind, ServiceError

FAILURES = 5
"""Runs in a row that fail, each after all its attempts, until a model is left alone."""
OPEN_SECONDS = 10.0
"""For so long; then one run tries."""
PROBE_SECONDS = 1.0
"""When to come back while that one is under way."""


class State(StrEnum):
    """How a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Counts what becomes of the runs at one model. Nothing here changes across an await.

    Only failures before the answer begins count: no connection, 5xx, silence. One that breaks off
    later was taken and begun, so that the next may fare better; and it may be the doing of a single
    prompt. Any answer of Groq's, a refusal too, shows that it works.
    """

    def __init__(self, told: Callable[[State], None]) -> None:
        self.state = State.CLOSED
        self._told = told
        self._failures = 0
        self._try_at = 0.0
        self._probe: Trial | None = None

    @contextmanager
    def trial(self) -> Iterator["Trial"]:
        """One run's asking. Raises `ServiceError(UPSTREAM_ERROR)` while the model is left alone."""
        trial = Trial(self)
        if self.state is not State.CLOSED:
            self._try(trial)
        try:
            yield trial
        finally:
            self.left(trial)

    def succeeded(self) -> None:
        self._failures = 0
        self._probe = None
        self._turn(State.CLOSED)

    def failed(self, trial: "Trial") -> None:
        self._failures += 1
        if trial is self._probe or (self.state is State.CLOSED and self._failures >= FAILURES):
            self._probe = None
            self._try_at = asyncio.get_running_loop().time() + OPEN_SECONDS
            self._turn(State.OPEN)

    def left(self, trial: "Trial") -> None:
        """A trial is over, known or not: the next one may try, where nothing was learnt."""
        if trial is self._probe:
            self._probe = None
            self._turn(State.OPEN)

    def _try(self, trial: "Trial") -> None:
        now = asyncio.get_running_loop().time()
        if self._probe or now < self._try_at:
            raise ServiceError(
                Kind.UPSTREAM_ERROR,
                "Groq has failed again and again with this model; it is tried again soon",
                retry_after=max(round(self._try_at - now, 3), PROBE_SECONDS),
            )
        self._probe = trial
        self._turn(State.HALF_OPEN)

    def _turn(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._told(state)


class Trial:
    """What becomes of one run; only what is said first counts, and nothing need be said."""

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self._settled = False

    def succeeded(self) -> None:
        """Groq answers."""
        if not self._settled:
            self._settled = True
            self._breaker.succeeded()

    def failed(self) -> None:
        """Groq does not."""
        if not self._settled:
            self._settled = True
            self._breaker.failed(self)
