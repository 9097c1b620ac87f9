from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs
from web.outside import asked, chat, said, start, until
from web.speaking import speaking

from service.observability.otel import OtelTracing
from service.simulator import NoResponse, Raw, Refusal, chunk, error_data
from support import MODEL, Running, running

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exported: InMemorySpanExporter) -> OtelTracing:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    return OtelTracing(provider)


@pytest.fixture
async def traced(tracing: OtelTracing) -> AsyncIterator[Running]:
    async with running(tracing=tracing) as service:
        yield service


async def spans_of(exported: InMemorySpanExporter, *names: str) -> list[ReadableSpan]:
    """One span of each name, once all of them have ended."""
    await until(lambda: {span.name for span in exported.get_finished_spans()} >= set(names))
    spans = exported.get_finished_spans()
    return [next(span for span in spans if span.name == name) for name in names]


def attributes_of(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def ids_of(span: ReadableSpan) -> tuple[str, str]:
    assert span.context
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def parent_of(span: ReadableSpan) -> str | None:
    return f"{span.parent.span_id:016x}" if span.parent else None


async def test_a_request_and_its_run_are_spans_of_the_senders_trace(
    traced: Running, exported: InMemorySpanExporter
) -> None:
    traced.script.next(said("Yes"))
    headers = {"traceparent": TRACEPARENT, "baggage": "who=me"}
    async with traced.client.post("/api/chat", json=asked(), headers=headers) as response:
        assert response.status == 200
    request, run = await spans_of(exported, "POST /api/chat", f"chat {MODEL}")

    assert (ids_of(request)[0], parent_of(request)) == (TRACE, PARENT)
    assert (ids_of(run)[0], parent_of(run)) == (TRACE, ids_of(request)[1])
    sent = traced.script.requests[0].headers
    assert sent["traceparent"] == f"00-{TRACE}-{ids_of(run)[1]}-01"
    assert "baggage" not in sent


async def test_a_request_is_told_of_as_the_conventions_for_http_want(
    traced: Running, exported: InMemorySpanExporter
) -> None:
    async with traced.client.get("/api/conversations?q=secret") as response:
        assert response.status == 200
    [span] = await spans_of(exported, "GET /api/conversations")

    assert span.kind is SpanKind.SERVER
    assert attributes_of(span) == {
        "http.request.method": "GET",
        "http.route": "/api/conversations",
        "http.response.status_code": 200,
        "url.path": "/api/conversations",
        "url.scheme": "http",
    }
    assert span.status.status_code is StatusCode.UNSET


async def test_a_run_is_told_of_as_the_conventions_for_generative_ai_want(
    traced: Running, exported: InMemorySpanExporter
) -> None:
    traced.script.next(said("Yes"))
    given = {"temperature": 0.5, "max_tokens": 10, "stop": ["secret"]}
    answer = await chat(traced, user_prompt="secret", hyperparameters=given)
    [span] = await spans_of(exported, f"chat {MODEL}")

    attributes = attributes_of(span)
    first = attributes.pop("gen_ai.response.time_to_first_chunk")
    assert isinstance(first, float)
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "groq",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.stream": True,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 10,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "gen_ai.conversation.id": answer["conversation_id"],
        "ai_library.run_id": answer["run_id"],
        "server.address": "127.0.0.1",
        "server.port": int(traced.groq_url.rpartition(":")[2]),
    }
    assert span.kind is SpanKind.CLIENT
    [event] = span.events
    assert event.name == "first_token"
    assert span.start_time
    assert span.end_time
    assert span.start_time <= event.timestamp <= span.end_time + 10**7
    assert "secret" not in span.to_json()


@pytest.mark.parametrize(
    ("answer", "slug"),
    [
        (Refusal(401, error_data("no")), "upstream-auth"),
        (Raw([chunk({"content": "Hel"})]), "upstream-error"),
    ],
)
async def test_a_run_that_fails_has_its_problem_as_the_type_of_error(
    traced: Running, exported: InMemorySpanExporter, answer: Refusal | Raw, slug: str
) -> None:
    traced.script.next(answer)
    async with traced.client.post("/api/chat", json=asked()) as response:
        assert response.status == 502
    request, run = await spans_of(exported, "POST /api/chat", f"chat {MODEL}")

    assert attributes_of(run)["error.type"] == slug
    assert run.status.status_code is StatusCode.ERROR
    assert attributes_of(request)["error.type"] == "502"
    assert request.status.status_code is StatusCode.ERROR


async def test_a_cancelled_run_is_no_error(traced: Running, exported: InMemorySpanExporter) -> None:
    traced.script.next(NoResponse())
    run_id = await start(traced)
    await traced.script.request_count(1)
    await traced.client.post(f"/api/runs/{run_id}/cancel")
    [run] = await spans_of(exported, f"chat {MODEL}")

    assert attributes_of(run)["gen_ai.response.finish_reasons"] == ("cancelled",)
    assert run.status.status_code is StatusCode.UNSET
    assert not run.events


async def test_runs_on_one_socket_have_a_span_each(
    traced: Running, exported: InMemorySpanExporter
) -> None:
    traced.script.next(said("one"), said("two"))
    async with speaking(traced) as peer:
        for reader_id in ("a", "b"):
            await peer.chat(reader_id)
            await peer.hear_end(reader_id)
    [socket] = await spans_of(exported, "GET /api/chat/ws")

    runs = [span for span in exported.get_finished_spans() if span.name == f"chat {MODEL}"]
    assert [parent_of(run) for run in runs] == [ids_of(socket)[1]] * 2
    assert len({attributes_of(run)["ai_library.run_id"] for run in runs}) == 2


async def test_a_run_that_groq_is_not_asked_for_has_no_span(
    traced: Running, exported: InMemorySpanExporter
) -> None:
    refused = asked(conversation_id="00000000-0000-7000-8000-000000000000")
    async with traced.client.post("/api/chat", json=refused) as response:
        assert response.status == 404
    await spans_of(exported, "POST /api/chat")

    assert len(exported.get_finished_spans()) == 1


async def test_what_is_asked_all_the_time_and_what_nobody_has_is_told_of_briefly(
    traced: Running, exported: InMemorySpanExporter
) -> None:
    for path in ("/health", "/health/live", "/metrics", "/wp-admin/1", "/wp-admin/2"):
        async with traced.client.get(path):
            pass
    await until(lambda: len(exported.get_finished_spans()) == 2)

    assert [span.name for span in exported.get_finished_spans()] == ["GET", "GET"]


@pytest.mark.parametrize("sent", ["nonsense", f"00-{'0' * 32}-{PARENT}-01", "ff-" + TRACEPARENT])
async def test_a_trace_context_that_is_none_begins_a_trace(
    traced: Running, exported: InMemorySpanExporter, sent: str
) -> None:
    async with traced.client.get("/api/models", headers={"traceparent": sent}) as response:
        assert response.status == 200
    [span] = await spans_of(exported, "GET /api/models")

    assert span.parent is None


async def test_requests_on_one_connection_do_not_belong_to_each_other(
    traced: Running, exported: InMemorySpanExporter
) -> None:
    for _ in range(2):
        async with traced.client.get("/api/models"):
            pass
    await until(lambda: len(exported.get_finished_spans()) == 2)

    first, second = exported.get_finished_spans()
    assert (first.parent, second.parent) == (None, None)
    assert ids_of(first)[0] != ids_of(second)[0]


async def test_log_lines_say_which_trace_they_belong_to(tracing: OtelTracing) -> None:
    with capture_logs(processors=[tracing.add_to_log]) as lines:
        async with running(tracing=tracing) as service:
            headers = {"traceparent": TRACEPARENT}
            async with service.client.post("/api/chat", json=asked(), headers=headers):
                pass

    told = {line["event"]: line.get("trace_id") for line in lines}
    for event in ("request_started", "run_started", "run_ended", "request_ended"):
        assert told[event] == TRACE
    assert told["models_listed"] is None


async def test_without_tracing_nothing_is_added_to_what_groq_is_sent() -> None:
    async with running() as service:
        headers = {"traceparent": TRACEPARENT}
        async with service.client.post("/api/chat", json=asked(), headers=headers):
            pass
        sent = service.script.requests[0].headers

    assert "traceparent" not in sent
