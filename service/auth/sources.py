"""Where does a JWK Set come from? A URL or a file, of bounded size."""

import asyncio
from http import HTTPStatus
from pathlib import Path

import aiohttp

from service.auth.jwks import Fetch, FetchError

MOST_BYTES = 262_144


def source_of(where: str) -> Fetch:
    """What reads the set at an `http://` or `https://` URL, or in the file of that path."""
    if where.lower().startswith(("http://", "https://")):
        return lambda: _download(where)
    return lambda: asyncio.to_thread(_read, Path(where))


async def _download(url: str) -> bytes:
    """One answer of status 200: no redirect, which could lead from https to anywhere.

    A connection of its own for each: it is minutes until the next. Who calls has the deadline.
    """
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != HTTPStatus.OK:
                raise FetchError(f"the server answered with status {response.status}")
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                _check_size(body)
            return bytes(body)
    except (aiohttp.ClientError, OSError, ValueError) as exc:  # their messages may hold the URL
        raise FetchError(f"the server cannot be asked: {type(exc).__name__}") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            body = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as exc:
        told = exc.strerror if isinstance(exc, OSError) else "not a path"
        raise FetchError(f"the file cannot be read: {told}") from None
    _check_size(body)
    return body


def _check_size(body: bytes | bytearray) -> None:
    if len(body) > MOST_BYTES:
        raise FetchError(f"what is there is larger than {MOST_BYTES} bytes")
