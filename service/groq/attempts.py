"""How is Groq asked until it accepts? In turn, and again where that can help."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Mapping

import groq
import httpx

from service.core.errors import ServiceError
from service.core.ports import Prompt
from service.groq.body import encode, request_body, tokens_of
from service.groq.breaker import Trial
from service.groq.failures import held_for, is_outage, problem_of, retry_delay
from service.groq.gate import Gate
from service.groq.limits import UpstreamLimits
from service.groq.observer import UpstreamObserver
from service.groq.quota import Quotas, quotas_of

PATH = "openai/v1/chat/completions"
HEADERS = {
    "Accept": "text/event-stream",
    "Accept-Encoding": "identity",  # compression would hold tokens back
    "X-Stainless-Raw-Response": "stream",  # the SDK leaves the body to us
}


class Attempts:
    """Asks, and knows what is left of Groq's limits."""

    def __init__(
        self,
        client: groq.AsyncGroq,
        limits: UpstreamLimits,
        observer: UpstreamObserver,
        trace_headers: Callable[[], Mapping[str, str]] | None,
    ) -> None:
        self._client = client
        # Whole, since the SDK's joining of URLs costs more than anything else it does.
        self._url = f"{str(client.base_url).rstrip('/')}/{PATH}"
        self._limits = limits
        self._observer = observer
        self._trace_headers = trace_headers
        self._gates: defaultdict[str, Gate] = defaultdict(Gate)

    async def accepted(
        self, prompt: Prompt, deadline: asyncio.Timeout, trial: Trial
    ) -> httpx.Response:
        """The response with status 200, after as many attempts as it takes and may take."""
        body = encode(request_body(prompt))
        tokens = tokens_of(prompt, body)
        attempt = 0
        while True:
            try:
                return await self._attempt(prompt.model.id, body, tokens, deadline)
            except groq.APIError as exc:
                wait = retry_delay(exc, attempt, random.random())  # noqa: S311  # jitter
                if (
                    wait is None
                    or attempt >= self._limits.retries
                    or wait > self._patience(deadline)
                ):
                    (trial.failed if is_outage(exc) else trial.succeeded)()
                    raise ServiceError.of(problem_of(exc, prompt.model)) from exc
                self._observer.upstream_retried(prompt.model.id, problem_of(exc, prompt.model))
            attempt += 1
            await asyncio.sleep(wait)

    async def _attempt(
        self, model: str, body: bytes, tokens: int, deadline: asyncio.Timeout
    ) -> httpx.Response:
        gate = self._gates[model]
        turn = await gate.enter(tokens, self._patience(deadline))
        try:
            response = await self._post(body)
            gate.told(turn, self._quotas(model, response), taken=True)
        except groq.APIStatusError as exc:
            gate.told(turn, self._quotas(model, exc.response), taken=False)
            if seconds := held_for(exc):
                gate.hold(seconds)
            raise
        finally:
            gate.leave(turn)
        return await _checked(response)

    async def _post(self, body: bytes) -> httpx.Response:
        headers = {**HEADERS, **self._trace_headers()} if self._trace_headers else HEADERS
        # The SDK's `create()` costs 15 ms for a conversation of 100 messages, this 0.7 ms.
        # For this cast_to it gives the response itself, which its overloads do not say.
        response: object = await self._client.post(
            self._url,
            cast_to=httpx.Response,
            content=body,
            options={"headers": headers},
            stream=True,
            stream_cls=groq.AsyncStream[object],
        )
        assert isinstance(response, httpx.Response)
        return response

    def _quotas(self, model: str, response: httpx.Response) -> Quotas:
        quotas = quotas_of(response.headers.raw, asyncio.get_running_loop().time())
        for unit, quota in (("requests", quotas.requests), ("tokens", quotas.tokens)):
            if quota:
                self._observer.upstream_quota(model, unit, quota.limit, quota.remaining)
        return quotas

    def _patience(self, deadline: asyncio.Timeout) -> float:
        """Seconds that may be waited: not longer than is set, and not beyond the deadline."""
        when = deadline.when()
        assert when is not None  # it is running
        return min(self._limits.longest_wait_seconds, when - asyncio.get_running_loop().time())


async def _checked(response: httpx.Response) -> httpx.Response:
    """A stream is what was asked for; anything else with status 200 is no answer of Groq's."""
    kind = response.headers.get("content-type", "text/event-stream")
    if not kind.lower().startswith("text/event-stream"):
        await response.aclose()
        raise groq.APIConnectionError(message="not a stream", request=response.request)
    return response
