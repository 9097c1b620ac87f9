"""What did the client send? A JSON value, and the headers that start a run."""

import asyncio
import re

import msgspec
from aiohttp import hdrs, web

from service.core.chat import Caller
from service.core.errors import Fault, Kind, ServiceError, invalid
from service.web.keys import OWNER, REQUEST_ID, SETTINGS

IDEMPOTENCY_KEY = "Idempotency-Key"
KEY_PATTERN = "^[!-~]{1,200}$"


async def json_body(request: web.Request) -> dict[str, object]:
    """The JSON object in the body.

    Raises `unsupported-media-type`, `payload-too-large` or `malformed-json`.
    """
    sent = request.headers.get(hdrs.CONTENT_TYPE)
    if request.content_type != "application/json" or sent is None:
        raise ServiceError(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type must be application/json, got {ascii(sent or 'none')[:100]}",
        )
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise ServiceError(Kind.UNSUPPORTED_MEDIA_TYPE, "a body must not be compressed")
    try:
        async with asyncio.timeout(request.app[SETTINGS].send_timeout_seconds):
            data = await request.read()
    except web.RequestPayloadError as exc:
        raise ServiceError(Kind.MALFORMED_JSON, "the body cannot be read") from exc
    except TimeoutError as exc:
        raise ServiceError(Kind.MALFORMED_JSON, "the body did not arrive in time") from exc
    return decoded(data)


async def optional_json_body(request: web.Request) -> dict[str, object]:
    """The JSON object in the body, an empty one where there is no body."""
    return await json_body(request) if request.can_read_body else {}


def decoded(data: bytes, called: str = "the body") -> dict[str, object]:
    """A JSON object; raises `malformed-json`."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise ServiceError(Kind.MALFORMED_JSON, f"{called} is not JSON: {exc}") from exc
    except RecursionError as exc:
        raise ServiceError(Kind.MALFORMED_JSON, f"{called} is nested too deeply") from exc
    if not isinstance(value, dict):
        raise ServiceError(Kind.MALFORMED_JSON, f"{called} must be a JSON object")
    return value


def caller_of(request: web.Request, *, detached: bool = False) -> Caller:
    """Who asks for a run."""
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None:
        check_key(key, f"#/headers/{IDEMPOTENCY_KEY}")
    return Caller(request[OWNER], request[REQUEST_ID], key, detached)


def check_key(key: str, pointer: str) -> None:
    """Raise unless an idempotency key is well-formed."""
    if not re.fullmatch(KEY_PATTERN, key):
        raise invalid([Fault(pointer, "must be 1 to 200 visible ASCII characters")])
