"""Is the service well? For people, and for orchestrators."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal

from aiohttp import web
from msgspec import Struct

from service.core.errors import ServiceError
from service.core.events import encode
from service.web.keys import CHAT, CHECKS, CONVERSATIONS, SETTINGS, Check

PATIENCE_SECONDS = 2.0
"""For all checks together, whatever a driver's own time-outs are."""


class Health(Struct, frozen=True, kw_only=True):
    """The service at a glance."""

    status: Literal["healthy"] = "healthy"
    conversations_in_memory: int
    """All of them where memory keeps them, else those with a run in memory."""
    store: str
    """The kind."""
    active_runs: int
    version: str


class Liveness(Struct, frozen=True):
    """The process answers."""

    status: Literal["live"] = "live"


class Readiness(Struct, frozen=True):
    """Whether requests can be served, and which part is down."""

    status: Literal["ready", "not ready"]
    parts: Mapping[str, str]
    """By name: `ok`, or what is wrong."""


async def health(request: web.Request) -> web.StreamResponse:
    """`GET /health`."""
    settings = request.app[SETTINGS]
    return _json(
        Health(
            conversations_in_memory=await request.app[CONVERSATIONS].in_memory(),
            store=settings.store_kind,
            active_runs=request.app[CHAT].runs.active_count,
            version=settings.version,
        )
    )


async def live(_request: web.Request) -> web.StreamResponse:
    """`GET /health/live`: the process answers."""
    return _json(Liveness())


async def ready(request: web.Request) -> web.StreamResponse:
    """`GET /health/ready`: 503 while draining, or where a part that is needed is down."""
    checks = request.app[CHECKS]
    states = await asyncio.gather(*(_state(check) for check in checks.values()))
    parts = dict(zip(checks, states, strict=True))
    if request.app[CHAT].draining:
        parts["service"] = "draining"
    down = any(state != "ok" for state in parts.values())
    return _json(
        Readiness("not ready" if down else "ready", parts),
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
