"""How is one answer asked for, and read? With our own deadlines and retries."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial

import groq
import httpx
from attrs import frozen
from msgspec.json import Encoder

from service.core.conversation import HyperparameterValue
from service.core.errors import Kind, ServiceError
from service.core.events import Delta, Ending
from service.core.ports import Prompt
from service.core.silence import Silence
from service.groq.chunks import Chunks
from service.groq.failures import problem_of, retry_delay

PATH = "openai/v1/chat/completions"
HEADERS = {
    "Accept": "text/event-stream",
    "Accept-Encoding": "identity",  # compression would hold tokens back
    "X-Stainless-Raw-Response": "stream",  # the SDK leaves the body to us
}
DRAIN_SECONDS = 0.2
"""For the end of the body after `[DONE]`, so that the connection can be used again."""

_encode = Encoder().encode


@frozen
class UpstreamLimits:
    """Seconds, and attempts after the first."""

    first_token_seconds: float
    idle_seconds: float
    retries: int
    longest_wait_seconds: float


class GroqModel:
    """The language model behind Groq's API."""

    def __init__(
        self, client: groq.AsyncGroq, limits: UpstreamLimits, *, simulated: bool = False
    ) -> None:
        self.simulated = simulated
        self._client = client
        # Whole, since the SDK's joining of URLs costs more than anything else it does.
        self._url = f"{str(client.base_url).rstrip('/')}/{PATH}"
        self._limits = limits

    @asynccontextmanager
    async def answer(self, prompt: Prompt) -> AsyncIterator[AsyncIterator[Delta | Ending]]:
        """See `service.core.ports.LanguageModel`."""
        deadline = asyncio.timeout(self._limits.first_token_seconds)
        try:
            async with (
                deadline,
                aclosing(await self._accepted(prompt, deadline)) as response,
                aclosing(self._parts(response, deadline, _paused(deadline))) as parts,
            ):
                yield parts
        except TimeoutError as exc:
            if not deadline.expired():
                raise
            raise ServiceError(Kind.UPSTREAM_TIMEOUT, "Groq was silent for too long") from exc

    async def _accepted(self, prompt: Prompt, deadline: asyncio.Timeout) -> httpx.Response:
        """The response with status 200, after as many attempts as it takes and may take."""
        body = _encode(request_body(prompt))
        attempt = 0
        while True:
            try:
                return await _checked(await self._post(body))
            except groq.APIError as exc:
                wait = retry_delay(exc, attempt, random.random())  # noqa: S311  # jitter
                if (
                    wait is None
                    or attempt >= self._limits.retries
                    or self._hopeless(wait, deadline)
                ):
                    raise ServiceError.of(problem_of(exc, prompt.model)) from exc
            attempt += 1
            await asyncio.sleep(wait)

    async def _post(self, body: bytes) -> httpx.Response:
        # The SDK's `create()` costs 15 ms for a conversation of 100 messages, this 0.7 ms.
        # For this cast_to it gives the response itself, which its overloads do not say.
        response: object = await self._client.post(
            self._url,
            cast_to=httpx.Response,
            content=body,
            options={"headers": HEADERS},
            stream=True,
            stream_cls=groq.AsyncStream[object],
        )
        assert isinstance(response, httpx.Response)
        return response

    def _hopeless(self, wait: float, deadline: asyncio.Timeout) -> bool:
        """Whether a wait is longer than what is waited for, or ends after the deadline."""
        when = deadline.when()
        too_late = when is not None and asyncio.get_running_loop().time() + wait >= when
        return wait > self._limits.longest_wait_seconds or too_late

    async def _parts(
        self, response: httpx.Response, deadline: asyncio.Timeout, seconds_left: float
    ) -> AsyncGenerator[Delta | Ending, None]:
        chunks = Chunks()
        assert isinstance(response.stream, httpx.AsyncByteStream)
        stream = aiter(response.stream)  # `aiter_raw` without its layer around each read
        silence: Silence | None = None
        deadline.reschedule(asyncio.get_running_loop().time() + seconds_left)
        try:
            async for data in stream:
                if silence is None:
                    deadline.reschedule(None)
                    silence = Silence(self._limits.idle_seconds, partial(_expire, deadline))
                silence.touch()
                if delta := chunks.feed(data):
                    yield delta
                if chunks.done:
                    break
        except httpx.HTTPError as exc:
            raise ServiceError(Kind.UPSTREAM_ERROR, "the connection to Groq broke off") from exc
        finally:
            if silence:
                silence.stop()
        if not chunks.done:
            raise ServiceError(Kind.UPSTREAM_ERROR, "Groq ended the answer before its end")
        ending = chunks.ending()
        await _drained(stream)
        yield ending


def request_body(prompt: Prompt) -> dict[str, object]:
    """What Groq is sent: https://console.groq.com/docs/api-reference#chat-create."""
    sent = dict(
        _sent(name, value, prompt.model.parameters[name].sent_as)
        for name, value in prompt.hyperparameters.items()
    )
    return {
        "model": prompt.model.id,
        "messages": [{"role": turn.role, "content": turn.content} for turn in prompt.turns],
        "stream": True,
        **sent,
    }


def _sent(
    name: str, value: HyperparameterValue, sent_as: str | None
) -> tuple[str, HyperparameterValue]:
    if sent_as == "include_reasoning":
        return sent_as, value != "hidden"
    return sent_as or name, value


async def _checked(response: httpx.Response) -> httpx.Response:
    """A stream is what was asked for; anything else with status 200 is no answer of Groq's."""
    kind = response.headers.get("content-type", "text/event-stream")
    if not kind.lower().startswith("text/event-stream"):
        await response.aclose()
        raise groq.APIConnectionError(message="not a stream", request=response.request)
    return response


def _expire(deadline: asyncio.Timeout) -> None:
    if not deadline.expired():  # else it has, and the reader takes its time to leave
        deadline.reschedule(0)


def _paused(deadline: asyncio.Timeout) -> float:
    """Stop a deadline while something other than Groq is waited for; the seconds it had left."""
    when = deadline.when()
    assert when is not None  # it is running
    deadline.reschedule(None)
    return when - asyncio.get_running_loop().time()


async def _drained(stream: AsyncIterator[bytes]) -> None:
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in stream:
                pass
