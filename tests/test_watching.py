"""Do the dashboard, the alerts and the table in README.md name what there is to scrape?"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from attrs import frozen
from test_deployment import program, run
from web.outside import asked, ended, said, start
from web.speaking import speaking

from printed import rows
from scraping import Scraped, scrape
from service.groq.breaker import FAILURES
from service.groq.continuation import CAPABILITY
from service.simulator import Cut, Pause, Refusal, error_data
from support import catalogue, running

CONFIG = Path(__file__).parent.parent / "config"
ALERTS = CONFIG / "prometheus" / "alerts.yml"
DASHBOARD = CONFIG / "grafana" / "dashboard.json"

OF_THE_SCRAPE = {"job", "instance"}
"""Labels that Prometheus adds; so does `up`."""
OURS = re.compile(r"\b((?:chat|process|python)_\w+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
MATCHED = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
GRAFANAS = {"$__rate_interval": "5m", "$instance": ".*", "$model": ".*"}


@frozen
class Query:
    """An expression, and the labels that are told with its result."""

    name: str
    expression: str
    told: frozenset[str]

    @property
    def metrics(self) -> dict[str, set[str]]:
        """The labels that are matched, by metric."""
        found: dict[str, set[str]] = {}
        for name, matchers in OURS.findall(self.expression):
            found.setdefault(name, set()).update(MATCHED.findall(matchers))
        return found

    @property
    def grouped(self) -> set[str]:
        """The labels that are left of a result."""
        groups = GROUPED.findall(self.expression)
        return {label.strip() for group in groups for label in group.split(",")}


def alerts() -> Iterator[Query]:
    for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            told = re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))
            yield Query(rule["alert"], rule["expr"], frozenset(told))


def panels() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def graphs() -> Iterator[Query]:
    for panel in panels():
        targets = panel.get("targets", [])
        assert isinstance(targets, list)
        for number, target in enumerate(targets):
            told = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            yield Query(f"{panel['title']} {number}", target["expr"], frozenset(told))


QUERIES = [*alerts(), *graphs()]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scraped() -> AsyncIterator[Scraped]:
    """The metrics of a service to which everything has happened that is counted."""
    missing = "sqlite:////proc/no/such/place/c.db"
    async with running(
        CONVERSATION_STORE=missing, UPSTREAM_MAX_RETRIES="1", CONTINUE_INTERRUPTED="true"
    ) as served:
        busy = Refusal(503, error_data("busy"), {"retry-after": "0"})
        served.script.next(busy, said("Yes"))
        run_id = await start(served, save_conversation=False)
        await ended(served, run_id)
        async with served.client.get(f"/api/runs/{run_id}/events?after=0") as response:
            await response.read()
        async with served.client.post("/api/chat", json=asked()):
            pass
        served.script.next(said("Hel", Pause(0.05), Cut()), said("lo"), *[busy] * (2 * FAILURES))
        [able, *_] = [model.id for model in catalogue().models if CAPABILITY in model.capabilities]
        for _ in range(1 + FAILURES):  # goes on, then fails until it is left alone
            await ended(served, await start(served, model=able, save_conversation=False))
        async with speaking(served):
            yield await scrape(served)


def labels_of(scraped: Scraped) -> Mapping[str, set[str]]:
    """The labels of every name that can be asked for."""
    samples = [sample for family in scraped.families for sample in family.samples]
    return {sample.name: set(sample.labels) for sample in samples}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
async def test_a_query_names_metrics_and_labels_that_there_are(
    scraped: Scraped, query: Query
) -> None:
    there = labels_of(scraped)

    assert query.metrics or query.expression.startswith("up{")
    assert query.metrics.keys() <= there.keys()
    for name, matched in query.metrics.items():
        assert matched <= there[name] | OF_THE_SCRAPE, name
    every = OF_THE_SCRAPE.union(*(there[name] for name in query.metrics))
    assert query.grouped <= every
    assert query.told <= (query.grouped or every)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_table_of_metrics_has_every_one_and_its_labels(scraped: Scraped) -> None:
    listed = {
        re.sub("`", "", name): set(re.findall(r"`(\w+)`", labels))
        for name, labels, _ in rows("Watching it")
    }

    there: dict[str, set[str]] = {}
    for name, labels in labels_of(scraped).items():
        if name.startswith("chat_"):
            whole = re.sub("_(bucket|count|sum)$", "", name)
            there.setdefault(whole, set()).update(labels - {"le"})
    assert listed == there


@pytest.mark.servers
def test_prometheus_accepts_the_example_with_its_alerts() -> None:
    printed = run(program("promtool"), "check", "config", CONFIG / "prometheus" / "prometheus.yml")

    assert f"SUCCESS: {len(list(alerts()))} rules found" in printed


@pytest.mark.servers
def test_prometheus_can_read_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"graph_{number}", "expr": for_prometheus(query.expression)}
        for number, query in enumerate(graphs())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "graphs", "rules": rules}]}))

    printed = run(program("promtool"), "check", "rules", file)

    assert f"SUCCESS: {len(rules)} rules found" in printed


def for_prometheus(expression: str) -> str:
    """An expression as it is after Grafana has put in what stands for something else."""
    for name, value in GRAFANAS.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def test_an_alert_says_how_bad_it_is_and_what_it_means() -> None:
    document = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    found = [rule for group in document["groups"] for rule in group["rules"]]

    assert {rule["labels"]["severity"] for rule in found} == {"critical", "warning"}
    assert all(rule["annotations"]["summary"] for rule in found)
    assert len({rule["alert"] for rule in found}) == len(found)


def test_no_panel_of_the_dashboard_lies_on_another() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        assert isinstance(at, dict)
        own = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not own & cells, panel["title"]
        cells |= own
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_the_dashboard_has_the_variables_that_its_queries_use() -> None:
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    defined = {f"${variable['name']}" for variable in document["templating"]["list"]}
    used = set(re.findall(r"\$\w+", " ".join(query.expression for query in graphs())))

    assert used <= defined | {"$__rate_interval"}
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            assert variable["definition"].startswith("label_values(chat_")
