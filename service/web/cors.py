"""Which browsers may read the answers? aiohttp-cors, with what it leaves out."""

import aiohttp_cors
from aiohttp import hdrs, web

from service.web.keys import SETTINGS

EXPOSED = (
    "X-Run-Id",
    "X-Run-Recovered",
    "X-Request-Id",
    "X-Simulated",
    "Retry-After",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
)
ALLOWED = ("Content-Type", "Authorization", "Idempotency-Key", "Last-Event-ID", "X-Request-Id")
PREFLIGHT_SECONDS = 600


def setup_cors(app: web.Application) -> None:
    """Let the configured origins use every route there is."""
    options = aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call]  # it has no types
        expose_headers=EXPOSED,
        allow_headers=ALLOWED,
        max_age=PREFLIGHT_SECONDS,
    )
    cors = aiohttp_cors.setup(app, defaults=dict.fromkeys(app[SETTINGS].cors_origins, options))
    for route in list(app.router.routes()):
        cors.add(route)
    app.on_response_prepare.append(_complete)


async def _complete(request: web.Request, response: web.StreamResponse) -> None:
    """Vary on every response, and the headers where no route matched (404, 405)."""
    response.headers.add(hdrs.VARY, hdrs.ORIGIN)
    origin = request.headers.get(hdrs.ORIGIN)
    unmatched = request.match_info.http_exception is not None
    origins = request.app[SETTINGS].cors_origins
    if unmatched and origin and (origin in origins or "*" in origins):
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = ",".join(EXPOSED)
