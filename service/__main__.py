"""How is it started?"""

import argparse
import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from os import environ

import structlog
import uvloop
from aiohttp import web
from dotenv import dotenv_values

from service import __version__
from service.auth.keys import new_key
from service.composition import Service, compose
from service.core.catalogue import Catalogue, CatalogueError, Model
from service.descriptors import connections_in, raise_limit
from service.groq.client import make_client
from service.migration import AGAIN, WARNING, migrate
from service.observability.logs import configure_logs
from service.observability.tracing import Tracing, TracingError, open_tracing
from service.settings import LogFormat, Settings, SettingsError, given_value, load_settings
from service.simulator import SimulatedModel, make_simulator, run_simulator
from service.store.open import open_store
from service.store.pair import open_pair
from service.web.edge import Edge, EdgeLimits
from service.web.keys import SOCKETS

LAST_RESPONSES_SECONDS = 2.0
"""For readers that are slow to take the end of what they read when the server stops."""
KEEPALIVE_SECONDS = 75.0
BACKLOG = 1024
GC_THRESHOLD = 10_000
"""New objects between two searches for cycles; at Python's 700 they cost 8 % of a request."""

log = structlog.get_logger()


async def serve(
    settings: Settings, catalogue: Catalogue, tracing: Tracing | None, *, simulate: bool
) -> None:
    """Serve until a signal says to stop, then let running answers end."""
    async with AsyncExitStack() as stack:
        if tracing:
            stack.push_async_callback(tracing.close)
        if simulate:
            simulator = make_simulator([_simulated(model) for model in catalogue.models])
            base_url = await stack.enter_async_context(run_simulator(simulator))
            log.warning("simulated", note="answers come from the built-in simulator, not a model")
        else:
            base_url = settings.groq_base_url
        client = make_client(
            settings.groq_api_key or "simulator",
            base_url,
            connections=settings.max_active_runs,
            connect_timeout_seconds=settings.upstream_connect_timeout,
        )
        stack.push_async_callback(client.close)
        service = compose(settings, catalogue, client, simulated=simulate, tracing=tracing)
        runner = make_runner(service.app, settings, open_files=raise_limit())
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        for listener in _listeners(settings):
            await web.SockSite(runner, listener, backlog=BACKLOG).start()
        gc.freeze()  # what is there now stays: no collection looks at it again
        gc.set_threshold(GC_THRESHOLD)
        await _until_stopped(runner, service, settings)


def make_runner(app: web.Application, settings: Settings, *, open_files: int) -> web.AppRunner:
    """What serves the application, within the limits of settings and of the process."""
    room = connections_in(open_files, outgoing=settings.max_active_runs)
    if settings.max_connections and settings.max_connections > room:
        log.warning("fewer_connections", most=room, open_files=open_files)
    limits = EdgeLimits(
        connections=min(settings.max_connections or room, room),
        header_seconds=settings.header_timeout,
        keepalive_seconds=KEEPALIVE_SECONDS,
        shutdown_seconds=LAST_RESPONSES_SECONDS,
    )
    return Edge(app, limits)


def _listeners(settings: Settings) -> list[socket.socket]:
    """Sockets for every address of the host.

    What they accept inherits their time-out: a peer that acknowledges nothing for so long, or whose
    window stays shut, is dropped by the kernel, whatever is being sent to it.
    """
    found = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listeners: list[socket.socket] = []
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
        except OSError:
            if not listeners:
                raise
            continue  # a name like localhost, of which one address is not to be had here
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            milliseconds = int(settings.send_timeout * 1000)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        listeners.append(listener)
    return listeners


async def _until_stopped(runner: web.AppRunner, service: Service, settings: Settings) -> None:
    """A first signal drains, a second one interrupts what still runs."""
    first, second = asyncio.Event(), asyncio.Event()
    chat = service.chat

    def on_signal() -> None:
        (second if first.is_set() else first).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    host, port = runner.addresses[0][:2]
    log.info("serving", url=f"http://{host}:{port}", version=__version__)
    await first.wait()
    log.info("draining", active_runs=chat.runs.active_count, timeout=settings.drain_timeout)
    draining = asyncio.create_task(chat.drain(settings.drain_timeout))
    service.app[SOCKETS].announce_draining()
    hurry = asyncio.create_task(second.wait())
    await asyncio.wait({draining, hurry}, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    draining.cancel()
    await chat.drain(0)
    log.info("stopped")


def _simulated(model: Model) -> SimulatedModel:
    return SimulatedModel(
        model.id,
        context_window=model.context_window or 8192,
        max_completion_tokens=model.max_completion_tokens or 8192,
        reasoning="reasoning" in model.capabilities,
        active=model.replacement is None,
        name=model.name,
        supported_features=model.capabilities,
    )


def _read_catalogue(settings: Settings) -> Catalogue:
    path = settings.config_dir / "models.toml"
    try:
        return Catalogue.from_toml(path.read_text(encoding="utf-8"), str(path))
    except OSError as exc:
        raise SettingsError(
            f"CONFIG_DIR must hold models.toml: {path} cannot be read: {exc.strerror}"
        ) from exc


async def serve_simulator(catalogue: Catalogue, port: int, speed: float) -> None:
    """Serve the look-alike of Groq's API by itself."""
    models = [_simulated(model) for model in catalogue.models]
    async with run_simulator(make_simulator(models, tokens_per_second=speed), port=port) as url:
        log.warning("simulator", url=url, note="this is no model")
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        await stopped.wait()


def print_key(name: str) -> None:
    """Print a new key and, on a line of its own, its entry; the key is kept nowhere."""
    try:
        key, entry = new_key(name)
    except ValueError as exc:
        sys.exit(str(exc))
    print(key, entry, sep="\n")


def _environment() -> Mapping[str, str]:
    """Variables of the process before those of `.env` in the working directory; none empty."""
    variables = {
        **dotenv_values(".env"),
        **{name: value for name, value in environ.items() if value},
    }
    return {name: value for name, value in variables.items() if value}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m service", description="A chat backend on Groq's models."
    )
    parser.add_argument(
        "--simulate", action="store_true", help="answer from the built-in simulator, without a key"
    )
    commands = parser.add_subparsers(dest="command")
    alone = commands.add_parser("simulate", help="serve a look-alike of Groq's API by itself")
    alone.add_argument("--port", type=int, default=9000)
    alone.add_argument("--speed", type=float, default=60, help="tokens per second; 0: at once")
    moving = commands.add_parser(
        "migrate",
        help="copy all conversations from one store to another, and verify that they arrived",
        description=f"Copy all conversations of one store to another, and compare. {WARNING}",
    )
    named = "URL of a store as in CONVERSATION_STORE, or env:NAME for that of a variable"
    moving.add_argument("source", metavar="FROM_URL", help=named)
    moving.add_argument("target", metavar="TO_URL", help=f"{named}, which keeps a password from ps")
    making = commands.add_parser("keys", help="make API keys").add_subparsers(required=True)
    new = making.add_parser("new", help="print a new key, and its entry for API_KEYS")
    new.add_argument("name", help="of who will have the key: what it makes belongs to this name")
    arguments, unknown = parser.parse_known_args()
    if unknown:  # which are not repeated: one may be a URL with a password
        parser.error("there are more arguments than are known; see --help")
    return arguments


def _migrate(source: str, target: str) -> bool:
    """Move conversations as the command line asks; whether all are proved to be there."""
    environment = _environment()
    try:
        stores = open_pair(_url(source, environment), _url(target, environment))
    except (ValueError, OSError) as exc:
        sys.exit(f"Nothing was copied: {exc}")
    try:
        return uvloop.run(migrate(*stores, sys.stdout, sys.stderr))
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. {AGAIN}")


def _url(given: str, environment: Mapping[str, str]) -> str:
    scheme, _, name = given.partition(":")
    if scheme != "env":
        return given
    if url := given_value(environment, name):
        return url
    raise ValueError(f"{given} names a variable that is not set")


def main() -> None:
    """Start what the command line asks for."""
    arguments, environment = _arguments(), _environment()
    if arguments.command == "migrate":
        sys.exit(0 if _migrate(arguments.source, arguments.target) else 1)
    if arguments.command == "keys":
        return print_key(arguments.name)
    try:
        settings = load_settings(environment)
        catalogue = _read_catalogue(settings)
        open_store(settings.store_url)  # only whether the URL is one
        tracing = open_tracing(environment, __version__)
    except (SettingsError, CatalogueError, TracingError, ValueError) as exc:
        sys.exit(str(exc))
    usual = LogFormat.CONSOLE if sys.stdout.isatty() else LogFormat.JSON
    configure_logs(
        "DEBUG" if settings.debug else settings.log_level,
        json=(settings.log_format or usual) is LogFormat.JSON,
        processors=[tracing.add_to_log] if tracing else [],
    )
    if arguments.command == "simulate":
        serving = serve_simulator(catalogue, arguments.port, arguments.speed)
    elif arguments.simulate or settings.groq_api_key:
        serving = serve(settings, catalogue, tracing, simulate=arguments.simulate)
    else:
        sys.exit("Set GROQ_API_KEY (or GROQ_API_KEY_FILE) to a key for Groq, or use --simulate.")
    try:
        uvloop.run(serving)
    except OSError as exc:
        sys.exit(f"Cannot listen: {exc.strerror}")


if __name__ == "__main__":
    main()
