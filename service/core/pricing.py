"""What does an answer cost?"""

from service.core.catalogue import Pricing
from service.core.conversation import NANO, Usage

NANODOLLARS_PER_MILLIONTH = 1000


def cost_of(usage: Usage | None, pricing: Pricing | None) -> float | None:
    """US dollars for the tokens of an answer; None where tokens or prices are not known."""
    cost = nanodollars_of(usage, pricing)
    return None if cost is None else cost / NANO


def nanodollars_of(usage: Usage | None, pricing: Pricing | None) -> int | None:
    """The same in billionths, of which a token costs some forty or more.

    Cached tokens of a prompt cost their own price where there is one
    (https://console.groq.com/docs/prompt-caching).
    """
    if usage is None or pricing is None:
        return None
    cached_price = pricing.cached_prompt_per_million
    if cached_price is None:
        cached_price = pricing.prompt_per_million
    fresh = max(0, usage.prompt_tokens - usage.cached_tokens)
    millionths = (
        fresh * pricing.prompt_per_million
        + usage.cached_tokens * cached_price
        + usage.completion_tokens * pricing.completion_per_million
    )
    return round(millionths * NANODOLLARS_PER_MILLIONTH)
