"""How is one answer got from Groq? Asked for, read, and where it breaks off asked for once more."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial

import groq

from service.core.conversation import Usage
from service.core.errors import Kind, ServiceError
from service.core.events import Delta, Ending
from service.core.ports import Prompt
from service.groq.attempts import Attempts
from service.groq.breaker import Breaker
from service.groq.continuation import CAPABILITY, Begun
from service.groq.limits import UpstreamLimits
from service.groq.observer import UpstreamObserver
from service.groq.reading import SILENT, Reading


class GroqModel:
    """The language model behind Groq's API."""

    def __init__(
        self,
        client: groq.AsyncGroq,
        limits: UpstreamLimits,
        observer: UpstreamObserver,
        *,
        trace_headers: Callable[[], Mapping[str, str]] | None = None,
        simulated: bool = False,
    ) -> None:
        """`trace_headers` gives what each request to Groq carries besides."""
        self.simulated = simulated
        self._attempts = Attempts(client, limits, observer, trace_headers)
        self._limits = limits
        self._observer = observer
        # One for each model: where one fails the others may well work, and where all do each
        # finds it out by itself.
        self._breakers: dict[str, Breaker] = {}

    @asynccontextmanager
    async def answer(self, prompt: Prompt) -> AsyncIterator[AsyncIterator[Delta | Usage | Ending]]:
        """See `service.core.ports.LanguageModel`."""
        deadline = asyncio.timeout(self._limits.first_token_seconds)
        try:
            async with (
                deadline,
                self._asked(prompt, deadline) as reading,
                aclosing(self._parts(prompt, reading, deadline)) as parts,
            ):
                yield parts
        except TimeoutError as exc:
            if not deadline.expired():
                raise
            raise ServiceError(Kind.UPSTREAM_TIMEOUT, SILENT) from exc

    @asynccontextmanager
    async def _asked(self, prompt: Prompt, deadline: asyncio.Timeout) -> AsyncIterator[Reading]:
        """What Groq has accepted; its connection is closed in the end."""
        with self._breaker(prompt.model.id).trial() as trial:
            try:
                response = await self._attempts.accepted(prompt, deadline, trial)
                async with aclosing(response):
                    yield Reading(response, self._limits.idle_seconds, deadline, trial)
            except asyncio.CancelledError:
                if deadline.expired():
                    trial.failed()
                raise

    def _parts(
        self, prompt: Prompt, reading: Reading, deadline: asyncio.Timeout
    ) -> AsyncGenerator[Delta | Usage | Ending, None]:
        if self._limits.continue_interrupted and CAPABILITY in prompt.model.capabilities:
            return self._continued(prompt, reading, deadline)
        return reading.parts()

    async def _continued(
        self, prompt: Prompt, reading: Reading, deadline: asyncio.Timeout
    ) -> AsyncGenerator[Delta | Usage | Ending, None]:
        """The parts of an answer that goes on, at most once, where it breaks off."""
        begun = Begun()
        try:
            async with aclosing(reading.parts()) as parts:
                async for part in parts:
                    if isinstance(part, Delta):
                        begun.add(part)
                    yield part
            return
        except ServiceError as exc:
            broken = exc
        rest = None if reading.chunks.complete else begun.rest(prompt, reading.chunks.tokens)
        if rest is None or deadline.expired():
            raise broken
        deadline.reschedule(asyncio.get_running_loop().time() + self._limits.first_token_seconds)
        await reading.close()
        async with AsyncExitStack() as stack:
            try:
                again = await stack.enter_async_context(self._asked(rest.prompt, deadline))
            except ServiceError as exc:
                raise broken from exc
            self._observer.answer_continued(prompt.model.id)
            async for part in await stack.enter_async_context(aclosing(again.parts())):
                if (joined := rest.joined(part)) is not None:
                    yield joined

    def _breaker(self, model: str) -> Breaker:
        if model not in self._breakers:
            self._breakers[model] = Breaker(partial(self._observer.upstream_breaker, model))
        return self._breakers[model]
