"""How is the service watched from outside while something is wrong around it?

It is a process of its own behind real sockets; Groq is a look-alike in the process of the test.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from attrs import define, field, frozen
from prometheus_client.parser import text_string_to_metric_families
from web.outside import Json, Wire, asked

from scraping import Scraped
from service.simulator import Script, Text, make_simulator, run_simulator
from support import CONFIG, KEY, catalogue, simulated_models

ROOT = Path(__file__).parent.parent.parent
PROC = Path("/proc")
HOST = "127.0.0.1"

PATIENCE_SECONDS = 15
"""For everything to be as it was before."""
KEPT_TO_GROQ = 8
"""Connections to Groq that may be kept for the next request, and whatever a thread has open."""
GROWN_KIB = 24 * 1024
"""Memory that an allocator may keep; what leaks is shown by doing it again."""
GAUGES = ("chat_active_runs", "chat_readers", "chat_sockets")
WELL = "All is well."


@frozen
class Level:
    """What the process holds."""

    files: int
    kib: int


@define
class Served:
    """A running service."""

    process: asyncio.subprocess.Process
    url: str
    script: Script
    directory: Path
    http: aiohttp.ClientSession
    """It keeps no connections, so that none of them counts."""
    lines: list[Json] = field(factory=list)
    level: Level = field(default=Level(0, 0))
    """Before anything was wrong."""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def wired(self, wire_limit: int = 2**16) -> Wire:
        """A connection on which exact bytes are said; whoever asks for it cuts it."""
        return Wire(*await asyncio.open_connection(HOST, self.port, limit=wire_limit))

    async def chat(self, **members: object) -> Json:
        """A whole answer, or the problem."""
        async with self.http.post(f"{self.url}/api/chat", json=asked(**members)) as response:
            answer: Json = await response.json(content_type=None)
            return answer

    async def start(self, **members: object) -> str:
        """The id of a run that others read."""
        async with self.http.post(f"{self.url}/api/runs", json=asked(**members)) as response:
            assert response.status == 202, await response.text()
            return str((await response.json())["run_id"])

    async def told(self, path: str) -> Json:
        """What a GET answers."""
        async with self.http.get(f"{self.url}{path}") as response:
            assert response.status == 200, await response.text()
            told: Json = await response.json()
            return told

    async def measured(self) -> Scraped:
        """The metrics."""
        async with self.http.get(f"{self.url}/metrics") as response:
            text = await response.text()
        return Scraped(list(text_string_to_metric_families(text)), "", text)

    def now(self) -> Level:
        """What the process holds at this moment."""
        process = PROC / str(self.process.pid)
        pages = int((process / "statm").read_text("ascii").split()[1])
        kib = pages * os.sysconf("SC_PAGE_SIZE") // 1024
        return Level(len(list((process / "fd").iterdir())), kib)

    async def gauge(self, name: str, value: float) -> None:
        """Wait until a metric is so much."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self.measured()).value(name) != value:  # noqa: ASYNC110  # another process's
                await asyncio.sleep(0.02)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until something is so that nothing tells of."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not reached():  # noqa: ASYNC110  # there is nothing to wait on
                await asyncio.sleep(0.02)

    async def next(self) -> None:
        """Prove that the next request is served."""
        self.script.always(Text(WELL))
        answer = await self.chat()
        assert answer.get("content") == WELL, answer

    async def well(self) -> None:
        """Prove that nothing is left of what was wrong: the next is served, all is given back."""
        await self.next()
        for gauge in GAUGES:
            await self.gauge(gauge, 0)
        most = self.level
        try:
            await self.until(
                lambda: (
                    self.now().files <= most.files + KEPT_TO_GROQ
                    and self.now().kib <= most.kib + GROWN_KIB
                )
            )
        except TimeoutError:
            raise AssertionError(f"{self.now()} is more than {most}") from None
        assert not [line for line in self.lines if line["level"] in ("error", "critical")]
        assert (await self.measured()).value("chat_defects_total") == 0
        assert not self.complaints()

    def complaints(self) -> str:
        """What was said to stderr: no log line, but a warning of Python's, or a traceback."""
        return (self.directory / "stderr").read_text(encoding="utf-8")


def environment(directory: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Of a service that loses patience soon."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "default::ResourceWarning",
        "CONFIG_DIR": str(CONFIG),
        "CONVERSATION_STORE": f"sqlite:///{directory}/conversations.db",
        "PORT": "0",
        "LOG_FORMAT": "json",
        "GROQ_API_KEY": KEY,
        "SSL_CERT_DIR": str(directory),  # nothing here speaks TLS, and reading certificates is slow
        "UPSTREAM_CONNECT_TIMEOUT": "0.5",
        "UPSTREAM_FIRST_TOKEN_TIMEOUT": "0.8",
        "UPSTREAM_IDLE_TIMEOUT": "0.5",
        "UPSTREAM_MAX_RETRIES": "1",
        "UPSTREAM_MAX_RETRY_WAIT": "0.6",
        "MAX_RUN_DURATION": "60",
        "DISCONNECT_GRACE": "0.2",
        "DRAIN_TIMEOUT": "1",
        **variables,
    }


@asynccontextmanager
async def groq(script: Script, *, port: int = 0) -> AsyncIterator[str]:
    """A scripted Groq; its address."""
    look_alike = make_simulator(
        simulated_models(catalogue()), tokens_per_second=0, api_key=KEY, script=script
    )
    async with run_simulator(look_alike, port=port) as url:
        yield url


@asynccontextmanager
async def serving(
    directory: Path,
    variables: Mapping[str, str] | None = None,
    *,
    groq_url: str | None = None,
    script: Script | None = None,
) -> AsyncIterator[Served]:
    """A service that has answered a few requests; killed at the end if it still runs."""
    script = script or Script()
    async with groq(script) as url:
        given = environment(directory, {"GROQ_BASE_URL": groq_url or url, **(variables or {})})
        with (directory / "stderr").open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "service"),
                cwd=directory,
                env=given,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                limit=2**22,
            )
        try:
            async with _reading(process) as (lines, own_url):
                connector = aiohttp.TCPConnector(force_close=True, limit=0)
                async with aiohttp.ClientSession(connector=connector) as http:
                    served = Served(process, own_url, script, directory, http, lines)
                    await _warm_up(served)
                    yield served
            process.terminate()
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@asynccontextmanager
async def _reading(
    process: asyncio.subprocess.Process,
) -> AsyncIterator[tuple[list[Json], str]]:
    """What it logs, as it comes, and where it serves."""
    stdout = process.stdout
    assert stdout
    lines: list[Json] = []
    while line := await stdout.readline():
        lines.append(json.loads(line))
        if lines[-1]["event"] == "serving":
            break
    assert lines, "it did not start"
    reading = asyncio.create_task(_read(stdout, lines))
    try:
        yield lines, str(lines[-1]["url"])
    finally:
        reading.cancel()
        await asyncio.wait({reading})


async def _read(stdout: asyncio.StreamReader, lines: list[Json]) -> None:
    while line := await stdout.readline():
        lines.append(json.loads(line))


async def _warm_up(served: Served) -> None:
    """Let everything be used once, so that what stays afterwards is no leak."""
    served.script.always(Text(WELL))
    for _ in range(10):
        await asyncio.gather(*(served.chat() for _ in range(3)))
    await served.measured()
    served.level = served.now()
