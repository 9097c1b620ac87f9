"""What is joined to what? The application: values, routes, middlewares, start and stop."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from aiohttp import web
from attrs import frozen

from service.core.accounts import Accounts
from service.core.catalogue import Catalogue
from service.core.chat import Chat
from service.core.conversations import Conversations
from service.web import keys
from service.web.admission import admitted
from service.web.asyncapi import describe_socket
from service.web.authentication import authenticated
from service.web.cors import setup_cors
from service.web.files import Files
from service.web.middleware import add_headers, logged, problems
from service.web.observer import Watch
from service.web.openapi import describe_http
from service.web.routes import ROUTES
from service.web.sockets import Sockets
from service.web.watching import mark_stream, watched

Lifespan = Callable[[], AbstractAsyncContextManager[None]]
"""Something that is open while the application serves."""


@frozen
class Core:
    """What handlers call."""

    chat: Chat
    conversations: Conversations
    accounts: Accounts
    catalogue: Catalogue


def make_app(
    core: Core,
    *,
    checks: Mapping[str, keys.Check],
    sockets: Sockets,
    settings: keys.WebSettings,
    watch: Watch,
    lifespans: Sequence[Lifespan],
) -> web.Application:
    """The application. Lifespans are opened in their order, and closed in the opposite one."""
    app = web.Application(
        middlewares=[*watch.around, watched, logged, problems, admitted, authenticated],
        client_max_size=settings.max_body_bytes,
    )
    app[keys.CHAT] = core.chat
    app[keys.CONVERSATIONS] = core.conversations
    app[keys.ACCOUNTS] = core.accounts
    app[keys.CATALOGUE] = catalogue = core.catalogue
    app[keys.CHECKS] = checks
    app[keys.SETTINGS] = settings
    app[keys.SOCKETS] = sockets
    app[keys.OBSERVER] = watch.observer
    app[keys.METRICS] = watch.exposition
    app[keys.FILES] = Files()
    app[keys.OPENAPI] = describe_http(
        settings.version, catalogue, authentication=settings.authenticator is not None
    )
    app[keys.ASYNCAPI] = describe_socket(settings.version, catalogue)
    app.add_routes(ROUTES)
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(mark_stream)
    setup_cors(app)
    app.on_shutdown.append(_close_sockets)
    for lifespan in lifespans:
        app.cleanup_ctx.append(_entered(lifespan))
    return app


async def _close_sockets(app: web.Application) -> None:
    await app[keys.SOCKETS].close()


def _entered(
    lifespan: Lifespan,
) -> Callable[[web.Application], AbstractAsyncContextManager[None]]:
    return lambda _app: lifespan()
