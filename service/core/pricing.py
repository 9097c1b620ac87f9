"""What does an answer cost?"""

from service.core.catalogue import Pricing
from service.core.conversation import Usage

MILLION = 1_000_000
DIGITS = 9
"""After the point: a thousandth of what the cheapest token costs."""


def cost_of(usage: Usage | None, pricing: Pricing | None) -> float | None:
    """US dollars for the tokens of an answer; None where tokens or prices are not known.

    Cached tokens of a prompt cost their own price where there is one
    (https://console.groq.com/docs/prompt-caching).
    """
    if usage is None or pricing is None:
        return None
    cached_price = pricing.cached_prompt_per_million
    if cached_price is None:
        cached_price = pricing.prompt_per_million
    fresh = max(0, usage.prompt_tokens - usage.cached_tokens)
    dollars = (
        fresh * pricing.prompt_per_million
        + usage.cached_tokens * cached_price
        + usage.completion_tokens * pricing.completion_per_million
    ) / MILLION
    return round(dollars, DIGITS)
