"""What does the service answer to bytes? Responses checked for their form, and log lines."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from attrs import frozen
from structlog.testing import capture_logs
from web.outside import PATIENCE_SECONDS, Wire, wired

from support import Running

Lines = list[MutableMapping[str, Any]]

GUARDS = {
    "server": "ai-library",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "vary": "Origin",
}


@frozen
class Response:
    """A response, as bytes made it."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def problem(self) -> dict[str, Any]:
        """The problem in it."""
        assert self.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["request_id"] == self.headers["x-request-id"]
        return problem


async def response_on(wire: Wire) -> Response | None:
    """The next response, checked for its form; None where the connection ends without one."""
    try:
        head = (await wire.head()).decode("ascii")
    except ConnectionResetError:
        return None
    except asyncio.IncompleteReadError as exc:
        if exc.partial:
            raise
        return None
    first, *lines = head.split("\r\n")[:-2]
    status = re.fullmatch(r"HTTP/1\.[01] ([1-5][0-9][0-9]) [ -~]*", first)
    assert status, first
    fields = [re.fullmatch(r"([!#-'*+.^-z|~0-9A-Z-]+): ([ -~]*)", line) for line in lines]
    headers = {match[1].lower(): match[2] for match in fields if match}
    assert len(headers) == len(lines), lines
    response = Response(int(status[1]), headers, await body_on(wire, headers))
    return await response_on(wire) if response.status == 100 else response


async def body_on(wire: Wire, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        body = bytearray()
        while piece := await wire.body_chunk():
            body += piece
        return bytes(body)
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await wire.reader.readexactly(int(headers.get("content-length", "0")))


async def answer_to(served: Running, *pieces: bytes) -> Response | None:
    """The response to a request that comes in pieces."""
    async with wired(served.client) as wire:
        for piece in pieces:
            await wire.send(piece)
        return await response_on(wire)


@contextmanager
def logged() -> Iterator[Lines]:
    """What is logged meanwhile, by us or by what we stand on."""

    def note(record: logging.LogRecord) -> bool:
        lines.append({"event": record.getMessage(), "log_level": record.levelname.lower()})
        return True

    logger = logging.getLogger("aiohttp.server")
    logger.addFilter(note)
    try:
        with capture_logs() as lines:
            yield lines
    finally:
        logger.removeFilter(note)
