"""Does the service hold no more after an hour of use than after a while?

People of every kind use it without a pause, and Groq fails now and then. Memory and descriptors
are looked at all the time: the median of the last third must not be above that of the second, but
for an allowance. The first third is for what grows once: caches, and the logs that are kept.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from attrs import Factory, define, frozen

from benchmarks.proctree import PROC
from benchmarks.target import PROGRAMS, ROOT
from benchmarks.visitors import MODELS, Visitor, Weather, WrongError
from service.simulator import SimulatedModel, make_simulator, run_simulator

KEY = "gsk_soak"
REST_SECONDS = 15
"""Until all that was under way has ended, and all that was open is closed."""
KEPT_PER_VISITOR = 4
"""Connections to Groq that are kept for a minute: of three runs at once, and one that was left."""
GAUGES = ("chat_active_runs", "chat_readers", "chat_sockets")
SETTINGS = {
    "PORT": "0",
    "LOG_FORMAT": "json",
    "CONFIG_DIR": str(ROOT / "config"),
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "default::ResourceWarning",
    "GROQ_API_KEY": KEY,
    "RUN_RETENTION": "5",
    "DISCONNECT_GRACE": "0.5",
    "UPSTREAM_FIRST_TOKEN_TIMEOUT": "2",
    "UPSTREAM_IDLE_TIMEOUT": "1",
}
"""What is kept for minutes by default is kept for seconds, so that it stops growing soon."""


@frozen
class Sample:
    """What the process held at a moment."""

    kib: int
    files: int


@define
class Soak:
    """A service under use, and what was seen of it."""

    pid: int
    url: str
    samples: list[Sample] = Factory(list)
    done: Counter[str] = Factory(Counter)
    faults: list[str] = Factory(list)
    """What must not be: each makes the soak fail."""

    def now(self) -> Sample:
        process = PROC / str(self.pid)
        pages = int((process / "statm").read_text().split()[1])
        kib = pages * os.sysconf("SC_PAGE_SIZE") // 1024
        return Sample(kib, len(list((process / "fd").iterdir())))


async def soak(seconds: float, visitors: int, seed: int) -> Soak:
    """Let so many visitors use a service for so long."""
    weather = Weather(random.Random(seed))
    models = [
        SimulatedModel(name, context_window=131_072, max_completion_tokens=32_768)
        for name in MODELS
    ]
    simulator = make_simulator(models, tokens_per_second=0, api_key=KEY, script=weather)
    connector = aiohttp.TCPConnector(limit=0)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            run_simulator(simulator) as groq_url,
            _serving(Path(folder), groq_url) as made,
            aiohttp.ClientSession(connector=connector) as http,
        ):
            before = made.now()
            ends = time.monotonic() + seconds
            async with asyncio.TaskGroup() as group:
                group.create_task(_watch(made, weather, ends))
                for number in range(visitors):
                    visitor = Visitor(http, made.url, random.Random(seed + number), made.done)
                    group.create_task(_visit(made, visitor, ends))
            await connector.close()
            await _rest(made, before.files + KEPT_PER_VISITOR * visitors)
    return made


async def _visit(made: Soak, visitor: Visitor, ends: float) -> None:
    while time.monotonic() < ends:
        try:
            async with asyncio.timeout(60):
                await visitor.visit()
        except (WrongError, TimeoutError, aiohttp.ClientError, KeyError) as exc:
            made.faults.append(f"{type(exc).__name__}: {exc}")
        await asyncio.sleep(visitor.chance.expovariate(2))


async def _watch(made: Soak, weather: Weather, ends: float) -> None:
    while time.monotonic() < ends:
        made.samples.append(made.now())
        weather.requests.clear()  # they are not what is looked at
        await asyncio.sleep(0.5)


async def _rest(made: Soak, most_files: int) -> None:
    """See that nothing is left when nobody is there any more."""
    left = ["not seen"]
    ends = time.monotonic() + REST_SECONDS
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        while left and time.monotonic() < ends:
            await asyncio.sleep(0.2)
            async with http.get(f"{made.url}/metrics") as response:
                lines = (await response.text()).splitlines()
            left = [line for line in lines if line.startswith(GAUGES) and not line.endswith(" 0.0")]
            if (files := made.now().files) > most_files:
                left.append(f"{files} descriptors are open")
    made.faults += [f"at rest: {line}" for line in left]


@asynccontextmanager
async def _serving(folder: Path, groq_url: str) -> AsyncIterator[Soak]:
    """A service of its own, whose log must tell of no defect."""
    store = f"sqlite:///{folder}/conversations.db"
    with (folder / "stderr").open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service"),
            env={
                "PATH": PROGRAMS,
                **SETTINGS,
                "GROQ_BASE_URL": groq_url,
                "CONVERSATION_STORE": store,
            },
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            limit=2**22,
        )
    assert process.stdout
    try:
        line = b""
        while b'"serving"' not in line:
            line = await process.stdout.readline()
            if not line:
                sys.exit((folder / "stderr").read_text(encoding="utf-8"))
        made = Soak(process.pid, json.loads(line)["url"])
        reading = asyncio.create_task(_read(process.stdout, made))
        yield made
        process.terminate()
        await asyncio.wait_for(process.wait(), 60)
        await reading
        made.faults += (folder / "stderr").read_text(encoding="utf-8").splitlines()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _read(log: asyncio.StreamReader, made: Soak) -> None:
    while line := await log.readline():
        if b'"level":"error"' in line or b'"level":"critical"' in line:
            made.faults.append(line.decode().strip())


def grown(samples: Sequence[Sample], allowance: float) -> list[str]:
    """What grows, by the medians of the last two thirds; the allowance is in percent."""
    _, before, after = map(middle, thirds(samples))
    most = 1 + allowance / 100
    faults = []
    if after.kib > before.kib * most:
        faults.append(f"memory grew from {before.kib} to {after.kib} KiB")
    if after.files > before.files * most:
        faults.append(f"descriptors grew from {before.files} to {after.files}")
    return faults


def thirds(samples: Sequence[Sample]) -> list[Sequence[Sample]]:
    """The samples of each third of the time."""
    length = len(samples) // 3
    return [samples[:length], samples[length : 2 * length], samples[2 * length :]]


def middle(samples: Sequence[Sample]) -> Sample:
    """The median of each figure."""
    return Sample(
        statistics.median_low(sample.kib for sample in samples),
        statistics.median_low(sample.files for sample in samples),
    )


def table(samples: Sequence[Sample]) -> str:
    """What was held in each third."""
    lines = ["| third | memory, MiB | descriptors |", "| --- | ---: | ---: |"]
    for number, held in enumerate(map(middle, thirds(samples)), 1):
        lines.append(f"| {number} | {held.kib / 1024:.1f} | {held.files} |")
    return "\n".join(lines)


def main() -> None:
    """Soak, show the figures, and exit with 1 where something grew or was wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3600, help="of use, 3 or more")
    parser.add_argument("--visitors", type=int, default=12, help="at the same time")
    parser.add_argument("--seed", type=int, default=1, help="of what they do")
    parser.add_argument("--allowance", type=float, default=10, help="percent that may be added")
    options = parser.parse_args()
    made = asyncio.run(soak(max(3, options.seconds), options.visitors, options.seed))
    print(*(f"{count:8} {what}" for what, count in sorted(made.done.items())), sep="\n")
    print(table(made.samples))
    faults = grown(made.samples, options.allowance) + made.faults
    print(*(f"FAULT: {fault}" for fault in faults[:20]), sep="\n", end="\n" if faults else "")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
