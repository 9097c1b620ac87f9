"""Floods of the service as a process, in the loop that production has."""

import asyncio
import json
import os
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from attrs import frozen
from web.outside import PATIENCE_SECONDS, Json, Wire, request_bytes

from support import CONFIG

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parent.parent.parent
ASKED = request_bytes("GET", "/health/live", b"", "Connection: close")
FEW = 100
"""Open files that it may have: fewer than clients."""
CLIENTS = 150


@frozen
class Served:
    """A running process, where it listens, and what it logs."""

    process: asyncio.subprocess.Process
    port: int
    logged: asyncio.Task[bytes]

    async def lines(self) -> list[Json]:
        """What it has logged, once it has stopped."""
        self.process.terminate()
        return [json.loads(line) for line in (await self.logged).splitlines()]


@asynccontextmanager
async def serving(limits: str, **variables: str) -> AsyncIterator[Served]:
    """A simulated service under limits of the shell; killed at the end if it still runs."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "CONFIG_DIR": str(CONFIG),
        "CONVERSATION_STORE": "memory://",
        "PORT": "0",
        "LOG_FORMAT": "json",
    }
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'{limits} && exec "$0" -m service --simulate', sys.executable),
        env=environment | variables,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        line: Json = {}
        while line.get("event") != "serving":
            line = json.loads(await process.stdout.readline())
        logged = asyncio.create_task(process.stdout.read())
        yield Served(process, int(line["url"].rpartition(":")[2]), logged)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def flooded(served: Served, clients: int) -> AsyncIterator[list[Wire]]:
    """Connections that ask for nothing."""
    async with AsyncExitStack() as stack:
        wires = []
        for _ in range(clients):
            wire = Wire(*await asyncio.open_connection("127.0.0.1", served.port))
            stack.callback(wire.cut)
            wires.append(wire)
        yield wires


async def answer(served: Served) -> bytes:
    """The beginning of the answer to a request; empty where the connection is lost."""
    wire = Wire(*await asyncio.open_connection("127.0.0.1", served.port))
    try:
        await wire.send(ASKED)
        return (await wire.rest())[:12]
    except ConnectionResetError:
        return b""
    finally:
        wire.cut()


async def answered(served: Served) -> bytes:
    """The first answer that is one: asked again and again, as a client would."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (heard := await answer(served)) != b"HTTP/1.1 200":
            pass
        return heard


async def test_what_does_not_fit_into_the_open_files_is_refused_and_the_rest_served() -> None:
    async with serving(f"ulimit -n {FEW}") as served:
        async with flooded(served, CLIENTS):
            during = await answer(served)
        after = await answered(served)
        lines = await served.lines()

    assert during in (b"HTTP/1.1 503", b"")  # a reset may overtake the answer
    assert after == b"HTTP/1.1 200"
    told = [line for line in lines if line["event"] == "connections_refused"]
    assert [line["most"] for line in told] == [FEW // 2]
    assert not [line for line in lines if line["level"] == "error"]


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit of another process")
async def test_without_a_file_left_it_neither_spins_nor_dies() -> None:
    async with serving(f"ulimit -n {FEW}", HEADER_TIMEOUT="1000") as served:
        _limit(served, _open_files(served) + 5)
        async with flooded(served, 20) as wires:
            await asyncio.gather(*(wire.rest() for wire in wires[10:]))
            before = _cpu_seconds(served)
            lost = [await answer(served) for _ in range(5)]
            spent = _cpu_seconds(served) - before
        after = await answered(served)
        lines = await served.lines()

    assert b"HTTP/1.1 200" not in lost
    assert spent < 0.5
    assert after == b"HTTP/1.1 200"
    assert not [line for line in lines if line["level"] == "error"]


async def test_the_limit_of_open_files_is_raised_as_far_as_it_goes() -> None:
    async with serving("ulimit -Sn 64") as served:
        async with flooded(served, CLIENTS):
            assert await answer(served) == b"HTTP/1.1 200"


def _open_files(served: Served) -> int:
    return len(list(Path(f"/proc/{served.process.pid}/fd").iterdir()))


def _limit(served: Served, most: int) -> None:
    resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, (most, FEW))


def _cpu_seconds(served: Served) -> float:
    stat = Path(f"/proc/{served.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
