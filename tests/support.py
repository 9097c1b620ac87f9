"""The real service in front of a Groq look-alike, for tests: real HTTP, scripted answers."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, BaseRunner, Request, RouteDef
from attrs import frozen

from service.__main__ import make_runner
from service.composition import Service, compose
from service.core.catalogue import Catalogue
from service.groq.client import make_client
from service.observability.tracing import Tracing
from service.settings import Settings, load_settings
from service.simulator import Script, SimulatedModel, make_simulator, run_simulator

CONFIG = Path(__file__).parent.parent / "config"
MODEL = "openai/gpt-oss-20b"
OPEN_FILES = 10_000
KEY = "gsk_test_0123456789"

Client = TestClient[Request, Application]


@frozen
class Running:
    """A service that serves, and what is behind it."""

    client: Client
    service: Service
    script: Script
    settings: Settings
    groq_url: str


def catalogue() -> Catalogue:
    """The catalogue as it is shipped."""
    return Catalogue.from_toml((CONFIG / "models.toml").read_text(encoding="utf-8"), "models.toml")


def path_of(route: RouteDef) -> str:
    """The path as documents write it: parameters without the patterns of their values."""
    return re.sub(r"{(\w+):[^}]+}", r"{\1}", route.path)


def simulated_models(models: Catalogue) -> list[SimulatedModel]:
    """The catalogue's models as a Groq look-alike serves them."""
    return [
        SimulatedModel(
            model.id,
            context_window=model.context_window or 8192,
            max_completion_tokens=model.max_completion_tokens or 8192,
            reasoning="reasoning" in model.capabilities,
            active=model.replacement is None,
            supported_features=model.capabilities,
        )
        for model in models.models
    ]


@asynccontextmanager
async def running(
    script: Script | None = None,
    /,
    *,
    groq_url: str | None = None,
    tracing: Tracing | None = None,
    **variables: str,
) -> AsyncIterator[Running]:
    """Serve with these settings (`RUN_RETENTION="1"`), by default with conversations in memory.

    `groq_url` names another Groq than the look-alike that `script` steers.
    """
    script = script or Script()
    environment = {"CONVERSATION_STORE": "memory://", "GROQ_API_KEY": KEY} | variables
    settings = attrs.evolve(load_settings(environment), config_dir=CONFIG)
    models = catalogue()
    look_alike = make_simulator(
        simulated_models(models),
        tokens_per_second=0,
        time_to_first_token_seconds=0,
        api_key=KEY,
        script=script,
    )
    async with run_simulator(look_alike) as url:
        groq = make_client(
            KEY,
            groq_url or url,
            connections=settings.max_active_runs,
            connect_timeout_seconds=settings.upstream_connect_timeout,
        )
        try:
            service = compose(settings, models, groq, simulated=False, tracing=tracing)
            async with TestClient(_Server(service.app, settings)) as client:
                yield Running(client, service, script, settings, groq_url or url)
        finally:
            await groq.close()


class _Server(TestServer):
    """Serves as the service does, at a port of its own."""

    def __init__(self, app: Application, settings: Settings) -> None:
        super().__init__(app)
        self._settings = settings

    async def _make_runner(self, **_: object) -> BaseRunner:
        return make_runner(self.app, self._settings, open_files=OPEN_FILES)


@frozen
class Frame:
    """One server-sent event."""

    event_id: str
    data: dict[str, object]

    @property
    def seq(self) -> int:
        """The number in its id."""
        return int(self.event_id.rpartition(":")[2])


async def frames_of(response: ClientResponse) -> AsyncIterator[Frame]:
    """The events of a stream as they come, of whole frames only."""
    data, event_id = "", ""
    while line := (await response.content.readline()).decode():
        if line.startswith("data: "):
            data = line[6:-1]
        elif line.startswith("id: "):
            event_id = line[4:-1]
        elif line == "\n" and data:
            yield Frame(event_id, json.loads(data))
            data = ""


async def all_frames(response: ClientResponse) -> list[Frame]:
    """Every event of a stream, to its end."""
    return [frame async for frame in frames_of(response)]


def text_of(frames: list[Frame]) -> str:
    """The answer that events make."""
    return "".join(str(frame.data.get("content", "")) for frame in frames)
