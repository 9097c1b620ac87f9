"""What is a client told of its limits? Four header fields.

They are those of draft-ietf-httpapi-ratelimit-headers-06. Later drafts put all into one `RateLimit`
field, and changed its syntax more than once; what clients read are these.
"""

import math
from collections.abc import Mapping

from service.core.quota import Quota, RateLimits

LIMIT, REMAINING, RESET = "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"
POLICY = "RateLimit-Policy"
LIMITS = (LIMIT, REMAINING, RESET, POLICY)


def limit_headers(quota: Quota, policy: str, now: float) -> Mapping[str, str]:
    """What is left at a time of the loop's clock; nothing where that has changed since."""
    seconds = math.ceil(quota.resets_at - now)
    if seconds <= 0:
        return {}
    headers = {
        LIMIT: str(quota.limit),
        REMAINING: str(quota.remaining),
        RESET: str(seconds),
    }
    return headers | {POLICY: policy} if policy else headers


def policy_of(limits: RateLimits) -> str:
    """Every limit that has a window, and its window's seconds."""
    rates = {"requests": limits.requests, "tokens": limits.tokens}
    return ", ".join(
        f'{rate.amount};w={rate.seconds};comment="{of}"' for of, rate in rates.items() if rate
    )
