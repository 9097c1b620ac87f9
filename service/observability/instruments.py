"""Which metrics are there? Their names, labels and buckets; label sets stay small.

A route is one of the table's, a model one of the catalogue's, a problem one of the contract's.
Nothing that a client makes up becomes a label, and no owner does.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

SECONDS_PLAIN = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SECONDS_OPEN = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 21600.0)
SECONDS_FIRST = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0)
SECONDS_RUN = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
SECONDS_STORE = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SECONDS_LAG = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Instruments:
    """All of them, in a registry."""

    def __init__(self, registry: CollectorRegistry, version: str) -> None:
        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"chat_{name}", about, labels, registry=registry)

        def gauge(name: str, about: str, *labels: str) -> Gauge:
            return Gauge(f"chat_{name}", about, labels, registry=registry)

        def histogram(name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"chat_{name}", about, labels, registry=registry, buckets=buckets)

        Info("chat_build", "The service", registry=registry).info({"version": version})

        self.requests = counter(
            "requests_total", "HTTP requests that ended", "route", "method", "status"
        )
        self.request_seconds = histogram(
            "request_seconds", "Time to answer, streams left out", SECONDS_PLAIN, "route"
        )
        self.stream_seconds = histogram(
            "stream_seconds", "Time that streams and sockets were open", SECONDS_OPEN, "route"
        )
        self.resumes = counter(
            "resumes_total", "Readers that came back with a cursor", "transport", "outcome"
        )

        self.active_runs = gauge("active_runs", "Runs without a terminal event")
        self.readers = gauge("readers", "Connections that read active runs")
        self.sockets = gauge("sockets", "Open WebSockets")
        self.runs_started = counter("runs_started_total", "Runs that were claimed")
        self.runs = counter(
            "runs_total", "Runs that ended, by finish reason or problem", "model", "outcome"
        )
        self.run_seconds = histogram(
            "run_seconds", "Request to end, of runs that Groq accepted", SECONDS_RUN, "model"
        )
        self.first_token_seconds = histogram(
            "time_to_first_token_seconds", "Request to first text", SECONDS_FIRST, "model"
        )
        self.defects = counter("defects_total", "Runs ended by what nothing expects")

        self.prompt_tokens = counter("prompt_tokens_total", "Tokens in", "model")
        self.cached_tokens = counter(
            "cached_tokens_total", "Tokens in that Groq had cached, of those in", "model"
        )
        self.completion_tokens = counter("completion_tokens_total", "Tokens out", "model")
        self.reasoning_tokens = counter(
            "reasoning_tokens_total", "Tokens of reasoning, of those out", "model"
        )
        self.cost = counter("cost_dollars_total", "Price of these tokens", "model")

        self.upstream_errors = counter(
            "upstream_errors_total", "Failures of Groq, tried again or not", "model", "problem"
        )
        self.upstream_retries = counter(
            "upstream_retries_total", "Failures that were tried again", "model", "problem"
        )

        self.upstream_limit = gauge(
            "upstream_limit", "Groq's limit, by its last answer", "model", "unit"
        )
        self.upstream_remaining = gauge(
            "upstream_remaining", "What was left of it then", "model", "unit"
        )
        self.upstream_left_alone = gauge(
            "upstream_left_alone", "1 while a model is not asked, as it failed", "model"
        )
        self.upstream_continued = counter(
            "upstream_continued_total", "Answers that broke off and went on", "model"
        )

        self.store_seconds = histogram(
            "store_seconds", "Time of operations of the store", SECONDS_STORE, "operation"
        )
        self.store_failures = counter(
            "store_failures_total", "Operations that the store could not do", "operation"
        )
        self.loop_lag = histogram(
            "loop_lag_seconds", "How late the event loop was, four times a second", SECONDS_LAG
        )
