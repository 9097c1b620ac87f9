"""What was spent? What each answer cost, and sums of it."""

from collections.abc import Iterable
from enum import StrEnum

from attrs import asdict, frozen

from service.core.conversation import MILLI, NANO, Answer, Usage


class By(StrEnum):
    """What sums are made by."""

    DAY = "day"
    """In UTC, as `2025-01-31`."""
    MODEL = "model"


@frozen
class Expense:
    """What one answer cost, without what was said."""

    owner: str
    created_at: str
    model: str
    usage: Usage | None
    milliseconds: int | None
    nanodollars: int | None

    def key(self, by: By) -> str:
        """Where it is added."""
        return self.model if by is By.MODEL else self.created_at[: len("2025-01-31")]


def expense_of(owner: str, answer: Answer) -> Expense:
    """What an answer cost, as far as it is known yet."""
    return Expense(
        owner,
        answer.created_at,
        answer.model,
        answer.usage,
        answer.milliseconds,
        answer.nanodollars,
    )


@frozen
class Spent:
    """What answers cost together, as far as it is known."""

    key: str
    """A day or a model."""
    answers: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    reasoning_tokens: int
    cached_tokens: int
    milliseconds: int
    nanodollars: int
    unpriced: int
    """Answers whose cost is not known, so not in `nanodollars`; also those that are under way."""

    @property
    def seconds(self) -> float:
        """How long they took, one after the other."""
        return self.milliseconds / MILLI

    @property
    def cost(self) -> float:
        """US dollars."""
        return self.nanodollars / NANO


NOTHING = Usage(0, 0, 0)


def sum_of(key: str, expenses: Iterable[Expense]) -> Spent:
    """What these answers cost together."""
    return total_of(key, (_alone(key, expense) for expense in expenses))


def total_of(key: str, parts: Iterable[Spent]) -> Spent:
    """Sums of sums."""
    sums = dict.fromkeys(_SUMMED, 0)
    for part in parts:
        for name in _SUMMED:
            sums[name] += getattr(part, name)
    return Spent(key, **sums)


_SUMMED = tuple(name for name in Spent.__annotations__ if name != "key")


def _alone(key: str, expense: Expense) -> Spent:
    return Spent(
        key,
        answers=1,
        **asdict(expense.usage or NOTHING),
        milliseconds=expense.milliseconds or 0,
        nanodollars=expense.nanodollars or 0,
        unpriced=expense.nanodollars is None,
    )
