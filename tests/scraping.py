"""What do the metrics say? Scraped as Prometheus does, and parsed by its own library."""

import asyncio
from collections.abc import Mapping

from attrs import frozen
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from support import Running

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PATIENCE_SECONDS = 10


@frozen
class Scraped:
    """The metrics of one moment."""

    families: list[Metric]
    content_type: str
    text: str

    def series(self, name: str) -> list[Mapping[str, str]]:
        """The label sets of one name."""
        samples = [sample for family in self.families for sample in family.samples]
        return [sample.labels for sample in samples if sample.name == name]

    def value(self, name: str, **labels: str) -> float:
        """The sum of what has one name and these labels; 0 where nothing has."""
        return sum(
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and sample.labels.items() >= labels.items()
        )


async def scrape(served: Running, accept: str = "text/plain") -> Scraped:
    """What `/metrics` says now."""
    async with served.client.get("/metrics", headers={"Accept": accept}) as response:
        assert response.status == 200, await response.text()
        text = await response.text()
        kind = response.headers["Content-Type"]
    parse = parse_open if kind.startswith("application/openmetrics-text") else parse_plain
    return Scraped(list(parse(text)), kind, text)


async def counted(served: Running, name: str, value: float, **labels: str) -> Scraped:
    """The metrics, once one of them is so much; some are told of after the client has heard."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            scraped = await scrape(served)
            if scraped.value(name, **labels) == value:
                return scraped
            await asyncio.sleep(0.01)
