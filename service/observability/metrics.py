"""What is counted? What happens to runs, requests, Groq and the store."""

import asyncio
from collections.abc import Callable, Mapping

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import choose_encoder

from service.core.errors import Problem
from service.core.events import Finished
from service.core.run import Run
from service.observability.gap_histogram import GapHistogram
from service.observability.instruments import Instruments
from service.web.observer import Exchange, Resume, Transport

NONE = "none"
"""The route of what no route answers, the model of a run that was refused before it had one."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
UPSTREAM = "upstream-"
OPEN = "open"
"""A circuit breaker that lets no request through."""

Reading = Callable[[], int]
"""Something that is counted elsewhere, read when the metrics are."""


class Metrics:
    """Counts; is told as `ServiceObserver`, and by the web."""

    def __init__(self, version: str) -> None:
        # The library's own switch for the whole process: they would double what is scraped.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._registry)
        prometheus_client.PlatformCollector(registry=self._registry)
        prometheus_client.GCCollector(registry=self._registry)
        self._count = Instruments(self._registry, version)
        self._gaps = GapHistogram()
        self._registry.register(self._gaps)
        self._readings: Mapping[Gauge, Reading] = {}

    # What is read.

    def read_from(self, *, active_runs: Reading, readers: Reading, sockets: Reading) -> None:
        """Name what is only read when the metrics are."""
        count = self._count
        self._readings = {
            count.active_runs: active_runs,
            count.readers: readers,
            count.sockets: sockets,
        }

    async def exposition(self, accepted: str) -> tuple[bytes, str]:
        """All of it as text, and its content type, by what an `Accept` header says."""
        for gauge, reading in self._readings.items():
            gauge.set(reading())
        encode, content_type = choose_encoder(accepted)
        # Not on the loop: the files of thousands of sockets are counted, and labels are many.
        return await asyncio.to_thread(encode, self._registry), content_type

    # Runs.

    def run_started(self, run: Run) -> None:
        self._count.runs_started.inc()

    def run_ended(self, run: Run) -> None:
        model = run.model or NONE
        self._count.runs.labels(model, _outcome(run)).inc()
        if run.failure and run.failure.kind.slug.startswith(UPSTREAM):
            self._count.upstream_errors.labels(model, run.failure.kind.slug).inc()
        if run.started is None:
            return
        timing = run.timing()
        self._count.run_seconds.labels(model).observe(timing.total_time)
        if timing.time_to_first_token is not None:
            self._count.first_token_seconds.labels(model).observe(timing.time_to_first_token)
        self._gaps.add(model, run.gaps)
        self._count_usage(run, model)

    def _count_usage(self, run: Run, model: str) -> None:
        usage = run.usage
        if usage is None:
            return
        self._count.prompt_tokens.labels(model).inc(usage.prompt_tokens)
        self._count.cached_tokens.labels(model).inc(usage.cached_tokens)
        self._count.completion_tokens.labels(model).inc(usage.completion_tokens)
        self._count.reasoning_tokens.labels(model).inc(usage.reasoning_tokens)
        if run.cost is not None:
            self._count.cost.labels(model).inc(run.cost)

    def defect(self, run: Run, error: BaseException) -> None:
        self._count.defects.inc()

    # Groq and the store.

    def upstream_retried(self, model: str, problem: Problem) -> None:
        self._count.upstream_errors.labels(model, problem.kind.slug).inc()
        self._count.upstream_retries.labels(model, problem.kind.slug).inc()

    def upstream_quota(self, model: str, unit: str, limit: int, remaining: int) -> None:
        self._count.upstream_limit.labels(model, unit).set(limit)
        self._count.upstream_remaining.labels(model, unit).set(remaining)

    def upstream_breaker(self, model: str, state: str) -> None:
        self._count.upstream_left_alone.labels(model).set(state == OPEN)

    def answer_continued(self, model: str) -> None:
        self._count.upstream_continued.labels(model).inc()

    def signing_keys_read(self, keys: int, fault: str | None) -> None:
        """Not counted: readiness tells it where nobody can be recognised."""

    def models_listed(self, standing: str, models: int) -> None:
        """Not counted: readiness tells it."""

    def store_failed(self, doing: str, error: Exception) -> None:
        """Not counted here: `store_called` is told of every failure."""

    def store_called(self, operation: str, seconds: float, *, failed: bool) -> None:
        """The store has done something, or could not."""
        self._count.store_seconds.labels(operation).observe(seconds)
        if failed:
            self._count.store_failures.labels(operation).inc()

    def loop_lagged(self, seconds: float) -> None:
        """The event loop came so late to what was due."""
        self._count.loop_lag.observe(seconds)

    # The web.

    def request_ended(self, exchange: Exchange) -> None:
        route = exchange.route or NONE
        method = exchange.method if exchange.method in METHODS else OTHER
        self._count.requests.labels(route, method, exchange.status).inc()
        seconds = self._count.stream_seconds if exchange.streamed else self._count.request_seconds
        seconds.labels(route).observe(exchange.seconds)

    def resumed(self, transport: Transport, outcome: Resume) -> None:
        self._count.resumes.labels(transport, outcome).inc()


def _outcome(run: Run) -> str:
    if run.failure:
        return run.failure.kind.slug
    assert isinstance(run.ending, Finished)  # else it has failed
    return run.ending.finish_reason.value
