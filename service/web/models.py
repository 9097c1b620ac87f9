"""What do clients see of the catalogue?"""

from aiohttp import web

from service.core.catalogue import describe
from service.core.events import encode
from service.web.keys import CATALOGUE


async def list_models(request: web.Request) -> web.StreamResponse:
    """`GET /api/models`: what a form for the hyperparameters is built from."""
    items = [describe(model) for model in request.app[CATALOGUE].models]
    return web.Response(body=encode({"items": items}), content_type="application/json")
