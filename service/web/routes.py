"""Which path leads where?"""

from collections.abc import Sequence

from aiohttp import web

from service.web import (
    asyncapi,
    chat,
    conversations,
    docs,
    handshake,
    health,
    metrics,
    models,
    openapi,
    playground,
    runs,
    static,
    usage,
)
from service.web.authentication import SOCKET_PATH

_CONVERSATION = "/api/conversations/{conversation_id}"
_RUN = "/api/runs/{run_id}"

ROUTES: Sequence[web.RouteDef] = (
    web.post("/api/chat/stream", chat.stream_chat),
    web.post("/api/chat", chat.chat),
    web.get(SOCKET_PATH, handshake.chat_socket, allow_head=False),
    web.post("/api/runs", chat.start_run),
    web.get(_RUN, runs.run_state, allow_head=False),
    web.get(f"{_RUN}/events", runs.run_events, allow_head=False),
    web.post(f"{_RUN}/cancel", runs.cancel_run),
    web.get("/api/conversations", conversations.list_conversations, allow_head=False),
    web.get(_CONVERSATION, conversations.show_conversation, allow_head=False),
    web.patch(_CONVERSATION, conversations.change_conversation),
    web.delete(_CONVERSATION, conversations.delete_conversation),
    web.post(f"{_CONVERSATION}/messages/{{message_id}}/regenerate", chat.regenerate),
    web.get(f"{_CONVERSATION}/export", conversations.export_conversation, allow_head=False),
    web.get("/api/models", models.list_models, allow_head=False),
    web.get("/api/usage", usage.show_usage, allow_head=False),
    web.get("/openapi.json", openapi.openapi, allow_head=False),
    web.get("/asyncapi.json", asyncapi.asyncapi, allow_head=False),
    web.get("/docs", docs.docs),
    web.get("/", playground.playground),
    web.get("/static/{path:.+}", static.static_file),
    web.get("/health", health.health),
    web.get("/health/live", health.live),
    web.get("/health/ready", health.ready),
    web.get("/metrics", metrics.metrics, allow_head=False),
)
