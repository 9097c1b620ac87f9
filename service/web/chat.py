"""How is a run started over HTTP? Streamed, awaited, or left to another reader."""

from aiohttp import hdrs, web
from msgspec import Struct

from service.core.conversation import FinishReason, Usage
from service.core.errors import ServiceError
from service.core.events import Finished, Timing, encode
from service.core.run import START, Run, Stage
from service.web.body import caller_of, json_body, optional_json_body
from service.web.keys import CHAT, QUOTA, RUN_ID
from service.web.runs import LAST_EVENT_ID, resume
from service.web.sse import follow


class ChatAnswer(Struct, frozen=True):
    """A whole answer."""

    run_id: str
    conversation_id: str | None
    message_id: str | None
    model: str | None
    content: str
    reasoning: str
    finish_reason: FinishReason
    usage: Usage | None
    cost: float | None
    """US dollars."""
    timing: Timing


class StartedRun(Struct, frozen=True):
    """A run that somebody else reads."""

    run_id: str


async def stream_chat(request: web.Request) -> web.StreamResponse:
    """`POST /api/chat/stream`; with `Last-Event-ID` it resumes, and never starts a run."""
    if request.headers.get(LAST_EVENT_ID):
        return await resume(request)
    run = request.app[CHAT].start(await json_body(request), caller_of(request))
    return await _streamed(request, run)


async def regenerate(request: web.Request) -> web.StreamResponse:
    """`POST /api/conversations/{conversation_id}/messages/{message_id}/regenerate`."""
    run = request.app[CHAT].regenerate(
        request.match_info["conversation_id"],
        request.match_info["message_id"],
        await optional_json_body(request),
        caller_of(request),
    )
    return await _streamed(request, run)


async def chat(request: web.Request) -> web.StreamResponse:
    """`POST /api/chat`: the whole answer in one JSON object."""
    run = request.app[CHAT].start(await json_body(request), caller_of(request))
    with run.reading():
        await run.wait_done()
    _name(request, run)
    if run.failure:
        raise ServiceError.of(run.failure)
    return web.Response(body=encode(_answer(run)), content_type="application/json")


async def start_run(request: web.Request) -> web.StreamResponse:
    """`POST /api/runs`: started, to be read by another connection."""
    run = request.app[CHAT].start(await json_body(request), caller_of(request, detached=True))
    with run.reading():  # until the 202: then the time of grace begins
        await run.reached(Stage.PREPARED)
    _name(request, run)
    return web.Response(
        status=web.HTTPAccepted.status_code,
        headers={hdrs.LOCATION: f"/api/runs/{run.run_id}"},
        body=encode(StartedRun(run.run_id)),
        content_type="application/json",
    )


async def _streamed(request: web.Request, run: Run) -> web.StreamResponse:
    with run.reading():
        try:
            await run.reached(Stage.ANSWERED)
        finally:
            _name(request, run)
        return await follow(request, run, START)


def _name(request: web.Request, run: Run) -> None:
    """Let the response name the run and what it left, unless it was refused before it had a log."""
    if run.stage >= Stage.PREPARED:
        request[RUN_ID] = run.run_id
        if run.quota:
            request[QUOTA] = run.quota


def _answer(run: Run) -> ChatAnswer:
    ending = run.ending
    assert isinstance(ending, Finished)  # else it failed
    return ChatAnswer(
        run_id=run.run_id,
        conversation_id=run.origin.conversation_id,
        message_id=ending.message_id,
        model=run.model,
        content=run.content.whole(),
        reasoning=run.reasoning.whole(),
        finish_reason=ending.finish_reason,
        usage=ending.usage,
        cost=ending.cost,
        timing=ending.timing,
    )
