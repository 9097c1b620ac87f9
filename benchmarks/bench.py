"""What does one run cost? A target behind the fake Groq, loaded and watched."""

import asyncio
import shutil
import sys
import time
from math import nan
from pathlib import Path
from urllib.parse import urlencode

import attrs
import msgspec
from attrs import frozen
from msgspec import Struct

from benchmarks.adapters import ADAPTERS
from benchmarks.analysis import Delivered, analyse, content_events
from benchmarks.load import Job, Load, now
from benchmarks.proctree import cpu_seconds, machine_seconds, resident_kib
from benchmarks.target import PEERS, Process, Target, fill_in, http_get
from benchmarks.wire import Plan

QUIET_CORES = 0.15
"""What other processes may use of the machine while it is measured."""
LOOK_SECONDS = 0.4


@frozen(kw_only=True)
class Options:
    """How all targets are measured alike."""

    scratch: Path
    port: int
    """Of the fake Groq; the target gets the next one."""
    gateway_core: int
    client_core: int
    seconds: float
    """Of a scenario that goes as fast as it can."""
    hold_seconds: float
    """Of a ramp's step, with all streams running."""
    retries: int
    """Of a run that other processes disturbed."""
    patience: int
    """Looks at the machine, until it is quiet."""


class _Stats(Struct):
    late_p99_ms: int = 0


@frozen
class Usage:
    """Seconds, of CPU but for the first."""

    at: float
    gateway: float
    client: float
    machine: float
    stolen: float

    def since(self, earlier: "Usage") -> "Usage":
        pairs = zip(attrs.astuple(self), attrs.astuple(earlier), strict=True)
        return Usage(*(after - before for after, before in pairs))

    @property
    def others(self) -> float:
        return max(0.0, self.machine - self.gateway - self.client)


@frozen(kw_only=True)
class Measured:
    """What a run brought and cost. The busy ones are shares of one core."""

    delivered: Delivered
    cpu_us_per_token: float
    cpu_us_per_answer: float
    gateway_busy: float
    client_busy: float
    others_busy: float
    stolen: float
    upstream_late_p99_ms: int

    @property
    def disturbance(self) -> float:
        return self.others_busy + self.stolen

    def __str__(self) -> str:
        """In short, for whoever waits for it."""
        shown = (
            f"gateway {self.gateway_busy:.2f} client {self.client_busy:.2f} "
            f"others {self.disturbance:.2f} tokens/read {self.delivered.tokens_per_read:.1f}"
        )
        if self.delivered.errors:
            shown += f" ERRORS {self.delivered.errors}: {self.delivered.first_error[:120]}"
        return shown


class Bench:
    """One target; it and its fake Groq are started for every round."""

    def __init__(self, name: str, target: Target, options: Options) -> None:
        self.name, self.target, self.options = name, target, options
        self.adapter = ADAPTERS[target.adapter]
        self.gateway: Process | None = None
        self.paced_cpu_us = 0.0
        """Of a token in `paced`, which tells where a ramp may begin,"""
        self.sustained: dict[float, int] = {}
        """as does the round before: streams by tokens per second."""
        self._upstream: Process | None = None
        self._upstream_url = f"http://127.0.0.1:{options.port}"
        self._fill = fill_in(scratch=options.scratch, port=options.port)

    @property
    def port(self) -> int:
        """Where answers are asked for."""
        return self.options.port + 1 if self.target.command else self.options.port

    @property
    def program(self) -> str:
        """What is started."""
        return self.target.words(self._fill)[0]

    def start(self) -> None:
        options = self.options
        command = [sys.executable, "-m", "benchmarks.upstream", "--port", str(options.port)]
        log = options.scratch / "upstream.log"
        self._upstream = Process(command, core=options.client_core, log=log)
        self._upstream.wait_for(f"{self._upstream_url}/_stats", 10)
        self.restart_gateway()

    def restart_gateway(self) -> None:
        """A new process in an empty folder."""
        if not self.target.command:
            return
        if self.gateway:
            self.gateway.stop()
        folder = self.options.scratch / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in self.target.files:
            text = (PEERS / f"{name}.in").read_text(encoding="utf-8").format(**self._fill)
            (folder / name).write_text(text, encoding="utf-8")
        self.gateway = Process(
            self.target.words(self._fill),
            core=self.options.gateway_core,
            log=self.options.scratch / f"{self.name}.log",
            folder=folder,
            env={name: text.format(**self._fill) for name, text in self.target.env.items()},
        )
        self.gateway.wait_for(f"http://127.0.0.1:{self.port}{self.target.health}", 60)
        time.sleep(0.3)

    def stop(self) -> None:
        for process in (self.gateway, self._upstream):
            if process:
                process.stop()
        self.gateway = self._upstream = None

    def job(self, plan: Plan) -> Job:
        """A job through the gateway, for which the fake Groq is made ready."""
        query = urlencode(attrs.asdict(plan))
        http_get(f"{self._upstream_url}/_plan?{query}")
        return Job(port=self.port, plan=plan, adapter=self.adapter)

    def direct_job(self, plan: Plan) -> Job:
        """The same without the gateway."""
        job = self.job(plan)
        return attrs.evolve(job, port=self.options.port, adapter=ADAPTERS["openai"])

    def resident_kib(self) -> int:
        return resident_kib(self.gateway.pid) if self.gateway else 0

    async def run(self, job: Job, marks: tuple[float, float] | None = None) -> Measured:
        """Do a job while the machine is quiet; again, if it did not stay so. Gives the quietest.

        CPU and lateness are those between two `marks`, in seconds after the start.
        """
        runs: list[Measured] = []
        for _ in range(1 + self.options.retries):
            await self._quiet()
            runs.append(await self.run_once(job, marks))
            if runs[-1].disturbance < QUIET_CORES:
                break
        return min(runs, key=lambda measured: measured.disturbance)

    async def run_once(self, job: Job, marks: tuple[float, float] | None = None) -> Measured:
        http_get(f"{self._upstream_url}/_stats?reset=1", 10)
        load = Load(job)
        seen: list[Usage] = []
        if marks:
            await load.run({at: lambda: seen.append(self._usage()) for at in marks})
        else:
            seen.append(self._usage())
            await load.run()
            seen.append(self._usage())
        first, last = seen
        window = (int(first.at * 1e9), int(last.at * 1e9)) if marks else None
        delivered = analyse(load, window)
        tokens: float = delivered.tokens
        if window:
            # An overloaded gateway ends few answers in time: what came counts, complete or not.
            tokens = content_events(load, window) * delivered.tokens_per_event
        return self._measured(delivered, tokens, last.since(first))

    def _measured(self, delivered: Delivered, tokens: float, used: Usage) -> Measured:
        stats = msgspec.json.decode(http_get(f"{self._upstream_url}/_stats", 10), type=_Stats)
        return Measured(
            delivered=delivered,
            cpu_us_per_token=used.gateway * 1e6 / tokens if tokens else nan,
            cpu_us_per_answer=used.gateway * 1e6 / max(1, delivered.answers),
            gateway_busy=used.gateway / used.at,
            client_busy=used.client / used.at,
            others_busy=used.others / used.at,
            stolen=used.stolen / used.at,
            upstream_late_p99_ms=stats.late_p99_ms,
        )

    async def _quiet(self) -> None:
        """Wait, for a bounded time, until other processes leave the machine alone."""
        for _ in range(self.options.patience):
            before = self._usage()
            await asyncio.sleep(LOOK_SECONDS)
            used = self._usage().since(before)
            if (used.others + used.stolen) / used.at < QUIET_CORES:
                return

    def _usage(self) -> Usage:
        busy, stolen = machine_seconds()
        return Usage(
            at=now() / 1e9,
            gateway=_cpu(self.gateway),
            client=_cpu(self._upstream) + time.process_time(),
            machine=busy,
            stolen=stolen,
        )


def _cpu(process: Process | None) -> float:
    return cpu_seconds(process.pid) if process else 0.0
