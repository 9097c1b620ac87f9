"""Which of Groq's routes the simulator answers, and with what."""

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext

import attrs
from aiohttp import web
from attrs import frozen

from service.simulator.answers import Answer, Refusal, RefusedError
from service.simulator.call import Call, find_model, parse_call
from service.simulator.delivery import deliver, deliver_fault, refusal_response
from service.simulator.models import SimulatedModel, model_data
from service.simulator.prose import answer_to
from service.simulator.script import Script
from service.simulator.wire import RATE_LIMIT_HEADERS, error_data

MAX_BODY_BYTES = 20 * 2**20

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@frozen(kw_only=True)
class Simulator:
    """What the handlers need to know."""

    models: Mapping[str, SimulatedModel]
    tokens_per_second: float
    time_to_first_token_seconds: float
    api_key: str | None
    script: Script | None


SIMULATOR = web.AppKey("simulator", Simulator)
ANSWERING = web.AppKey("answering", set[asyncio.Task[None]])


def make_simulator(
    models: Sequence[SimulatedModel],
    *,
    tokens_per_second: float = 60,
    time_to_first_token_seconds: float = 0.2,
    api_key: str | None = None,
    script: Script | None = None,
) -> web.Application:
    """An application that speaks Groq's API.

    It writes its own answers, at the given speed (0 = as fast as possible), except where a test
    chooses others by `script`. With `api_key`, another key is refused. Every response says
    `X-Simulated: true`.
    """
    application = web.Application(
        middlewares=[keep_track, refuse_in_groqs_form], client_max_size=MAX_BODY_BYTES
    )
    application[SIMULATOR] = Simulator(
        models={model.id: model for model in models},
        tokens_per_second=tokens_per_second,
        time_to_first_token_seconds=time_to_first_token_seconds,
        api_key=api_key,
        script=script,
    )
    application[ANSWERING] = set()
    application.router.add_get("/openai/v1/models", list_models)
    application.router.add_get("/openai/v1/models/{model_id:.+}", show_model)
    application.router.add_post("/openai/v1/chat/completions", complete_chat)
    application.on_response_prepare.append(add_headers)
    application.on_shutdown.append(end_answers)
    return application


async def list_models(request: web.Request) -> web.StreamResponse:
    simulator = request.app[SIMULATOR]
    if simulator.script is not None and simulator.script.models_answer is not None:
        return await deliver_fault(simulator.script.models_answer, request)
    authorize(request, simulator)
    data = [model_data(model) for model in simulator.models.values()]
    return web.json_response({"object": "list", "data": data})


async def show_model(request: web.Request) -> web.StreamResponse:
    simulator = request.app[SIMULATOR]
    authorize(request, simulator)
    model = find_model(request.match_info["model_id"], simulator.models)
    return web.json_response(model_data(model))


async def complete_chat(request: web.Request) -> web.StreamResponse:
    simulator = request.app[SIMULATOR]
    body = await request.read()
    script = simulator.script
    with nullcontext() if script is None else script.recording(request, body):
        authorize(request, simulator)
        call = parse_call(body, simulator.models)
        return await deliver(choose_answer(call, simulator), call, request)


def choose_answer(call: Call, simulator: Simulator) -> Answer:
    """What the test wants, else an answer of our own; nothing in the request can choose a fault."""
    chosen = simulator.script.take() if simulator.script is not None else None
    if chosen is not None:
        return chosen
    return attrs.evolve(
        answer_to(call, simulator.models[call.model]),
        tokens_per_second=simulator.tokens_per_second,
        time_to_first_token_seconds=simulator.time_to_first_token_seconds,
    )


def authorize(request: web.Request, simulator: Simulator) -> None:
    """Raises RefusedError with 401 where a key is expected and the bearer is another."""
    if simulator.api_key is None:
        return
    given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
    if not hmac.compare_digest(given, f"Bearer {simulator.api_key}".encode()):
        raise RefusedError(Refusal(401, error_data("Invalid API Key", "invalid_api_key")))


@web.middleware
async def refuse_in_groqs_form(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as exc:
        return refusal_response(exc.refusal)
    except web.HTTPRequestEntityTooLarge:
        return refusal_response(Refusal(413, error_data("Request Entity Too Large")))
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        message = f"Unknown request URL: {request.method} {request.path}."
        return refusal_response(Refusal(404, error_data(message, "unknown_url")))


@web.middleware
async def keep_track(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Know which answers are under way, so that stopping can end them; be quiet about leavers."""
    answering = request.app[ANSWERING]
    answering.add(request.task)
    try:
        return await handler(request)
    except ConnectionError:
        return web.Response()  # the client has left: aiohttp wants one, and cannot send it
    finally:
        answering.discard(request.task)


async def end_answers(application: web.Application) -> None:
    """Break off silent and unfinished answers: without it, stopping would wait for them."""
    for task in application[ANSWERING]:
        task.cancel()


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """What every response carries, unless the test has set it otherwise."""
    response.headers["X-Simulated"] = "true"
    response.headers.setdefault("x-request-id", f"req_{secrets.token_hex(13)}")
    for name, value in RATE_LIMIT_HEADERS.items():
        response.headers.setdefault(name, value)
