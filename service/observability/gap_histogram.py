"""How do the pauses of many answers become one metric? Added up when a run ends."""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from service.core.gaps import BOUNDS_SECONDS, Gaps

NAME = "chat_token_gap_seconds"
_LE = (*map(str, BOUNDS_SECONDS), "+Inf")


class GapHistogram(Collector):
    """A histogram that takes whole counts, which the library's own does not."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def add(self, model: str, gaps: Gaps) -> None:
        """Count the pauses of an answer."""
        before = self._counts.get(model, [0] * len(_LE))
        self._seconds[model] = self._seconds.get(model, 0.0) + gaps.seconds
        # A new list: another thread may be reading the old one.
        self._counts[model] = [one + more for one, more in zip(before, gaps.counts, strict=True)]

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        family = HistogramMetricFamily(
            NAME, "Between two pieces of an answer as they came from Groq", labels=["model"]
        )
        for model, counts in list(self._counts.items()):
            cumulative = zip(_LE, accumulate(counts), strict=True)
            family.add_metric([model], list(cumulative), self._seconds[model])
        yield family
