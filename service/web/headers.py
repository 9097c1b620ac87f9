"""Which headers has every response, whoever makes it?"""

from collections.abc import Mapping

from aiohttp import hdrs
from multidict import CIMultiDict, istr

# `istr`: a name that is no such string is lowered again for every response.
ALWAYS: Mapping[str, str] = {
    hdrs.SERVER: "ai-library",
    istr("X-Content-Type-Options"): "nosniff",
    istr("Referrer-Policy"): "no-referrer",
    istr("Cross-Origin-Resource-Policy"): "same-origin",  # not asked about where CORS is
}

UNLESS_SAID: Mapping[str, str] = {
    hdrs.CACHE_CONTROL: "no-store",
    istr("Content-Security-Policy"): "default-src 'none'; frame-ancestors 'none'",
    istr("X-Frame-Options"): "DENY",
}
"""For answers that are data; a page, or what may be kept, says otherwise."""


def complete(headers: CIMultiDict[str]) -> None:
    """Add what protects an answer in a browser, and name no versions."""
    headers.update(ALWAYS)
    for name, value in UNLESS_SAID.items():
        headers.setdefault(name, value)
