"""How an answer leaves."""

import asyncio
import secrets
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NoReturn, assert_never

import msgspec
from aiohttp import web
from attrs import field, frozen

from service.simulator.answers import (
    Answer,
    Cut,
    CutBeforeHeaders,
    Fault,
    Gate,
    NoResponse,
    Pause,
    Raw,
    Refusal,
    Silence,
    Text,
)
from service.simulator.call import Call
from service.simulator.tokens import count_tokens, tokens_of
from service.simulator.wire import DONE, chunk, completion, message_data, usage_data

EVENTS_PER_WRITE = 64
EVENT_STREAM = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


@frozen
class Pace:
    """When which token is due, counted from the first moment of the answer."""

    tokens_per_second: float
    time_to_first_token_seconds: float

    def seconds_until(self, token: int) -> float:
        wait = token / self.tokens_per_second if self.tokens_per_second else 0
        return self.time_to_first_token_seconds + wait

    def due(self, seconds: float) -> float:
        """How many tokens are due by then; unlimited where there is no speed."""
        passed = seconds - self.time_to_first_token_seconds
        if passed < 0:
            return 0
        return 1 + passed * self.tokens_per_second if self.tokens_per_second else float("inf")


@frozen
class Reply:
    """A text on its way to who asked for it."""

    text: Text
    call: Call
    id: str = field(factory=lambda: f"chatcmpl-{secrets.token_hex(16)}")
    request_id: str = field(factory=lambda: f"req_{secrets.token_hex(13)}")
    created: int = field(factory=lambda: int(time.time()))

    @property
    def pace(self) -> Pace:
        return Pace(self.text.tokens_per_second, self.text.time_to_first_token_seconds)

    @property
    def seed(self) -> int:
        return secrets.randbelow(2**31) if self.call.seed is None else self.call.seed

    def chunk(
        self, delta: Mapping[str, object], finish_reason: str | None = None, **extra: object
    ) -> bytes:
        head = {"id": self.id, "created": self.created, "model": self.call.model}
        return chunk(delta, finish_reason, **(head | extra))


async def deliver(answer: Answer, call: Call, request: web.Request) -> web.StreamResponse:
    """Answer a chat request; returns when all is sent."""
    if not isinstance(answer, Text):
        return await deliver_fault(answer, request)
    reply = Reply(answer, call)
    send = send_stream if call.stream else send_completion
    return await send(reply, request)


async def deliver_fault(fault: Fault, request: web.Request) -> web.StreamResponse:
    """Answer any request with what a test chose for it."""
    match fault:
        case Refusal():
            return await send_whole(refusal_response(fault), request)
        case Raw():
            return await send_raw(fault, request)
        case NoResponse():
            return await silence()
        case CutBeforeHeaders():
            return cut(request)
        case _:
            assert_never(fault)


def refusal_response(refusal: Refusal) -> web.Response:
    body = refusal.body
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    headers = {"Content-Type": "application/json", **refusal.headers}
    return web.Response(status=refusal.status, body=data, headers=headers)


async def send_whole(response: web.Response, request: web.Request) -> web.Response:
    await response.prepare(request)
    await response.write_eof()
    return response


async def silence() -> NoReturn:
    """Wait until the task is cancelled: the client has left, or the simulator stops."""
    while True:
        await asyncio.Event().wait()


def cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # aiohttp wants one, and cannot send it any more


async def send_raw(raw: Raw, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=raw.status, headers={**EVENT_STREAM, **raw.headers})
    response.enable_chunked_encoding()
    # With no room in the transport's buffer, drain() returns when the kernel has taken everything:
    # no two pieces are joined, and nothing is lost in a cut.
    if request.transport is not None:
        request.transport.set_write_buffer_limits(high=0)
    if raw.after:
        await raw.after.wait()
    await response.prepare(request)
    for piece in raw.pieces:
        match piece:
            case bytes():
                await response.write(piece)
                await request.writer.drain()
            case Pause():
                await asyncio.sleep(piece.seconds)
            case Gate():
                await piece.event.wait()
            case Silence():
                await silence()
            case Cut():
                return cut(request)
            case _:
                assert_never(piece)
    await response.write_eof()
    return response


async def send_completion(reply: Reply, request: web.Request) -> web.StreamResponse:
    parts = list(deltas(reply.text))
    await asyncio.sleep(reply.pace.seconds_until(len(parts)))
    body = completion(
        message_data(parts),
        reply.text.finish_reason,
        usage_of(reply) or None,
        id=reply.id,
        created=reply.created,
        model=reply.call.model,
        x_groq={"id": reply.request_id, "seed": reply.seed},
    )
    headers = {"Content-Type": "application/json", "x-request-id": reply.request_id}
    return await send_whole(web.Response(body=body, headers=headers), request)


async def send_stream(reply: Reply, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={**EVENT_STREAM, "x-request-id": reply.request_id})
    await response.prepare(request)
    x_groq = {"id": reply.request_id, "seed": reply.seed}
    await response.write(reply.chunk({"role": "assistant", "content": ""}, x_groq=x_groq))
    events = (reply.chunk(delta) for delta in deltas(reply.text))
    await send_paced(events, reply.pace, response)
    await response.write(last_events(reply))
    await response.write_eof()
    return response


async def send_paced(events: Iterator[bytes], pace: Pace, response: web.StreamResponse) -> None:
    """Send each event when it is due, and those that are due together in one write."""
    clock = asyncio.get_running_loop().time
    start = clock()
    sent = 0
    while True:
        seconds = clock() - start
        batch_size = int(min(pace.due(seconds) - sent, EVENTS_PER_WRITE))
        if batch_size < 1:
            # Sleep past the moment by a hair, so that rounding cannot make this a busy loop.
            await asyncio.sleep(max(pace.seconds_until(sent) - seconds, 0) + 0.0001)
            continue
        batch = list(islice(events, batch_size))
        if not batch:
            return
        await response.write(b"".join(batch))
        sent += len(batch)


def last_events(reply: Reply) -> bytes:
    usage = usage_of(reply)
    used = {"usage": usage} if usage else {}
    x_groq = {"id": reply.request_id, **used}
    events = reply.chunk({}, reply.text.finish_reason, x_groq=x_groq, **used)
    options = reply.call.stream_options
    if usage and options is not None and options.include_usage:
        events += reply.chunk({}, choices=[], usage=usage, service_tier="on_demand")
    return events + DONE


def deltas(text: Text) -> Iterator[Mapping[str, object]]:
    if text.chunks is not None:
        yield from text.chunks
        return
    for token in tokens_of(text.reasoning):
        yield {"reasoning": token, "channel": "analysis"}
    for token in tokens_of(text.content):
        yield {"content": token}


def usage_of(reply: Reply) -> Mapping[str, object]:
    """What the test said was used, or one token for each delta."""
    text = reply.text
    if text.usage is not None:
        return text.usage
    if text.chunks is None:
        reasoning_tokens = count_tokens(text.reasoning)
        completion_tokens = reasoning_tokens + count_tokens(text.content)
    else:
        reasoning_tokens = sum("reasoning" in delta for delta in text.chunks)
        completion_tokens = len(text.chunks)
    speed = text.tokens_per_second
    return usage_data(
        prompt_tokens=reply.call.prompt_tokens,
        completion_tokens=completion_tokens,
        reasoning_tokens=reasoning_tokens,
        prompt_seconds=text.time_to_first_token_seconds,
        completion_seconds=completion_tokens / speed if speed else 0.0,
    )
