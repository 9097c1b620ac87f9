"""What is there to scrape?"""

from aiohttp import hdrs, web

from service.web.keys import METRICS


async def metrics(request: web.Request) -> web.StreamResponse:
    """`GET /metrics`: for Prometheus, and what reads the same."""
    accepted = request.headers.get(hdrs.ACCEPT, "")
    body, content_type = await request.app[METRICS](accepted)
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})
