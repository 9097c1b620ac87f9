"""How is a run that exists read, resumed and cancelled over HTTP?"""

import re
from contextlib import AbstractContextManager, nullcontext

from aiohttp import web

from service.core.errors import Fault, invalid
from service.core.events import encode
from service.core.run import START, Run
from service.web.keys import CHAT, OBSERVER, OWNER, RUN_ID
from service.web.observer import Transport, resuming
from service.web.sse import follow

LAST_EVENT_ID = "Last-Event-ID"
RECOVERED = {"X-Run-Recovered": "true"}

_POINTER = f"#/headers/{LAST_EVENT_ID}"
EVENT_ID = "[^:]{1,100}:[0-9]{1,15}"
LAST_SEQ = 10**15 - 1
"""The greatest number that a cursor can name."""

_EVENT_ID = re.compile(EVENT_ID)
_SEQ = re.compile(r"-1|[0-9]{1,15}")


async def run_state(request: web.Request) -> web.StreamResponse:
    """`GET /api/runs/{run_id}`."""
    return _state(_run(request))


async def cancel_run(request: web.Request) -> web.StreamResponse:
    """`POST /api/runs/{run_id}/cancel`."""
    run = _run(request)
    return _state(await request.app[CHAT].cancel(request[OWNER], run.run_id))


async def run_events(request: web.Request) -> web.StreamResponse:
    """`GET /api/runs/{run_id}/events`: replays after the cursor, then follows."""
    with _resuming(request):
        run = _run(request)
        after = cursor_of(request, run)
    if run.done and after == run.last_seq:
        return web.Response(status=web.HTTPNoContent.status_code)
    with run.reading():
        return await follow(request, run, after, RECOVERED)


async def resume(request: web.Request) -> web.StreamResponse:
    """A stream that goes on after `Last-Event-ID`, for clients that repeat their POST."""
    sent = request.headers[LAST_EVENT_ID]
    if not _EVENT_ID.fullmatch(sent):
        raise invalid([Fault(_POINTER, "must be an id of an event, like RUN_ID:SEQ")])
    with _resuming(request):
        run = request.app[CHAT].runs.get(request[OWNER], sent.partition(":")[0])
        request[RUN_ID] = run.run_id
        after = _header_cursor(sent, run)
    with run.reading():
        return await follow(request, run, after, RECOVERED)


def _run(request: web.Request) -> Run:
    run = request.app[CHAT].runs.get(request[OWNER], request.match_info["run_id"])
    request[RUN_ID] = run.run_id
    return run


def _resuming(request: web.Request) -> AbstractContextManager[None]:
    """Tell of a reader that has events already, and comes back for the rest."""
    if request.headers.get(LAST_EVENT_ID) or request.query.get("after", "-1") != "-1":
        return resuming(request.app[OBSERVER], Transport.SSE)
    return nullcontext()


def cursor_of(request: web.Request, run: Run) -> int:
    """The header goes before the query: a browser that reconnects repeats the query."""
    if sent := request.headers.get(LAST_EVENT_ID):
        return _header_cursor(sent, run)
    after = request.query.get("after")
    if after is None:
        return START
    if not _SEQ.fullmatch(after):
        raise invalid([Fault("#/query/after", "must be the seq of an event, or -1")])
    return _within(int(after), run, "#/query/after")


def _header_cursor(sent: str, run: Run) -> int:
    run_id, _, seq = sent.partition(":")
    if not _EVENT_ID.fullmatch(sent) or run_id != run.run_id:
        raise invalid([Fault(_POINTER, "must be an id of an event of this run, like RUN_ID:SEQ")])
    return _within(int(seq), run, _POINTER)


def _within(seq: int, run: Run, pointer: str) -> int:
    if seq > run.last_seq:
        raise invalid([Fault(pointer, f"is beyond the last event of this run, {run.last_seq}")])
    return seq


def _state(run: Run) -> web.Response:
    return web.Response(body=encode(run.state()), content_type="application/json")
