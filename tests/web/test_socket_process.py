"""Sockets of the service as a process, in the loop that production has, when it is stopped."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import frozen
from web.outside import Json, asked
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from support import CONFIG

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parent.parent.parent


@frozen
class Served:
    """A running process, and where it listens."""

    process: asyncio.subprocess.Process
    url: str


@asynccontextmanager
async def serving(directory: Path, **variables: str) -> AsyncIterator[Served]:
    """A simulated service; killed at the end if it still runs."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "CONFIG_DIR": str(CONFIG),
        "CONVERSATION_STORE": "memory://",
        "PORT": "0",
        "LOG_FORMAT": "json",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "--simulate"),
        cwd=directory,
        env=environment | variables,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        line: Json = {}
        while line.get("event") != "serving":
            line = json.loads(await process.stdout.readline())
        reading = asyncio.create_task(process.stdout.read())
        yield Served(process, line["url"].replace("http", "ws") + "/api/chat/ws")
        await reading
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def hear(client: ClientConnection) -> Json:
    async with asyncio.timeout(10):
        message: Json = json.loads(await client.recv())
        return message


async def test_a_signal_is_told_then_runs_end_then_sockets_close(tmp_path: Path) -> None:
    heard: list[Json] = []
    async with serving(tmp_path, DRAIN_TIMEOUT="0.3") as served:
        async with connect(served.url, proxy=None) as busy, connect(served.url, proxy=None) as idle:
            heard += [await hear(busy), await hear(idle)]
            message = {"type": "chat", "id": "a", "request": asked(user_prompt="Tell me all")}
            await busy.send(json.dumps(message))
            heard += [await hear(busy), await hear(busy)]
            served.process.send_signal(signal.SIGTERM)
            while heard[-1]["type"] not in ("finished", "failed"):
                heard.append(await hear(busy))
            told = await hear(idle)
            with pytest.raises(ConnectionClosed) as of_busy:
                await hear(busy)
            with pytest.raises(ConnectionClosed) as of_idle:
                await hear(idle)
        code = await served.process.wait()

    kinds = [one["type"] for one in heard]
    assert told["type"] == "draining"
    assert kinds.count("draining") == 1
    assert heard[-1]["error"]["type"] == "/problems/interrupted"
    assert [one.value.rcvd and one.value.rcvd.code for one in (of_busy, of_idle)] == [1001, 1001]
    assert code == 0
