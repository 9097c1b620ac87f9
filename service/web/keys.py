"""What do handlers find on the application and on a request?"""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from attrs import frozen

from service.core.accounts import Accounts
from service.core.catalogue import Catalogue
from service.core.chat import Chat
from service.core.conversations import Conversations
from service.core.ports import Authenticator
from service.core.quota import Quota
from service.web.files import Files
from service.web.observer import Exposition, RequestObserver
from service.web.sockets import Sockets

Check = Callable[[], Awaitable[None]]
"""Raises `ServiceError` where a part that the service needs is down."""


@frozen
class SocketSettings:
    """What one WebSocket may do, and how many there may be."""

    runs: int
    messages_per_second: float
    messages_burst: int
    ping_seconds: float


@frozen
class WebSettings:
    """What the web layer is told of the settings."""

    version: str
    authenticator: Authenticator | None
    """None where nobody has to say who they are."""
    store_kind: str
    simulated: bool
    cors_origins: tuple[str, ...]
    allowed_hosts: tuple[str, ...]
    """Names of the service; none: any that a proxy passes on."""
    max_body_bytes: int
    keepalive_seconds: float
    send_timeout_seconds: float
    socket: SocketSettings
    playground: bool
    ratelimit_policy: str
    """Empty where owners have no limits."""
    new_id: Callable[[], str]


CHAT = web.AppKey("chat", Chat)
CONVERSATIONS = web.AppKey("conversations", Conversations)
ACCOUNTS = web.AppKey("accounts", Accounts)
CATALOGUE = web.AppKey("catalogue", Catalogue)
CHECKS = web.AppKey("checks", Mapping[str, Check])
SETTINGS = web.AppKey("settings", WebSettings)
SOCKETS = web.AppKey("sockets", Sockets)
FILES = web.AppKey("files", Files)
OPENAPI = web.AppKey("openapi", bytes)
"""The description of the HTTP API, as JSON."""
ASYNCAPI = web.AppKey("asyncapi", bytes)
"""The description of the socket, as JSON."""

OBSERVER = web.AppKey("observer", RequestObserver)
METRICS = web.AppKey("metrics", Exposition)

REQUEST_ID = web.RequestKey("request_id", str)
OWNER = web.RequestKey("owner", str)
"""Who asks; everything that the request begins is theirs."""
RUN_ID = web.RequestKey("run_id", str)
QUOTA = web.RequestKey("quota", Quota)
"""What the owner has left, as the response tells."""
STREAMED = web.RequestKey("streamed", bool)
