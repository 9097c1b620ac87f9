"""What does Groq say is left of its limits? The `x-ratelimit-…` headers of an answer or refusal."""

import math
import re
from collections.abc import Iterable

from attrs import frozen

_PREFIX = b"x-ratelimit-"
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(h|ms|m|s|us|µs|ns)")
_DURATION = re.compile(rf"(?:{_PART.pattern}){{1,5}}")
_COUNT = re.compile("[0-9]{1,15}")


@frozen
class Quota:
    """What may be used of something, which fills up evenly until it is at its limit.

    Groq's resets are the time until all is full again, in proportion to what is missing.
    """

    limit: int
    remaining: int
    per_second: float
    told_at: float
    """By the clock of the loop."""

    def left(self, now: float) -> float:
        """How much there should be by now."""
        return min(self.limit, self.remaining + self.per_second * (now - self.told_at))

    def seconds_until(self, amount: float, now: float) -> float:
        """How long it should take until there is so much; 0 where there is."""
        return max(0.0, (amount - self.left(now)) / self.per_second)


@frozen
class Quotas:
    """What a response said; None where it said nothing that can be understood."""

    requests: Quota | None
    tokens: Quota | None


LONGEST_BELIEVED_SECONDS = 60.0
"""A request is let through, or all tokens are back, after so long at the latest.

So a figure that is wrong, or a plan that was raised, does not shut a model off.
"""


def quotas_of(headers: Iterable[tuple[bytes, bytes]], now: float) -> Quotas:
    """Read the headers of a response: https://console.groq.com/docs/rate-limits."""
    found = {}
    for name, value in headers:
        if name[:12].lower() == _PREFIX:
            found[name[12:].lower().decode("latin-1")] = value.decode(errors="replace")
    return Quotas(
        requests=_quota(found, "requests", now, least=1),
        tokens=_quota(found, "tokens", now, least=None),
    )


def parse_duration(text: str) -> float | None:
    """Seconds of a duration as Go writes it, such as `2m59.56s` or `450ms`; None where it is none.

    See https://pkg.go.dev/time#Duration.String.
    """
    if not _DURATION.fullmatch(text):
        return None
    return math.fsum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def _quota(said: dict[str, str], what: str, now: float, *, least: int | None) -> Quota | None:
    """`least` is what comes back within `LONGEST_BELIEVED_SECONDS` at the least; None: all."""
    limit, remaining = _count(said, f"limit-{what}"), _count(said, f"remaining-{what}")
    reset = parse_duration(said.get(f"reset-{what}", ""))
    if not limit or remaining is None or reset is None:
        return None
    slowest = (least or limit) / LONGEST_BELIEVED_SECONDS
    missing = limit - remaining
    if missing <= 0:
        return Quota(limit, limit, slowest, now)
    return Quota(limit, remaining, max(missing / max(reset, 1e-3), slowest), now)


def _count(said: dict[str, str], name: str) -> int | None:
    text = said.get(name, "")
    return int(text) if _COUNT.fullmatch(text) else None
