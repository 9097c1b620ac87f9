"""Which names and pages may a request come by?"""

import re
from functools import lru_cache
from ipaddress import ip_address

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler

from service.core.errors import Kind, Problem, ServiceError
from service.web.keys import SETTINGS

SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
"""They change nothing, so that any page may send them; what it may read is for CORS to say."""

HTTP_PORT = 80
_HOST = re.compile(
    r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(:(?P<port>[0-9]{0,5}))?"
)

_MALFORMED = Problem(Kind.BAD_REQUEST, "Host must be a name, and a port or none")


@web.middleware
async def admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a page elsewhere made a browser send."""
    if request.version not in (HttpVersion11, HttpVersion10):
        request._cache["version"] = HttpVersion10  # noqa: SLF001  # else the answer claims it too
        raise ServiceError(Kind.BAD_REQUEST, "the version of HTTP must be 1.1 or 1.0")
    check_host(request)
    if request.method not in SAFE_METHODS:
        check_origin(request)
    return await handler(request)


def check_host(request: web.Request) -> None:
    """Raise `forbidden` where a request names a host that is not this service's.

    A page can let its own name lead to this machine (DNS rebinding); to the browser the service is
    then part of that page's site.
    """
    at = request.protocol.sockname
    address, port = (str(at[0]), int(at[1])) if isinstance(at, tuple) else ("", 0)
    host = request.headers.get(hdrs.HOST, "")
    if problem := _host_problem(host, address, port, request.app[SETTINGS].allowed_hosts):
        raise ServiceError.of(problem)


@lru_cache(maxsize=1024)
def _host_problem(host: str, address: str, port: int, allowed: tuple[str, ...]) -> Problem | None:
    match = _HOST.fullmatch(host)
    if not match:
        return _MALFORMED
    name = match["name"].lower().removesuffix(".")
    if not name or "*" in allowed or name in allowed or _leads_nowhere_else(name):
        return None  # no browser leaves the name out; probes do
    if not allowed:
        # A browser that was led here names our own port; a proxy passes on what it was called by.
        own = _is_loopback(address) and int(match["port"] or HTTP_PORT) == port
        if not own:
            return None
    return Problem(
        Kind.FORBIDDEN,
        f"this service is not known by the name {name[:100]!r};"
        " if it is to be, its operator adds the name to ALLOWED_HOSTS",
    )


def _leads_nowhere_else(name: str) -> bool:
    """Whether nobody can let a name lead anywhere but where it leads: localhost, and addresses."""
    return name == "localhost" or name.endswith(".localhost") or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    return address == "::1" or address.removeprefix("::ffff:").startswith("127.")


def check_origin(request: web.Request) -> None:
    """Raise `forbidden` where a browser comes from neither our own pages nor where CORS allows."""
    origin = request.headers.get(hdrs.ORIGIN)
    allowed = request.app[SETTINGS].cors_origins
    if origin is None or origin in allowed or "*" in allowed or _same_origin(request):
        return
    own = _plain(request.headers.get(hdrs.HOST, ""))
    if not own or _plain(origin.partition("://")[2]) != own:
        raise ServiceError(
            Kind.FORBIDDEN,
            "pages of this origin may not do that: it is neither in CORS_ORIGINS nor the host that"
            " the request names",
        )


def _same_origin(request: web.Request) -> bool:
    """Whether the browser says so itself, which pages cannot; a proxy may have changed Host."""
    return request.headers.get("Sec-Fetch-Site") == "same-origin"


def _plain(name: str) -> str:
    """Host and port in one spelling; a proxy may have ended TLS, so both default ports are none."""
    return name.lower().removesuffix(":443").removesuffix(":80")
