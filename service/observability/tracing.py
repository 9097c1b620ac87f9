"""Is anything traced? Where the standard variables of OpenTelemetry name a collector."""

import os
from collections.abc import Mapping
from typing import Protocol

from aiohttp.typedefs import Middleware
from structlog.typing import EventDict

from service.core.ports import LanguageModel
from service.observability.observers import RunObserver

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HTTP = "http/protobuf"


class TracingError(ValueError):
    """Traces are wanted, and cannot be had."""


class Tracing(RunObserver, Protocol):
    """Makes spans of requests and runs."""

    def around(self) -> Middleware:
        """A middleware that makes a span of each request, as part of its sender's trace."""
        ...

    def model(self, model: LanguageModel, host: str, port: int | None) -> LanguageModel:
        """A model that makes a span of each answer of another one's, behind that address."""
        ...

    def headers(self) -> Mapping[str, str]:
        """What tells Groq which span a request belongs to."""
        ...

    def add_to_log(self, logger: object, name: str, event: EventDict) -> EventDict:
        """Let a log line say which trace it belongs to, and which span."""
        ...

    async def close(self) -> None:
        """Export what is left, in bounded time."""
        ...


def open_tracing(environment: Mapping[str, str], version: str) -> Tracing | None:
    """What traces to the collector that is named; None where none is, or tracing is turned off.

    The SDK reads its variables from the process: those of `.env` become the process's. Raises
    `TracingError` where the optional packages are missing, or another protocol is asked for.
    """
    named = next((environment[name] for name in ENDPOINTS if environment.get(name)), None)
    disabled = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if named is None or disabled or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    protocol = next((environment[name] for name in PROTOCOLS if environment.get(name)), HTTP)
    if protocol != HTTP:
        raise TracingError(f"OTEL_EXPORTER_OTLP_PROTOCOL must be {HTTP}, got {protocol[:60]!r}")
    try:
        from service.observability.otel import exporting  # noqa: PLC0415  # optional
    except ImportError as exc:
        raise TracingError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the packages for traces are not installed;"
            " install them with: pip install 'ai-library[otel]'"
        ) from exc
    for name, value in environment.items():
        if name.startswith("OTEL_"):
            os.environ.setdefault(name, value)
    return exporting(version)
