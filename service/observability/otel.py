"""What is traced, and how? A span for each request and each answer, by OpenTelemetry.

The names are those of its semantic conventions for HTTP and for generative AI. Contents, owners and
the words of a search are in no span.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from threading import Thread

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from attrs import define, frozen
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai
from opentelemetry.semconv.attributes import error_attributes as error
from opentelemetry.semconv.attributes import http_attributes as http
from opentelemetry.semconv.attributes import server_attributes as server
from opentelemetry.semconv.attributes import url_attributes as url
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.typing import EventDict

from service.core.conversation import Usage
from service.core.events import Delta, Ending, Finished
from service.core.ports import LanguageModel, Prompt
from service.core.run import Run

NAME = "ai-library"
RUN_ID = "ai_library.run_id"
FIRST_TOKEN = "first_token"  # noqa: S105  # an event's name
QUIET = ("/health", "/metrics")
"""What asks for these comes all the time, and is of no interest."""
LAST_SPANS_SECONDS = 2.0
"""For what is left when the service stops; a collector that is away must not hold it up."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SERVER_ERROR = 500

_REQUEST: Mapping[str, str] = {
    "temperature": gen_ai.GEN_AI_REQUEST_TEMPERATURE,
    "top_p": gen_ai.GEN_AI_REQUEST_TOP_P,
    "top_k": gen_ai.GEN_AI_REQUEST_TOP_K,
    "max_tokens": gen_ai.GEN_AI_REQUEST_MAX_TOKENS,
    "frequency_penalty": gen_ai.GEN_AI_REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": gen_ai.GEN_AI_REQUEST_PRESENCE_PENALTY,
    "seed": gen_ai.GEN_AI_REQUEST_SEED,
}
"""Hyperparameters in spans; `stop` holds words of the client's, and is in none."""

# Only this one of the context's headers: what a client calls baggage is not for Groq.
_context = TraceContextTextMapPropagator()


@frozen
class _Ids:
    run_id: str
    conversation_id: str | None


_run: ContextVar[_Ids | None] = ContextVar("run", default=None)
"""What was started last: the task that drives it takes on this context."""


@define
class _Asking:
    """The span of a run that asks, or has asked, the model."""

    span: Span
    left_ns: int | None = None
    """When the model was left."""


def exporting(version: str) -> "OtelTracing":
    """What sends its spans to the collector that the process's variables name."""
    resource = Resource.create({"service.version": version})
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": NAME}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OtelTracing(provider)


class OtelTracing:
    """Makes spans (`service.observability.tracing.Tracing`)."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(NAME)
        self._asking: dict[str, _Asking] = {}

    async def close(self) -> None:
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # nobody waited for so long
                loop.call_soon_threadsafe(closed.set)

        # A daemon: the process can end while it still waits for the collector.
        Thread(target=shut_down, daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SPANS_SECONDS):
                await closed.wait()

    # Requests.

    def around(self) -> Middleware:
        @web.middleware
        async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith(QUIET):
                return await handler(request)
            with self._tracer.start_as_current_span(
                _name(request),
                context=_context.extract(request.headers),
                kind=SpanKind.SERVER,
                attributes=_attributes(request),
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                response = await handler(request)
                _end_request(span, response.status)
                return response

        return traced

    # What is passed on.

    def headers(self) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        _context.inject(headers)
        return headers

    def add_to_log(self, _logger: object, _name: str, event: EventDict) -> EventDict:
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            event["trace_id"] = trace.format_trace_id(span.trace_id)
            event["span_id"] = trace.format_span_id(span.span_id)
        return event

    # Runs.

    def run_started(self, run: Run) -> None:
        """Let the driver, which takes on this context, know whose answer it asks for."""
        _run.set(_Ids(run.run_id, run.origin.conversation_id))

    def run_ended(self, run: Run) -> None:
        """End the span of a run that has asked the model."""
        asking = self._asking.pop(run.run_id, None)
        if asking is None:
            return
        span, ending = asking.span, run.ending
        if run.first_text_at is not None:
            ago = asyncio.get_running_loop().time() - run.first_text_at
            span.add_event(FIRST_TOKEN, timestamp=time.time_ns() - int(ago * 1e9))
            first = run.first_text_at - run.began
            span.set_attribute(gen_ai.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK, first)
        if run.failure:
            span.set_attribute(error.ERROR_TYPE, run.failure.kind.slug)
            span.set_status(StatusCode.ERROR)
        elif isinstance(ending, Finished):
            _set_finish(span, ending)
        span.end(asking.left_ns)

    def model(self, model: LanguageModel, host: str, port: int | None) -> LanguageModel:
        return _TracedModel(self, model, host, port)

    @asynccontextmanager
    async def asking(
        self, prompt: Prompt, attributes: Mapping[str, str | int]
    ) -> AsyncIterator[None]:
        """Make the span of an answer; the end of its run will end it."""
        ids = _run.get()
        assert ids  # a run has started, or nobody would ask
        span = self._tracer.start_span(
            f"chat {prompt.model.id}",
            kind=SpanKind.CLIENT,
            attributes={**attributes, **_asked(prompt), RUN_ID: ids.run_id},
        )
        if ids.conversation_id is not None:
            span.set_attribute(gen_ai.GEN_AI_CONVERSATION_ID, ids.conversation_id)
        self._asking[ids.run_id] = asking = _Asking(span)
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            try:
                yield
            finally:
                asking.left_ns = time.time_ns()


class _TracedModel:
    """See `service.core.ports.LanguageModel`."""

    def __init__(
        self, tracing: OtelTracing, model: LanguageModel, host: str, port: int | None
    ) -> None:
        self.simulated = model.simulated
        self._tracing = tracing
        self._model = model
        self._attributes: dict[str, str | int] = {
            gen_ai.GEN_AI_OPERATION_NAME: gen_ai.GenAiOperationNameValues.CHAT.value,
            gen_ai.GEN_AI_PROVIDER_NAME: gen_ai.GenAiProviderNameValues.GROQ.value,
            gen_ai.GEN_AI_REQUEST_STREAM: True,
            server.SERVER_ADDRESS: host,
        }
        if port is not None:
            self._attributes[server.SERVER_PORT] = port

    @asynccontextmanager
    async def answer(self, prompt: Prompt) -> AsyncIterator[AsyncIterator[Delta | Usage | Ending]]:
        async with (
            self._tracing.asking(prompt, self._attributes),
            self._model.answer(prompt) as parts,
        ):
            yield parts  # as they are: a token costs nothing more


def _name(request: web.Request) -> str:
    method = request.method if request.method in _METHODS else "HTTP"
    resource = request.match_info.route.resource
    return f"{method} {resource.canonical}" if resource else method


def _attributes(request: web.Request) -> dict[str, str]:
    """By the conventions for HTTP servers, but for the query: it may hold what is searched for."""
    known = request.method in _METHODS
    attributes = {
        http.HTTP_REQUEST_METHOD: request.method if known else "_OTHER",
        url.URL_PATH: request.path,
        url.URL_SCHEME: request.scheme,
    }
    if resource := request.match_info.route.resource:
        attributes[http.HTTP_ROUTE] = resource.canonical
    return attributes


def _end_request(span: Span, status: int) -> None:
    span.set_attribute(http.HTTP_RESPONSE_STATUS_CODE, status)
    if status >= _SERVER_ERROR:
        span.set_attribute(error.ERROR_TYPE, str(status))
        span.set_status(StatusCode.ERROR)


def _asked(prompt: Prompt) -> dict[str, str | int | float]:
    given = prompt.hyperparameters
    numbers = {_REQUEST[name]: value for name, value in given.items() if name in _REQUEST}
    told = {name: value for name, value in numbers.items() if isinstance(value, int | float)}
    return {gen_ai.GEN_AI_REQUEST_MODEL: prompt.model.id, **told}


def _set_finish(span: Span, ending: Finished) -> None:
    span.set_attribute(gen_ai.GEN_AI_RESPONSE_FINISH_REASONS, [ending.finish_reason.value])
    if usage := ending.usage:
        span.set_attribute(gen_ai.GEN_AI_USAGE_INPUT_TOKENS, usage.prompt_tokens)
        span.set_attribute(gen_ai.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, usage.cached_tokens)
        span.set_attribute(gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS, usage.completion_tokens)
        span.set_attribute(gen_ai.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, usage.reasoning_tokens)
