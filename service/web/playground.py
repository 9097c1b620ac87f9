"""What is at `/`? The playground, a page for trying the service, where it is switched on."""

from aiohttp import hdrs, web

from service.web.keys import SETTINGS
from service.web.static import nothing_at, send_file

PAGE = "playground/index.html"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types dompurify",
    )
)
"""Nothing runs or shows here that is not a file of the package, whatever a model writes."""


async def playground(request: web.Request) -> web.StreamResponse:
    """`GET /`; raises `not-found` where it is off."""
    if not request.app[SETTINGS].playground:
        raise nothing_at(request)
    return await send_file(request, PAGE, {hdrs.CONTENT_SECURITY_POLICY: POLICY})
