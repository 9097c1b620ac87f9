"""How does the SDK reach Groq? Its client, set up for many long streams."""

import groq
import httpx

Client = groq.AsyncGroq

KEEPALIVE_SECONDS = 60
"""How long an idle connection stays open: a new one costs a TLS handshake."""
SPARE_CONNECTIONS = 8
"""Beside the runs': the list of models."""


def make_client(
    api_key: str, base_url: str, *, connections: int, connect_timeout_seconds: float
) -> Client:
    """A client on the aiohttp transport that never retries by itself: the policy is ours.

    Nor does it follow redirects: Groq sends none, and prompts go nowhere else.

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
        http_client=groq.DefaultAioHttpClient(
            timeout=timeout,
            limits=limits,
            follow_redirects=False,
            event_hooks={"response": [_read_refusal]},
        ),
    )


async def _read_refusal(response: httpx.Response) -> None:
    """Read what the SDK would read later: only here httpx closes a response that breaks off."""
    if not response.is_success:
        response.encoding = "utf-8"  # some that a header can name make the SDK stumble
        await response.aread()
