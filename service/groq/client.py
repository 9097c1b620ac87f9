"""How does the SDK reach Groq? Its client, set up for many long streams."""

import groq
import httpx

KEEPALIVE_SECONDS = 60
"""How long an idle connection stays open: a new one costs a TLS handshake."""
SPARE_CONNECTIONS = 8
"""Beside the runs': the list of models."""


def make_client(
    api_key: str, base_url: str, *, connections: int, connect_timeout_seconds: float
) -> groq.AsyncGroq:
    """A client on the aiohttp transport that never retries by itself: the policy is ours.

    `base_url` is the host; the SDK appends `/openai/v1/…`, so a trailing `/openai/v1` is cut.
    Reading has no time limit here; who reads has the deadline.
    """
    most = connections + SPARE_CONNECTIONS
    timeout = httpx.Timeout(None, connect=connect_timeout_seconds)
    limits = httpx.Limits(
        max_connections=most,
        max_keepalive_connections=most,
        keepalive_expiry=KEEPALIVE_SECONDS,
    )
    return groq.AsyncGroq(
        api_key=api_key,
        base_url=base_url.rstrip("/").removesuffix("/openai/v1"),
        timeout=timeout,
        max_retries=0,
        http_client=groq.DefaultAioHttpClient(timeout=timeout, limits=limits),
    )
