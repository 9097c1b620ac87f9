"""What can be asked over HTTP? Every route, with what it takes and what it answers."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import attrs

from service.core.catalogue import Model
from service.core.conversation import Summary
from service.core.errors import Kind
from service.core.events import encode
from service.core.request import ChatRequest, ConversationChange, RegenerateRequest
from service.core.run import RunState
from service.web import parameters
from service.web.chat import ChatAnswer, StartedRun
from service.web.conversations import ConversationList
from service.web.examples import (
    ANSWERS,
    CHANGES,
    CHAT_REQUESTS,
    EVENTS,
    REGENERATIONS,
    RUN_ID,
)
from service.web.export import FORMATS, ExportedConversation, ShownConversation
from service.web.health import Health, Liveness, Readiness
from service.web.operation import (
    JSON,
    Answer,
    Body,
    Content,
    Link,
    Operation,
    Tag,
    json_of,
)
from service.web.pages import PAGES
from service.web.ratelimit import LIMITS
from service.web.schemas import REF, Schema, ref
from service.web.usage import UsageReport

_SOCKET = "/api/chat/ws"
_CONVERSATION = "/api/conversations/{conversation_id}"
_RUN = "/api/runs/{run_id}"

# Problems.

_BODY = (
    Kind.MALFORMED_JSON,
    Kind.PAYLOAD_TOO_LARGE,
    Kind.UNSUPPORTED_MEDIA_TYPE,
    Kind.VALIDATION_ERROR,
)
_RUN_GONE = (Kind.RUN_NOT_FOUND, Kind.RUN_EXPIRED)
_STORED = (Kind.CONVERSATION_NOT_FOUND, Kind.STORE_UNAVAILABLE)
_START = (
    *_BODY,
    *_STORED,
    Kind.MESSAGE_NOT_FOUND,
    Kind.CONVERSATION_BUSY,
    Kind.IDEMPOTENCY_CONFLICT,
    Kind.UNKNOWN_MODEL,
    Kind.MODEL_UNAVAILABLE,
    Kind.CONTEXT_TOO_LONG,
    Kind.RATE_LIMITED,
    Kind.OVERLOADED,
    Kind.DRAINING,
    Kind.INTERRUPTED,
    Kind.UPSTREAM_TIMEOUT,
)
_ASKED = (
    *_START,
    Kind.UPSTREAM_RATE_LIMITED,
    Kind.UPSTREAM_TOO_LARGE,
    Kind.UPSTREAM_AUTH,
    Kind.UPSTREAM_REJECTED,
    Kind.UPSTREAM_ERROR,
)

# Answers.

EVENT_FRAME = "EventFrame"
"""The schema of one event of a stream."""
_FRAMES = {
    "text/event-stream": Content(
        {"$ref": REF.format(name=EVENT_FRAME)},
        {
            f"{name}: {example.note}": {
                "data": encode(example.event).decode(),
                "id": f"{RUN_ID}:{example.seq}",
            }
            for name, examples in EVENTS.items()
            for example in examples
        },
    )
}
_STREAM = Answer(
    HTTPStatus.OK,
    "The events of the run, from `started` to `finished` or `failed`. A comment line,"
    " `: keep-alive`, is sent when nothing else is.",
    _FRAMES,
    ("X-Run-Id", "X-Run-Recovered", "Cache-Control", "X-Accel-Buffering"),
)
_STARTED_STREAM = attrs.evolve(_STREAM, headers=(*_STREAM.headers, *LIMITS))
_TO_RUN = tuple(
    Link(name, {"run_id": "/run_id"}) for name in ("run_state", "run_events", "cancel_run")
)
_TO_CONVERSATION = tuple(
    Link(name, {"conversation_id": "/conversation_id"})
    for name in ("show_conversation", "change_conversation", "export_conversation")
)
_STATE = Answer(
    HTTPStatus.OK,
    "The state of the run.",
    json_of(RunState, ANSWERS[RunState]),
    ("X-Run-Id",),
    _TO_RUN,
)


def _ok(about: str, kind: type, links: Sequence[Link] = ()) -> Answer:
    return Answer(HTTPStatus.OK, about, json_of(kind, ANSWERS.get(kind)), links=links)


def _document(name: str, about: str) -> Operation:
    content = {JSON: Content({"type": "object"})}
    answer = Answer(HTTPStatus.OK, "The description.", content)
    return Operation(name, Tag.CONTRACT, about, [answer], public=True)


_MODELS: Schema = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": ref(Model)}},
    "required": ["items"],
}

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/api/chat/stream"): Operation(
        "stream_chat",
        Tag.CHAT,
        "Start a run and stream it.",
        [_STARTED_STREAM],
        [parameters.KEY, parameters.LAST_EVENT_ID],
        Body(ChatRequest, CHAT_REQUESTS),
        (*_ASKED, *_RUN_GONE),
    ),
    ("POST", "/api/chat"): Operation(
        "chat",
        Tag.CHAT,
        "Start a run, and answer when it ends.",
        [
            Answer(
                HTTPStatus.OK,
                "The whole answer.",
                json_of(ChatAnswer, ANSWERS[ChatAnswer]),
                ("X-Run-Id", *LIMITS),
                (*_TO_RUN, *_TO_CONVERSATION),
            )
        ],
        [parameters.KEY],
        Body(ChatRequest, CHAT_REQUESTS),
        _ASKED,
    ),
    ("GET", _SOCKET): Operation(
        "chat_socket",
        Tag.CHAT,
        "Open a WebSocket; `/asyncapi.json` tells what is said on it.",
        [Answer(HTTPStatus.SWITCHING_PROTOCOLS, "The WebSocket is open.")],
        parameters.HANDSHAKE,
        problems=(
            Kind.VALIDATION_ERROR,
            Kind.RATE_LIMITED,
            Kind.OVERLOADED,
        ),
    ),
    ("POST", "/api/runs"): Operation(
        "start_run",
        Tag.RUNS,
        "Start a run that another connection reads.",
        [
            Answer(
                HTTPStatus.ACCEPTED,
                "The run has begun.",
                json_of(StartedRun, ANSWERS[StartedRun]),
                ("X-Run-Id", "Location", *LIMITS),
                _TO_RUN,
            )
        ],
        [parameters.KEY],
        Body(ChatRequest, CHAT_REQUESTS),
        _START,
    ),
    ("GET", _RUN): Operation(
        "run_state", Tag.RUNS, "Show a run.", [_STATE], [parameters.RUN_ID], problems=_RUN_GONE
    ),
    ("GET", f"{_RUN}/events"): Operation(
        "run_events",
        Tag.RUNS,
        "Stream a run from any of its events on; a reader comes and goes as it likes.",
        [
            _STREAM,
            Answer(
                HTTPStatus.NO_CONTENT,
                "The run has ended, and the last event was had before.",
                headers=("X-Run-Id",),
            ),
        ],
        [parameters.RUN_ID, parameters.LAST_EVENT_ID, parameters.AFTER],
        problems=(*_RUN_GONE, Kind.VALIDATION_ERROR),
    ),
    ("POST", f"{_RUN}/cancel"): Operation(
        "cancel_run",
        Tag.RUNS,
        "Cancel a run; one that has ended stays as it is.",
        [_STATE],
        [parameters.RUN_ID],
        problems=_RUN_GONE,
    ),
    ("GET", "/api/conversations"): Operation(
        "list_conversations",
        Tag.CONVERSATIONS,
        "List conversations, those changed last first.",
        [
            _ok(
                "A page.",
                ConversationList,
                [Link("list_conversations", {"cursor": "/next_cursor"})],
            )
        ],
        parameters.LIST,
        problems=(Kind.VALIDATION_ERROR, Kind.STORE_UNAVAILABLE),
    ),
    ("GET", _CONVERSATION): Operation(
        "show_conversation",
        Tag.CONVERSATIONS,
        "Show a conversation with its messages.",
        [
            _ok(
                "The conversation.",
                ShownConversation,
                [
                    Link(
                        "regenerate",
                        {
                            "conversation_id": "/conversation_id",
                            "message_id": "/active_message_id",
                        },
                    ),
                    Link("delete_conversation", {"conversation_id": "/conversation_id"}),
                ],
            )
        ],
        [parameters.CONVERSATION_ID, parameters.TREE],
        problems=(*_STORED, Kind.VALIDATION_ERROR),
    ),
    ("PATCH", _CONVERSATION): Operation(
        "change_conversation",
        Tag.CONVERSATIONS,
        "Set a title, switch to another branch, or both.",
        [_ok("The conversation as the list shows it.", Summary, _TO_CONVERSATION)],
        [parameters.CONVERSATION_ID],
        Body(ConversationChange, CHANGES),
        (*_BODY, *_STORED, Kind.MESSAGE_NOT_FOUND),
    ),
    ("DELETE", _CONVERSATION): Operation(
        "delete_conversation",
        Tag.CONVERSATIONS,
        "Remove a conversation; a run that is under way in it is cancelled.",
        [Answer(HTTPStatus.NO_CONTENT, "It is gone.")],
        [parameters.CONVERSATION_ID],
        problems=_STORED,
    ),
    ("POST", f"{_CONVERSATION}/messages/{{message_id}}/regenerate"): Operation(
        "regenerate",
        Tag.CONVERSATIONS,
        "Stream a new answer beside an old one.",
        [_STARTED_STREAM],
        [parameters.CONVERSATION_ID, parameters.MESSAGE_ID, parameters.KEY],
        Body(RegenerateRequest, REGENERATIONS, required=False),
        _ASKED,
    ),
    ("GET", f"{_CONVERSATION}/export"): Operation(
        "export_conversation",
        Tag.CONVERSATIONS,
        "Download a conversation: as JSON with every message, as Markdown its active branch.",
        [
            Answer(
                HTTPStatus.OK,
                "The download.",
                {
                    **json_of(ExportedConversation),
                    FORMATS["markdown"][1]: Content({"type": "string"}),
                },
                ("Content-Disposition",),
            )
        ],
        [parameters.CONVERSATION_ID, parameters.FORMAT],
        problems=(*_STORED, Kind.VALIDATION_ERROR),
    ),
    ("GET", "/api/usage"): Operation(
        "show_usage",
        Tag.USAGE,
        "Add up what your answers cost.",
        [_ok("By day or model, and in all.", UsageReport)],
        parameters.PERIOD,
        problems=(Kind.VALIDATION_ERROR, Kind.STORE_UNAVAILABLE),
    ),
    ("GET", "/api/models"): Operation(
        "list_models",
        Tag.MODELS,
        "List the models, and what each takes.",
        [Answer(HTTPStatus.OK, "The catalogue.", {JSON: Content(_MODELS)})],
    ),
    ("GET", "/openapi.json"): _document("openapi", "This description, OpenAPI 3.1."),
    ("GET", "/asyncapi.json"): _document("asyncapi", "The WebSocket, AsyncAPI 3.0."),
    **PAGES,
    ("GET", "/metrics"): Operation(
        "metrics",
        Tag.HEALTH,
        "Tell what was counted, to Prometheus.",
        [
            Answer(
                HTTPStatus.OK,
                "In the format that `Accept` asks for.",
                {
                    "text/plain": Content({"type": "string"}),
                    "application/openmetrics-text": Content({"type": "string"}),
                },
            )
        ],
        public=True,
    ),
    ("GET", "/health"): Operation(
        "health",
        Tag.HEALTH,
        "Tell of the service, to people.",
        [_ok("It is well.", Health)],
        problems=(Kind.STORE_UNAVAILABLE,),
        public=True,
        head=True,
    ),
    ("GET", "/health/live"): Operation(
        "live",
        Tag.HEALTH,
        "Tell whether the process answers.",
        [_ok("It does.", Liveness)],
        public=True,
        head=True,
    ),
    ("GET", "/health/ready"): Operation(
        "ready",
        Tag.HEALTH,
        "Tell whether requests can be served.",
        [
            _ok("They can.", Readiness),
            Answer(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "They cannot; `parts` says why.",
                json_of(Readiness),
            ),
        ],
        public=True,
        head=True,
    ),
}
"""By method and path, as in `ROUTES`."""
