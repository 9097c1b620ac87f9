"""What can be sent beside a body? The parameters of operations."""

from collections.abc import Sequence

from service.core.run import START
from service.core.spending import By
from service.web import examples, runs
from service.web.body import IDEMPOTENCY_KEY, KEY_PATTERN
from service.web.conversations import DEFAULT_LIMIT, LONGEST_QUERY, MOST
from service.web.export import FORMATS
from service.web.middleware import WELL_FORMED, X_REQUEST_ID
from service.web.operation import Parameter, Place
from service.web.schemas import Schema
from service.web.ws import SUBPROTOCOL

_TEXT: Schema = {"type": "string"}

REQUEST_ID = Parameter(
    X_REQUEST_ID,
    Place.HEADER,
    f"An id of the request for logs, `{WELL_FORMED}`; another one is passed over.",
    _TEXT,
    "checkout-17",
)
RUN_ID = Parameter("run_id", Place.PATH, "Of a run.", _TEXT, examples.RUN_ID, required=True)
CONVERSATION_ID = Parameter(
    "conversation_id",
    Place.PATH,
    "Of a conversation.",
    _TEXT,
    examples.CONVERSATION_ID,
    required=True,
)
MESSAGE_ID = Parameter(
    "message_id",
    Place.PATH,
    "Of an answer in the conversation.",
    _TEXT,
    examples.MESSAGE_ID,
    required=True,
)
KEY = Parameter(
    IDEMPOTENCY_KEY,
    Place.HEADER,
    "The same key with the same body leads to the run that it started before.",
    {"type": "string", "pattern": KEY_PATTERN},
    examples.IDEMPOTENCY_KEY,
)
LAST_EVENT_ID = Parameter(
    runs.LAST_EVENT_ID,
    Place.HEADER,
    "The id of the last event that came, `RUN_ID:SEQ`: what follows it is sent. With it a POST"
    " resumes that run, whatever its body, and never starts one.",
    {"type": "string", "pattern": f"^({runs.EVENT_ID})?$"},
    f"{examples.RUN_ID}:1",
)
AFTER = Parameter(
    "after",
    Place.QUERY,
    f"The number of the last event that came, {START} for none; `{runs.LAST_EVENT_ID}` goes first.",
    {"type": "integer", "minimum": START, "maximum": runs.LAST_SEQ, "default": START},
    1,
)
PATH = Parameter(
    "path", Place.PATH, "Of a file; it may hold slashes.", _TEXT, "chat-client.js", required=True
)
IF_NONE_MATCH = Parameter(
    "If-None-Match",
    Place.HEADER,
    "The `ETag` of what the client has already.",
    {"type": "string"},
    '"0198c2"',
)
LIST = (
    Parameter(
        "limit",
        Place.QUERY,
        "Items on a page.",
        {"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT_LIMIT},
        DEFAULT_LIMIT,
    ),
    Parameter("cursor", Place.QUERY, "The `next_cursor` of the page before.", _TEXT, ""),
    Parameter(
        "q",
        Place.QUERY,
        "Words, or beginnings of words, in titles and messages; a conversation has to hold all.",
        {"type": "string", "maxLength": LONGEST_QUERY},
        "quantum comp",
    ),
)
TREE = Parameter(
    "tree",
    Place.QUERY,
    "Every message, in place of the active branch.",
    {"type": "boolean", "default": False},
    True,
)
FORMAT = Parameter(
    "format",
    Place.QUERY,
    "Of the download.",
    {"type": "string", "enum": [*FORMATS], "default": "json"},
    "markdown",
)
HANDSHAKE: Sequence[Parameter] = [
    Parameter(name, Place.HEADER, about, schema, example, required=required)
    for name, about, schema, example, required in (
        ("Upgrade", "To WebSocket.", {"const": "websocket"}, "websocket", True),
        ("Connection", "To be upgraded.", {"const": "Upgrade"}, "Upgrade", True),
        ("Sec-WebSocket-Version", "RFC 6455.", {"const": "13"}, "13", True),
        (
            "Sec-WebSocket-Key",
            "16 random bytes in base64.",
            {"type": "string", "pattern": "^[A-Za-z0-9+/]{21}[AQgw]==$"},
            "dGhlIHNhbXBsZSBub25jZQ==",
            True,
        ),
        (
            "Sec-WebSocket-Protocol",
            f"`{SUBPROTOCOL}` is selected where it is offered.",
            _TEXT,
            SUBPROTOCOL,
            False,
        ),
    )
]

_MOMENT: Schema = {
    "anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]
}
PERIOD: Sequence[Parameter] = (
    Parameter(
        "from",
        Place.QUERY,
        "The first day (UTC) or moment; by default 30 days before the end.",
        _MOMENT,
        "2025-01-01",
    ),
    Parameter(
        "to",
        Place.QUERY,
        "The last day, which is included, or the moment after the last; by default now.",
        _MOMENT,
        "2025-01-31",
    ),
    Parameter(
        "group_by",
        Place.QUERY,
        "What sums are made by.",
        {"type": "string", "enum": list(By), "default": By.DAY},
        By.MODEL,
    ),
)
