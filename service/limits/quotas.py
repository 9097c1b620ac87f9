"""Has an owner started, or spent, too much? Fixed windows, counted by the library limits."""

import asyncio
import math
from collections.abc import Sequence

from attrs import frozen
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter

from service.core.errors import Kind, ServiceError
from service.core.ports import Quotas
from service.core.quota import Admission, Quota, Rate, RateLimits
from service.limits.counters import Counters


def open_quotas(limits: RateLimits) -> Quotas:
    """What counts for these limits, in memory; nothing where there are none."""
    if limits.requests is None and limits.tokens is None:
        return NoQuotas()
    return LimitedQuotas(limits, Counters())


class NoQuotas:
    """Lets everything in (`service.core.ports.Quotas`)."""

    async def admit(self, owner: str) -> None:
        """Count nothing."""

    async def give_back(self, admission: Admission) -> None:
        """Never called: nothing was counted."""

    async def spend(self, admission: Admission, tokens: int) -> Quota:
        """Never called: nothing was counted."""
        return admission.quota


@frozen
class _Limit:
    """A rate, and what it is of: `requests`, `tokens`."""

    of: str
    rate: Rate
    item: RateLimitItem
    """The same for the library, which tells limits apart by their namespace."""


class LimitedQuotas:
    """Counts in a storage of the library's (`service.core.ports.Quotas`).

    A run counts from its admission on, and not from its start, so that however many ask at once,
    here or in another process, no more are let in than the limit.
    """

    def __init__(self, limits: RateLimits, storage: Storage) -> None:
        self._limiter = FixedWindowRateLimiter(storage)
        self._requests = limits.requests and _limit("requests", limits.requests)
        self._tokens = limits.tokens and _limit("tokens", limits.tokens)
        self._limits = [limit for limit in (self._requests, self._tokens) if limit]
        """At least one; that of requests comes first."""

    async def admit(self, owner: str) -> Admission:
        """Count a run; raises `rate-limited`, by the limit that is exhausted for longest."""
        exhausted = [await self._refusal(limit, owner) for limit in await self._exhausted(owner)]
        if exhausted:
            raise max(exhausted, key=lambda refusal: refusal.problem.retry_after or 0)
        if self._requests and not await self._limiter.hit(self._requests.item, owner):
            await self._limiter.hit(self._requests.item, owner, cost=-1)  # others were faster
            raise await self._refusal(self._requests, owner)
        quotas = [await self._left(limit, owner) for limit in self._limits]
        return Admission(owner, quotas[0].resets_at, _tightest(quotas))

    async def give_back(self, admission: Admission) -> None:
        """Take a run out of its window, unless that has ended."""
        if self._requests and admission.counted_until > _now():
            await self._limiter.hit(self._requests.item, admission.owner, cost=-1)

    async def spend(self, admission: Admission, tokens: int) -> Quota:
        """Count tokens in the window that is open now, beyond its limit where it must be."""
        if self._tokens and tokens:
            await self._limiter.hit(self._tokens.item, admission.owner, cost=tokens)
        return _tightest([await self._left(limit, admission.owner) for limit in self._limits])

    async def _exhausted(self, owner: str) -> list[_Limit]:
        return [limit for limit in self._limits if not await self._limiter.test(limit.item, owner)]

    async def _left(self, limit: _Limit, owner: str) -> Quota:
        ends, remaining = await self._limiter.get_window_stats(limit.item, owner)
        now, rate = _now(), limit.rate
        return Quota(rate.amount, remaining, ends if ends > now else now + rate.seconds)

    async def _refusal(self, limit: _Limit, owner: str) -> ServiceError:
        left, rate = await self._left(limit, owner), limit.rate
        seconds = max(1, math.ceil(left.resets_at - _now()))
        return ServiceError(
            Kind.RATE_LIMITED,
            f"the limit of {limit.of}, {rate.amount} per {rate.window}, is reached;"
            f" it resets in {seconds} s",
            retry_after=seconds,
            quota=Quota(rate.amount, 0, left.resets_at),
        )


def _limit(of: str, rate: Rate) -> _Limit:
    return _Limit(of, rate, RateLimitItemPerSecond(rate.amount, rate.seconds, namespace=of))


def _tightest(quotas: Sequence[Quota]) -> Quota:
    """That of which the smallest part is left."""
    return min(quotas, key=lambda quota: quota.remaining / quota.limit)


def _now() -> float:
    return asyncio.get_running_loop().time()
