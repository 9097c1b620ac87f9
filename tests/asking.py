"""How do the tests of the adapter ask Groq, and what came of it?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attrs import Factory, define, evolve, frozen
from msgspec import UNSET, json

from service.core.conversation import HyperparameterValue, Usage
from service.core.errors import Problem, ServiceError
from service.core.events import Delta, Ending
from service.core.ports import Prompt, Role, Turn
from service.groq.client import make_client
from service.groq.limits import UpstreamLimits
from service.groq.model import GroqModel
from support import KEY, MODEL, catalogue

LIMITS = UpstreamLimits(
    first_token_seconds=8,
    idle_seconds=8,
    retries=0,
    longest_wait_seconds=5,
    continue_interrupted=False,
)
"""Of a patient reader that asks once."""

CATALOGUE = catalogue()


@define
class Watcher:
    """Keeps what it is told of Groq."""

    quotas: list[tuple[str, str, int, int]] = Factory(list)
    breakers: list[tuple[str, str]] = Factory(list)
    continued: list[str] = Factory(list)

    def upstream_quota(self, model: str, unit: str, limit: int, remaining: int) -> None:
        self.quotas.append((model, unit, limit, remaining))

    def upstream_breaker(self, model: str, state: str) -> None:
        self.breakers.append((model, state))

    def answer_continued(self, model: str) -> None:
        self.continued.append(model)

    retried: list[tuple[str, str]] = Factory(list)

    def upstream_retried(self, model: str, problem: Problem) -> None:
        self.retried.append((model, problem.kind.slug))


QUIET = Watcher()
"""Whose notes nobody reads."""


def prompt(text: str = "Hello", model: str = MODEL, **values: HyperparameterValue) -> Prompt:
    """One question, and hyperparameters."""
    found = CATALOGUE.find(model)
    assert found
    return Prompt(found, (Turn(Role.USER, text),), values)


@frozen
class Outcome:
    """What came of a prompt."""

    accepted: bool
    deltas: tuple[Delta, ...]
    usage: Usage | None
    """As told last before the end."""
    ending: Ending | None
    problem: Problem | None
    seconds: float

    @property
    def content(self) -> str:
        return "".join(delta.content for delta in self.deltas)

    @property
    def reasoning(self) -> str:
        return "".join(delta.reasoning for delta in self.deltas if delta.reasoning is not UNSET)


async def ask(model: GroqModel, asked: Prompt | None = None) -> Outcome:
    """Ask, and read to the end, whichever it is."""
    clock = asyncio.get_running_loop().time
    start = clock()
    outcome = Outcome(accepted=False, deltas=(), usage=None, ending=None, problem=None, seconds=0)
    try:
        async with model.answer(asked or prompt()) as parts:
            outcome = evolve(outcome, accepted=True)
            async for part in parts:
                assert outcome.ending is None, "something came after the ending"
                if isinstance(part, Ending):
                    outcome = evolve(outcome, ending=part)
                elif isinstance(part, Usage):
                    outcome = evolve(outcome, usage=part)
                else:
                    outcome = evolve(outcome, deltas=(*outcome.deltas, part))
    except ServiceError as exc:
        outcome = evolve(outcome, problem=exc.problem)
    return evolve(outcome, seconds=clock() - start)


def tools(calls: object) -> list[object]:
    """Tool calls of a delta as values; none where it has none."""
    return [] if calls is UNSET else json.decode(json.encode(calls), type=list[object])


async def tasks() -> list[str]:
    """What still runs besides the test and the look-alike, once what was ready has run."""
    for _ in range(10):
        await asyncio.sleep(0)
    own = asyncio.all_tasks() - {asyncio.current_task()}
    return [repr(task) for task in own if "RequestHandler.start" not in repr(task)]


@asynccontextmanager
async def model_at(url: str, limits: UpstreamLimits = LIMITS) -> AsyncIterator[GroqModel]:
    """A model behind that address, with a client of its own."""
    client = make_client(KEY, url, connections=10, connect_timeout_seconds=0.3)
    try:
        yield GroqModel(client, limits, QUIET)
    finally:
        await client.close()


class Clock:
    """The loop's clock, which a test can put forward: what waits until then is due at once."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._real = loop.time
        self._ahead = 0.0
        loop.time = self._time  # type: ignore[method-assign]  # timers ask it

    def forward(self, seconds: float) -> None:
        self._ahead += seconds

    def _time(self) -> float:
        return self._real() + self._ahead


@asynccontextmanager
async def without_complaints() -> AsyncIterator[None]:
    """The loop has nothing to tell: no lost exception, no failed callback, nothing left open."""
    loop = asyncio.get_running_loop()
    complaints: list[object] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    yield
    await tasks()
    loop.set_exception_handler(None)
    assert not complaints, complaints


@define
class Wire:
    """What stands at the other end of a connection that need not speak HTTP."""

    answer: bytes = b""
    """Sent as soon as something was heard."""
    closes: bool = True
    """Whether the connection is closed after that, else nothing more is said."""
    reads: bool = True
    """Whether it hears more than the beginning."""
    url: str = ""
    connected: asyncio.Event = Factory(asyncio.Event)
    heard: asyncio.Event = Factory(asyncio.Event)
    left: asyncio.Event = Factory(asyncio.Event)
    connections: int = 0


@asynccontextmanager
async def wired(wire: Wire) -> AsyncIterator[Wire]:
    """Listen on loopback."""
    transports: list[asyncio.Transport] = []

    class End(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            transports.append(transport)
            wire.connections += 1
            wire.connected.set()

        def data_received(self, data: bytes) -> None:
            wire.heard.set()
            self.transport.write(wire.answer)
            if not wire.reads:
                self.transport.pause_reading()
            if wire.closes:
                self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            wire.left.set()

    server = await asyncio.get_running_loop().create_server(End, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    wire.url = f"http://{host}:{port}"
    async with without_complaints():
        try:
            yield wire
        finally:
            server.close()
            for transport in transports:
                transport.abort()
            await server.wait_closed()
