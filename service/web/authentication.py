"""Who sent a request?"""

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from service.web.keys import OWNER, SETTINGS
from service.web.problems import CHALLENGE

SOCKET_PATH = "/api/chat/ws"
PRIVATE = "/api/"
"""What needs a credential where authentication is on; the rest tells nothing of anybody."""


@web.middleware
async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Name the owner of what the request begins and may see; raises `unauthorized`.

    A socket may say later who it is, so its handler asks for itself.
    """
    resource = request.match_info.route.resource
    path = resource.canonical if resource else ""
    if path.startswith(PRIVATE) and path != SOCKET_PATH and request.method != hdrs.METH_OPTIONS:
        await identify(request)
    return await handler(request)


async def identify(request: web.Request) -> None:
    """Put the owner of a credential on the request; raises `unauthorized`."""
    if authenticator := request.app[SETTINGS].authenticator:
        request[OWNER] = await authenticator.owner_of(credential_of(request))


def credential_of(request: web.Request) -> str:
    """What the header `Authorization` holds after `Bearer`; empty where it holds none."""
    scheme, _, credential = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return credential.strip() if scheme.lower() == CHALLENGE.lower() else ""
