"""What is at /static/? What pages load, here and on other origins."""

from collections.abc import Mapping

from aiohttp import ETag, hdrs, web

from service.core.errors import Kind, ServiceError
from service.web.keys import FILES

PAGE_SUFFIX = ".html"
"""Pages are at paths of their own, with a policy of their own."""
_REFUSED_QUALITIES = {"0", "0.0", "0.00", "0.000"}


async def static_file(request: web.Request) -> web.StreamResponse:
    """`GET /static/{path}`."""
    name = request.match_info["path"]
    if name.endswith(PAGE_SUFFIX):
        raise nothing_at(request)
    return await send_file(request, name, {})


async def send_file(
    request: web.Request, name: str, headers: Mapping[str, str]
) -> web.StreamResponse:
    """A file of the package, or only that it is still the same; raises `not-found`."""
    file = await request.app[FILES].find(name)
    if file is None:
        raise nothing_at(request)
    packed = file.packed if _takes_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")) else None
    tag = f"{file.tag}-gzip" if packed else file.tag
    told = {
        hdrs.CACHE_CONTROL: "no-cache",  # keep it, and ask each time whether it is still the same
        hdrs.ETAG: f'"{tag}"',
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
        **headers,
    }
    if _has(request, tag):
        return web.Response(status=web.HTTPNotModified.status_code, headers=told)
    told[hdrs.CONTENT_TYPE] = file.content_type
    if packed:
        told[hdrs.CONTENT_ENCODING] = "gzip"
    return web.Response(body=packed or file.body, headers=told)


def nothing_at(request: web.Request) -> ServiceError:
    """What is told where no file is, as where no route is."""
    return ServiceError(Kind.NOT_FOUND, f"there is nothing at {request.path[:200]}")


def _takes_gzip(accepted: str) -> bool:
    """Whether an `Accept-Encoding` names gzip (RFC 9110, section 12.5.3); `*` is left aside."""
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "").removeprefix("q=") not in _REFUSED_QUALITIES
    return False


def _has(request: web.Request, tag: str) -> bool:
    """Whether the client has this very version (RFC 9110, section 13.1.2)."""
    held: tuple[ETag, ...] = request.if_none_match or ()
    return any(it.value in (tag, "*") for it in held)
