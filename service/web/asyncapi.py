"""How is the socket described to machines? As AsyncAPI 3.0, from the code's own types."""

from collections.abc import Mapping, Sequence
from typing import get_args

from aiohttp import WSCloseCode, web
from msgspec.json import schema

from service.core.catalogue import Catalogue
from service.core.events import Event, encode
from service.core.request import ChatRequest, JsonObject
from service.web.keys import ASYNCAPI
from service.web.messages import CLIENT_MESSAGES, ChatMessage, Id, Seq, ServerMessage
from service.web.schemas import ref, schemas, with_members
from service.web.socket_examples import SOCKET_EXAMPLES
from service.web.ws import (
    BAD_MESSAGES,
    GOING_AWAY,
    NOT_AUTHENTICATED,
    NOT_SAID_WHO,
    SUBPROTOCOL,
    TOO_MANY_MESSAGES,
)

CLOSE_CODES: Mapping[int, str] = {
    NOT_AUTHENTICATED: "no credential that is valid here; an `error` before it says more",
    NOT_SAID_WHO: "no `auth` within ten seconds",
    GOING_AWAY: "this server is going away: connect again, and resume",
    WSCloseCode.MESSAGE_TOO_BIG: "a message has more than `limits.message_bytes`",
    BAD_MESSAGES: "three messages in a row were no JSON object in a text frame",
    TOO_MANY_MESSAGES: "too many messages, see `limits.messages_per_second`",
}

_CHANNEL = "chat"
_EVENTS = {kind.__struct_config__.tag: kind for kind in get_args(Event)}
_SERVER_MESSAGES = {kind.__struct_config__.tag: kind for kind in get_args(ServerMessage)}
_TYPES: Mapping[str, type] = CLIENT_MESSAGES | _SERVER_MESSAGES | _EVENTS
"""Every message by its `type`."""

_REPLIES: Mapping[str, Sequence[str]] = {
    "auth": ("welcome", "error"),
    "chat": (*_EVENTS, "error"),
    "resume": ("resumed", *_EVENTS, "error"),
    "cancel": ("finished", "failed", "error"),
    "leave": ("left", "error"),
    "ping": ("pong", "error"),
}
_UNASKED = ("welcome", "draining", "error")

_ABOUT = """\
A run is one generation: a log of events, numbered from 0 by `seq`. A socket is a reader of any
number of runs, each under an `id` that the client chooses. A lost connection loses nothing: connect
again and `resume` each run after the last `seq` that came, here or over server-sent events.
Ignore members of messages that you do not know; unknown members of what you send are errors."""

_HANDSHAKE = f"""\
The subprotocol `{SUBPROTOCOL}` is selected when it is offered. Messages are JSON objects in text
frames. `welcome` comes first. Where authentication is on, the handshake carries `Authorization:
Bearer` with an API key or a JWT; else `auth` is the first message, and `welcome` its answer. A
credential never stands in the address.

A handshake may be refused with 401 (a bad credential; a page is closed with 4401 instead), 403 (the
`Origin` is neither the service's own nor one of `CORS_ORIGINS`), 422 (it is none), 429 (too many
sockets from this address) or 503 (too many sockets), and a problem as its body.

The server closes with one of these codes:

"""


async def asyncapi(request: web.Request) -> web.StreamResponse:
    """`GET /asyncapi.json`."""
    return web.Response(body=request.app[ASYNCAPI], content_type="application/json")


def describe_socket(version: str, catalogue: Catalogue) -> bytes:
    """The document, as JSON."""
    return encode(
        {
            "asyncapi": "3.0.0",
            "info": {"title": "AI Library", "version": version, "description": _ABOUT},
            "defaultContentType": "application/json",
            "servers": _servers(),
            "channels": {_CHANNEL: _channel()},
            "operations": _operations(),
            "components": {
                "messages": {name: _message(name) for name in _TYPES},
                "schemas": _schemas(catalogue),
            },
        }
    )


def _servers() -> JsonObject:
    host = {"default": "localhost:8000", "description": "Where the service listens."}
    return {
        name: {"host": "{host}", "protocol": protocol, "variables": {"host": host}}
        for name, protocol in (("direct", "ws"), ("behindTLS", "wss"))
    }


def _channel() -> JsonObject:
    codes = "\n".join(f"- {code:d}: {meaning}" for code, meaning in CLOSE_CODES.items())
    return {
        "address": "/api/chat/ws",
        "title": "Chat",
        "summary": "Starts, reads, resumes and cancels any number of runs.",
        "description": _HANDSHAKE + codes,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _TYPES},
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }


def _operations() -> JsonObject:
    """Whatever is asked, with what it is answered with; and what the server says by itself."""
    channel = {"$ref": f"#/channels/{_CHANNEL}"}
    asked = {
        name: {
            "action": "receive",
            "channel": channel,
            "messages": _in_channel([name]),
            "reply": {"channel": channel, "messages": _in_channel(replies)},
        }
        for name, replies in _REPLIES.items()
    }
    return asked | {
        "tell": {"action": "send", "channel": channel, "messages": _in_channel(_UNASKED)}
    }


def _in_channel(names: Sequence[str]) -> list[JsonObject]:
    return [{"$ref": f"#/channels/{_CHANNEL}/messages/{name}"} for name in names]


def _message(name: str) -> JsonObject:
    kind = _TYPES[name]
    about: dict[str, object] = {
        "name": name,
        "title": name,
        "summary": kind.__doc__,
        "payload": ref(kind),
        "examples": [
            {"name": f"{name}{number}", "summary": example.note, "payload": example.payload}
            for number, example in enumerate(SOCKET_EXAMPLES[name], 1)
        ],
    }
    if name in _EVENTS or "id" in kind.__annotations__:
        about["correlationId"] = {"location": "$message.payload#/id"}
    return about


def _schemas(catalogue: Catalogue) -> JsonObject:
    """The schemas; of events as they travel on a socket."""
    made = schemas(
        received=[*CLIENT_MESSAGES.values(), ChatRequest],
        sent=[*_SERVER_MESSAGES.values(), *_EVENTS.values()],
        catalogue=catalogue,
    )
    for name, kind in CLIENT_MESSAGES.items():
        own = {"type": {"const": name}}
        members = own | {"request": ref(ChatRequest)} if kind is ChatMessage else own
        made[kind.__name__] = with_members(made[kind.__name__], members)
    numbered = {"id": schema(Id), "seq": schema(Seq)}
    for event in _EVENTS.values():
        made[event.__name__] = with_members(made[event.__name__], numbered)
    return made
