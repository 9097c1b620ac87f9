"""Is the service well? For people, and for orchestrators."""

import asyncio
from http import HTTPStatus

from aiohttp import web

from service.core.errors import ServiceError
from service.core.events import encode
from service.web.keys import CHAT, CHECKS, CONVERSATIONS, SETTINGS, Check

PATIENCE_SECONDS = 2.0
"""For all checks together, whatever a driver's own time-outs are."""


async def health(request: web.Request) -> web.StreamResponse:
    """`GET /health`."""
    settings = request.app[SETTINGS]
    return _json(
        {
            "status": "healthy",
            "conversations_in_memory": await request.app[CONVERSATIONS].in_memory(),
            "store": settings.store_kind,
            "active_runs": request.app[CHAT].runs.active_count,
            "version": settings.version,
        }
    )


async def live(_request: web.Request) -> web.StreamResponse:
    """`GET /health/live`: the process answers."""
    return _json({"status": "live"})


async def ready(request: web.Request) -> web.StreamResponse:
    """`GET /health/ready`: 503 while draining, or where a part that is needed is down."""
    checks = request.app[CHECKS]
    states = await asyncio.gather(*(_state(check) for check in checks.values()))
    parts = dict(zip(checks, states, strict=True))
    if request.app[CHAT].draining:
        parts["service"] = "draining"
    down = any(state != "ok" for state in parts.values())
    return _json(
        {"status": "not ready" if down else "ready", "parts": parts},
        HTTPStatus.SERVICE_UNAVAILABLE if down else HTTPStatus.OK,
    )


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await check()
    except ServiceError as error:
        return error.problem.detail
    except TimeoutError:
        return f"no answer within {PATIENCE_SECONDS:g} seconds"
    return "ok"


def _json(value: object, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(status=status, body=encode(value), content_type="application/json")
