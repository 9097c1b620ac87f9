"""How much may an owner start? Rates, and what is left of them."""

from attrs import frozen

_UNITS = {86_400: "day", 3_600: "hour", 60: "minute", 1: "second"}


@frozen
class Rate:
    """So many in a window of so many seconds."""

    amount: int
    seconds: int

    @property
    def window(self) -> str:
        """The window in words: `minute`, `10 minutes`."""
        unit_seconds, unit = next(
            (seconds, unit) for seconds, unit in _UNITS.items() if self.seconds % seconds == 0
        )
        count = self.seconds // unit_seconds
        return unit if count == 1 else f"{count} {unit}s"


@frozen
class RateLimits:
    """What every owner may have; None where there is no limit."""

    requests: Rate | None = None
    """Runs that start."""
    tokens: Rate | None = None
    """Of prompts and answers."""


@frozen
class Quota:
    """What an owner has left of a limit; where there are several, of the one nearest its end."""

    limit: int
    remaining: int
    resets_at: float
    """By the loop's clock."""


@frozen
class Admission:
    """A run that was let in; it counts, unless it is given back."""

    owner: str
    counted_until: float
    """When its window ends, and with it what it counts, by the loop's clock."""
    quota: Quota
    """What is left with this run."""
