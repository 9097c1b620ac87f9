"""Traces as they are set up: by the standard variables, to a collector over HTTP."""

import asyncio
import sys

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from web.outside import asked

from service.observability.tracing import TracingError, open_tracing
from support import MODEL, running

COLLECTOR = "http://127.0.0.1:9"
"""Where nobody listens."""


NAMES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set for the process ends with its test."""
    for name in NAMES:
        monkeypatch.setenv(name, "before")
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_SERVICE_NAME": "mine"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR, "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_traced_unless_a_collector_is_named(variables: dict[str, str]) -> None:
    assert open_tracing(variables, "1") is None


def test_another_protocol_is_refused() -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }

    with pytest.raises(TracingError, match="must be http/protobuf, got 'grpc'"):
        open_tracing(variables, "1")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "service.observability.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)  # as if it were not installed

    with pytest.raises(TracingError, match=r"pip install 'ai-library\[otel\]'"):
        open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR}, "1")


async def test_spans_reach_the_collector_that_is_named() -> None:
    bodies: list[bytes] = []

    async def collect(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.Response(content_type="application/x-protobuf")

    collector = web.Application()
    collector.router.add_post("/v1/traces", collect)
    async with TestServer(collector) as server:
        url = str(server.make_url("/")).rstrip("/")
        tracing = open_tracing({NAMES[0]: url, NAMES[1]: "mine"}, "7")
        assert tracing
        async with running(tracing=tracing) as service:
            async with service.client.post("/api/chat", json=asked()) as response:
                assert response.status == 200
        await tracing.close()

    sent = [ExportTraceServiceRequest.FromString(body) for body in bodies]
    [resource] = [spans for one in sent for spans in one.resource_spans]
    told = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert (told["service.name"], told["service.version"]) == ("mine", "7")
    names = {span.name for scope in resource.scope_spans for span in scope.spans}
    assert names == {"POST /api/chat", f"chat {MODEL}"}


async def test_a_collector_that_is_away_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.observability.otel.LAST_SPANS_SECONDS", 0.1)
    tracing = open_tracing({NAMES[0]: COLLECTOR}, "1")
    assert tracing
    loop = asyncio.get_running_loop()
    async with running(tracing=tracing) as service:
        async with service.client.post("/api/chat", json=asked()) as response:
            assert response.status == 200
    began = loop.time()

    await tracing.close()

    assert loop.time() - began < 1


async def test_spans_that_the_collector_is_too_slow_for_are_dropped_and_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.observability.otel.LAST_SPANS_SECONDS", 0.1)
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    reached, hanging = asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        reached.set()
        await hanging.wait()
        return web.Response()

    collector = web.Application()
    collector.router.add_post("/v1/traces", hang)
    async with TestServer(collector) as server:
        tracing = open_tracing({NAMES[0]: str(server.make_url("/")).rstrip("/")}, "1")
        assert tracing
        async with running(tracing=tracing) as service:
            async with asyncio.timeout(10):
                for _ in range(30):
                    async with service.client.get("/api/models") as response:
                        assert response.status == 200
                await reached.wait()
        await tracing.close()
        hanging.set()
