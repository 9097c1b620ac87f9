"""How are figures shown? Medians over the rounds, and ratios between targets, in Markdown."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from attrs import frozen

from benchmarks.scenarios import Figure, Result

DIGITS = {
    Figure.SATURATED_CPU: 2,
    Figure.BURST_CPU: 2,
    Figure.PACED_CPU: 1,
    Figure.PACED_LATE: 1,
    Figure.TTFT_P50: 2,
    Figure.TTFT_P99: 2,
    Figure.STREAM_MEMORY: 1,
    Figure.SOCKET_MEMORY: 1,
}
NO_RATIO = {Figure.PACED_LATE, Figure.TTFT_P99, Figure.SOCKET_MEMORY}
"""Too small, or too seldom there, for a ratio to say something."""
NOTHING = "–"


@frozen
class Row:
    """One scenario of one target in one round."""

    round: int
    target: str
    scenario: str
    result: Result


class Tables:
    """Reads rows; a cell is a target's figure in all rounds."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._cells: dict[tuple[str, Figure], dict[int, float]] = {}
        self._bounds: set[tuple[str, Figure]] = set()
        for row in rows:
            for figure, value in row.result.figures.items():
                self._cells.setdefault((row.target, figure), {})[row.round] = value
                if row.result.client_limited:
                    self._bounds.add((row.target, figure))
        self._targets = list(dict.fromkeys(target for target, _ in self._cells))
        found = {figure for _, figure in self._cells}
        self._figures = [figure for figure in Figure if figure in found]

    def markdown(self, bases: Sequence[str]) -> str:
        """A table of medians, and for each base one of ratios to it."""
        parts = ["Medians (lowest–highest round):", self._table(self._figures, self._median)]
        ratios = [figure for figure in self._figures if figure not in NO_RATIO]
        for base in bases:
            if base in self._targets:
                parts.append(f"Times {base} (median of the ratios within each round):")
                parts.append(self._table(ratios, partial(self._ratio, base)))
        return "\n\n".join(parts)

    def _table(self, figures: Sequence[Figure], cell: Callable[[str, Figure], str]) -> str:
        lines = [["target", *figures], ["---", *["---:"] * len(figures)]]
        lines += [[name, *[cell(name, figure) for figure in figures]] for name in self._targets]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _median(self, target: str, figure: Figure) -> str:
        values = self._values(target, figure).values()
        if not values:
            return NOTHING
        bound = "≥ " if (target, figure) in self._bounds else ""
        median, low, high = (
            f"{value:.{DIGITS.get(figure, 0)}f}"
            for value in (statistics.median(values), min(values), max(values))
        )
        return f"{bound}{median} ({low}–{high})"

    def _ratio(self, base: str, target: str, figure: Figure) -> str:
        ours, theirs = self._values(target, figure), self._values(base, figure)
        ratios = [ours[number] / theirs[number] for number in ours if theirs.get(number)]
        return f"{statistics.median(ratios):.2f}" if ratios else NOTHING

    def _values(self, target: str, figure: Figure) -> dict[int, float]:
        return self._cells.get((target, figure), {})
