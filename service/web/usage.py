"""How is it asked over HTTP what was spent?"""

import re
from datetime import UTC, datetime, timedelta

from aiohttp import web
from msgspec import Struct, convert, field

from service.core.accounts import Account, Period, stamp
from service.core.errors import Fault, invalid
from service.core.events import encode
from service.core.spending import By
from service.web.keys import ACCOUNTS, OWNER

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(_DATE.pattern + r"T[0-9:]{8}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")
_WRONG = "must be a date as 2025-01-31, or a time as 2025-01-31T12:00:00Z (a + is written %2B)"


class UsageSum(Struct, frozen=True, kw_only=True):
    """What answers cost together, as far as it is known."""

    answers: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    reasoning_tokens: int
    """Of the completion tokens."""
    cached_tokens: int
    """Of the prompt tokens."""
    seconds: float
    cost: float
    """US dollars by the prices of the catalogue."""
    unpriced: int
    """Answers whose cost is not known, so not in `cost`."""


class UsageItem(UsageSum, frozen=True, kw_only=True):
    """The sum of one day or model."""

    key: str
    """A day in UTC or the id of a model."""


class UsageReport(Struct, frozen=True, kw_only=True):
    """What an owner's answers of a period cost."""

    start: str = field(name="from")
    end: str = field(name="to")
    """The first moment after the period."""
    group_by: By
    items: tuple[UsageItem, ...]
    """By key; those without answers are left out."""
    total: UsageSum


async def show_usage(request: web.Request) -> web.StreamResponse:
    """`GET /api/usage`."""
    accounts = request.app[ACCOUNTS]
    period, by = _query(request)
    account = await accounts.of(request[OWNER], period, by)
    return web.Response(body=encode(_report(account)), content_type="application/json")


def _query(request: web.Request) -> tuple[Period, By]:
    faults: list[Fault] = []
    start, end = (_moment(request, name, faults) for name in ("from", "to"))
    group_by = request.query.get("group_by", By.DAY)
    if group_by not in list(By):
        faults.append(Fault("#/query/group_by", f"must be one of {', '.join(By)}"))
    if faults:
        raise invalid(faults)
    try:
        return request.app[ACCOUNTS].period(start, end), By(group_by)
    except ValueError:
        raise invalid([Fault("#/query/from", "must not be after the end of the period")]) from None


def _moment(request: web.Request, name: str, faults: list[Fault]) -> datetime | None:
    """The moment that a member of the query means; of a date for `to` the end of its day."""
    given = request.query.get(name)
    if given is None:
        return None
    try:
        if _DATE.fullmatch(given):
            day = datetime.fromisoformat(given).replace(tzinfo=UTC)
            moment = day + timedelta(days=1) if name == "to" else day
        elif _TIME.fullmatch(given):
            moment = datetime.fromisoformat(given).astimezone(UTC)
        else:
            raise ValueError(given)
        stamp(moment)
    except (ValueError, OverflowError):
        faults.append(Fault(f"#/query/{name}", _WRONG))
        return None
    return moment


def _report(account: Account) -> UsageReport:
    return UsageReport(
        start=account.period.start,
        end=account.period.end,
        group_by=account.by,
        items=tuple(convert(item, UsageItem, from_attributes=True) for item in account.items),
        total=convert(account.total, UsageSum, from_attributes=True),
    )
