"""What may an owner know of what was spent?"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from attrs import frozen

from service.core.plan import Stamps
from service.core.ports import ConversationStore
from service.core.spending import By, Spent, total_of

USUAL = timedelta(days=30)
"""Before the end of a period whose start is not given."""
ONE_DAY = timedelta(days=1)
EARLIEST = datetime.min.replace(tzinfo=UTC)


@frozen
class Period:
    """From one time on until before another; both as answers have them."""

    start: str
    end: str


@frozen
class Account:
    """What was spent in a period."""

    period: Period
    by: By
    items: Sequence[Spent]
    total: Spent


class Accounts:
    """Adds up what answers cost."""

    def __init__(self, store: ConversationStore, stamps: Stamps) -> None:
        self._store = store
        self._stamps = stamps

    def period(self, start: datetime | None, end: datetime | None) -> Period:
        """The period between two times: to the end of this day, and 30 days, where not given.

        Raises `ValueError` where it ends before it starts.
        """
        if end is None:
            today = datetime.fromisoformat(self._stamps.now())
            end = today.replace(hour=0, minute=0, second=0, microsecond=0) + ONE_DAY
        if start is None:
            start = end - min(USUAL, end - EARLIEST)
        if end < start:
            raise ValueError("the period ends before it starts")
        return Period(stamp(start), stamp(end))

    async def of(self, owner: str, period: Period, by: By) -> Account:
        """What an owner's answers cost that were begun in a period."""
        items = await self._store.usage(owner, period.start, period.end, by)
        return Account(period, by, items, total_of("", items))


def stamp(moment: datetime) -> str:
    """A time in UTC as answers have theirs: the first millisecond that is not before it.

    Raises `OverflowError` where a year would need five digits.
    """
    whole = moment + timedelta(microseconds=999)
    return whole.isoformat(timespec="milliseconds").replace("+00:00", "Z")
