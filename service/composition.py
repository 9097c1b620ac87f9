"""Which parts is the service made of? Settings, store, Groq, limits and the web, joined."""

from datetime import UTC, datetime
from functools import partial

import uuid_utils
from aiohttp import web
from attrs import frozen

from service import __version__
from service.app import Core, Lifespan, make_app
from service.auth.authenticate import make_authenticator
from service.core.accounts import Accounts
from service.core.catalogue import Catalogue
from service.core.chat import Chat, Policy
from service.core.conversations import Conversations
from service.core.generation import GenerationLimits, Generator
from service.core.plan import Stamps
from service.core.ports import Authenticator, LanguageModel
from service.core.quota import RateLimits
from service.core.runs import RunLimits, Runs
from service.groq.client import Client
from service.groq.limits import UpstreamLimits
from service.groq.listing import Listing
from service.groq.model import GroqModel
from service.limits.quotas import open_quotas
from service.observability.lag import measuring_lag
from service.observability.metrics import Metrics
from service.observability.observer import LogObserver
from service.observability.observers import Observers
from service.observability.timed_store import TimedStore
from service.observability.tracing import Tracing
from service.settings import Settings
from service.store.open import open_store
from service.web.keys import Check, SocketSettings, WebSettings
from service.web.observer import Watch
from service.web.ratelimit import policy_of
from service.web.sockets import Sockets

RENEWALS_PER_LEASE = 5


@frozen
class Service:
    """A composed service, not serving yet."""

    app: web.Application
    chat: Chat


def new_id() -> str:
    """A UUIDv7."""
    return str(uuid_utils.uuid7())


def now() -> str:
    """The time in RFC 3339, UTC, with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def compose(
    settings: Settings,
    catalogue: Catalogue,
    client: Client,
    *,
    simulated: bool,
    tracing: Tracing | None = None,
) -> Service:
    """Join settings, store, Groq and the web."""
    metrics = Metrics(__version__)
    observer = Observers([LogObserver(), metrics], [tracing] if tracing else [])
    opened = open_store(
        settings.store_url,
        pool_size=settings.mongodb_pool_size,
        lease_seconds=settings.claim_lease,
    )
    store = TimedStore(opened, metrics.store_called)
    stamps = Stamps(new_id, now)
    runs = Runs(
        RunLimits(
            settings.max_active_runs,
            settings.run_retention,
            settings.run_retention_bytes,
            settings.rate_limit_concurrent_runs,
        )
    )
    rate_limits = RateLimits(settings.rate_limit_requests, settings.rate_limit_tokens)
    upstream = UpstreamLimits(
        settings.upstream_first_token_timeout,
        settings.upstream_idle_timeout,
        settings.upstream_max_retries,
        settings.upstream_max_retry_wait,
        settings.continue_interrupted,
    )
    headers = tracing.headers if tracing else None
    model: LanguageModel = GroqModel(
        client, upstream, observer, trace_headers=headers, simulated=simulated
    )
    if tracing:
        model = tracing.model(model, client.base_url.host, client.base_url.port)
    generator = Generator(
        model=model,
        store=store,
        runs=runs,
        quotas=open_quotas(rate_limits),
        observer=observer,
        stamps=stamps,
        limits=GenerationLimits(settings.max_run_duration, settings.drain_timeout),
    )
    chat = Chat(
        generator=generator,
        store=store,
        runs=runs,
        catalogue=catalogue,
        observer=observer,
        stamps=stamps,
        policy=Policy(
            unsupported=settings.unsupported_parameters,
            grace_seconds=settings.disconnect_grace,
            renewal_seconds=settings.claim_lease / RENEWALS_PER_LEASE,
        ),
    )
    listing = Listing(client, catalogue, observer)
    sockets = Sockets(settings.max_sockets, settings.max_sockets_per_address)
    metrics.read_from(
        active_runs=lambda: runs.active_count,
        readers=lambda: runs.reader_count,
        sockets=lambda: sockets.count,
    )
    authenticator = make_authenticator(
        settings.api_keys,
        settings.jwt_jwks,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        observer=observer,
    )
    checks: dict[str, Check] = {"store": store.ping, "groq": listing.check}
    lifespans: list[Lifespan] = [
        listing.following,
        chat.serving,
        partial(measuring_lag, metrics.loop_lagged),
    ]
    if authenticator:
        checks["authentication"] = authenticator.check
        lifespans.append(authenticator.serving)
    app = make_app(
        Core(chat, Conversations(store, runs), Accounts(store, stamps), catalogue),
        checks=checks,
        sockets=sockets,
        settings=_web_settings(
            settings, authenticator, store.kind, policy_of(rate_limits), simulated=simulated
        ),
        watch=Watch(metrics, metrics.exposition, [tracing.around()] if tracing else []),
        lifespans=lifespans,
    )
    return Service(app, chat)


def _web_settings(
    settings: Settings,
    authenticator: Authenticator | None,
    store_kind: str,
    ratelimit_policy: str,
    *,
    simulated: bool,
) -> WebSettings:
    return WebSettings(
        version=__version__,
        authenticator=authenticator,
        store_kind=store_kind,
        simulated=simulated,
        cors_origins=settings.cors_origins,
        allowed_hosts=settings.allowed_hosts,
        max_body_bytes=settings.max_body_bytes,
        keepalive_seconds=settings.keepalive_interval,
        send_timeout_seconds=settings.send_timeout,
        socket=SocketSettings(
            runs=settings.socket_max_runs,
            messages_per_second=settings.socket_messages_per_second,
            messages_burst=settings.socket_messages_burst,
            ping_seconds=settings.socket_ping_interval,
        ),
        playground=settings.shows_playground,
        ratelimit_policy=ratelimit_policy,
        new_id=new_id,
    )
