"""How is every request told of? With its route, its status and its time."""

import time

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp_sse import EventSourceResponse

from service.web.keys import OBSERVER, STREAMED
from service.web.observer import DISCONNECTED, Exchange


@web.middleware
async def watched(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell of a request when it has ended."""
    began = time.perf_counter()
    status = DISCONNECTED
    try:
        response = await handler(request)
        status = str(response.status)
        return response
    except web.HTTPException as answer:
        status = str(answer.status)
        raise
    finally:
        resource = request.match_info.route.resource
        request.app[OBSERVER].request_ended(
            Exchange(
                route=resource.canonical if resource else None,
                method=request.method,
                status=status,
                seconds=time.perf_counter() - began,
                streamed=request.get(STREAMED, False),
            )
        )


async def mark_stream(request: web.Request, response: web.StreamResponse) -> None:
    """Remember what a request is answered by: one that is broken off has no response to ask."""
    request[STREAMED] = isinstance(response, EventSourceResponse | web.WebSocketResponse)
