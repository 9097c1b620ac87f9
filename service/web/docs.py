"""What is at `/docs`? The contract, to read and to try."""

from aiohttp import hdrs, web

from service.web.static import send_file

PAGE = "docs/index.html"
EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
"""Of no text at all: a viewer makes an empty `<style>`, and writes its rules by script."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' {EMPTY_STYLE}",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


async def docs(request: web.Request) -> web.StreamResponse:
    """`GET /docs`."""
    return await send_file(request, PAGE, {hdrs.CONTENT_SECURITY_POLICY: POLICY})
