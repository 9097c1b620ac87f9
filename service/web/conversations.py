"""How are conversations listed, shown, changed and taken along over HTTP?"""

import base64
import binascii
import re

import msgspec
from aiohttp import hdrs, web
from msgspec import Struct

from service.core.conversation import Conversation, Summary
from service.core.errors import Fault, invalid
from service.core.events import encode
from service.core.ports import Position
from service.core.search import words
from service.web.body import json_body
from service.web.export import FORMATS, shown
from service.web.keys import CONVERSATIONS, OWNER

DEFAULT_LIMIT, MOST = 20, 100
_NUMBER = re.compile(r"[0-9]{1,3}")
LONGEST_QUERY = 200


class ConversationList(Struct, frozen=True):
    """A page of conversations, latest first."""

    items: tuple[Summary, ...]
    next_cursor: str | None
    """None on the last page."""


class _Query(Struct):
    """The query of a list."""

    limit: int
    after: Position | None
    words: list[str]


async def list_conversations(request: web.Request) -> web.StreamResponse:
    """`GET /api/conversations`."""
    query = _query(request)
    page = await request.app[CONVERSATIONS].page(
        request[OWNER], query.limit, query.after, query.words
    )
    following = None if page.last else _cursor_after(page.items[-1])
    return _json(ConversationList(page.items, following))


async def show_conversation(request: web.Request) -> web.StreamResponse:
    """`GET /api/conversations/{conversation_id}`."""
    tree = request.query.get("tree", "false")
    if tree not in ("true", "false"):
        raise invalid([Fault("#/query/tree", "must be true or false")])
    # Asked before the store: a run that ends meanwhile can still be read.
    active = await request.app[CONVERSATIONS].running_in(
        request[OWNER], request.match_info["conversation_id"]
    )
    conversation = await _conversation(request)
    messages = conversation.messages if tree == "true" else conversation.active_branch()
    return _json(shown(conversation, messages, active))


async def change_conversation(request: web.Request) -> web.StreamResponse:
    """`PATCH /api/conversations/{conversation_id}`."""
    conversation_id = request.match_info["conversation_id"]
    change = await json_body(request)
    conversations = request.app[CONVERSATIONS]
    return _json(await conversations.change(request[OWNER], conversation_id, change))


async def delete_conversation(request: web.Request) -> web.StreamResponse:
    """`DELETE /api/conversations/{conversation_id}`."""
    conversation_id = request.match_info["conversation_id"]
    await request.app[CONVERSATIONS].delete(request[OWNER], conversation_id)
    return web.Response(status=web.HTTPNoContent.status_code)


async def export_conversation(request: web.Request) -> web.StreamResponse:
    """`GET /api/conversations/{conversation_id}/export`: a download."""
    name = request.query.get("format", "json")
    if name not in FORMATS:
        raise invalid([Fault("#/query/format", f"must be one of {', '.join(FORMATS)}")])
    conversation = await _conversation(request)
    render, content_type, ending = FORMATS[name]
    return web.Response(
        body=render(conversation),
        content_type=content_type,
        charset="utf-8",
        headers={
            hdrs.CONTENT_DISPOSITION: (
                f'attachment; filename="conversation-{conversation.conversation_id}.{ending}"'
            )
        },
    )


async def _conversation(request: web.Request) -> Conversation:
    conversation_id = request.match_info["conversation_id"]
    return await request.app[CONVERSATIONS].get(request[OWNER], conversation_id)


def _query(request: web.Request) -> _Query:
    faults = []
    limit, cursor, sought = (request.query.get(name) for name in ("limit", "cursor", "q"))
    number = int(limit) if limit and _NUMBER.fullmatch(limit) else 0
    if limit is not None and not 1 <= number <= MOST:
        faults.append(Fault("#/query/limit", f"must be a whole number from 1 to {MOST}"))
    after = None
    if cursor:
        try:
            after = _position(cursor)
        except ValueError:
            faults.append(Fault("#/query/cursor", "must be a next_cursor of this list"))
    if sought and len(sought) > LONGEST_QUERY:
        faults.append(Fault("#/query/q", f"must have up to {LONGEST_QUERY} characters"))
    if faults:
        raise invalid(faults)
    return _Query(number or DEFAULT_LIMIT, after, words(sought or ""))


def _cursor_after(last: Summary) -> str:
    data = encode((last.updated_at, last.conversation_id))
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _position(cursor: str) -> Position:
    """Raises ValueError."""
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        updated_at, conversation_id = msgspec.json.decode(data, type=tuple[str, str])
    except (binascii.Error, msgspec.MsgspecError, UnicodeError) as exc:
        raise ValueError("not a cursor") from exc
    return Position(updated_at, conversation_id)


def _json(value: object) -> web.Response:
    return web.Response(body=encode(value), content_type="application/json")
