"""What does our service cost, beside its peers? The targets by turns, in rounds; see README.md.

python -m benchmarks.measure --targets nginx,ours --scenarios paced --rounds 1
"""

import argparse
import math
import os
import platform
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import uvloop
from attrs import evolve, field, frozen

from benchmarks.bench import Bench, Options
from benchmarks.scenarios import FRESH, SCENARIOS, Result, warm_up
from benchmarks.tables import Row, Tables
from benchmarks.target import ROOT, TargetError, is_installed, read_targets

TARGETS = "direct,nginx,aiohttp-raw-uvloop,aiohttp-relay,ours,ours-saved,seed"
LATER = {"idle_ws"}
"""Not measured unless asked for: our WebSocket comes in a later version."""
BASES = ("nginx", "aiohttp-relay")
"""Ratios are taken to these."""


@frozen
class Machine:
    """Where figures were measured."""

    cpu: str
    cores: int | None
    kernel: str
    python: str
    packages: dict[str, str]


@frozen
class Record:
    """Everything measured, as it is kept."""

    machine: Machine
    options: Options
    started: datetime = field(factory=lambda: datetime.now(UTC))
    rows: list[Row] = field(factory=list)
    notes: list[str] = field(factory=list)
    """What could not be measured."""

    def note(self, text: str) -> None:
        self.notes.append(text)
        print(f"  {text}", flush=True)

    def tables(self) -> str:
        notes = "".join(f"- {note}\n" for note in self.notes)
        return f"{Tables(self.rows).markdown(BASES)}\n\n{notes}".rstrip() + "\n"

    def save(self, folder: Path) -> None:
        text = msgspec.json.format(msgspec.json.encode(self, enc_hook=str), indent=1)
        (folder / "results.json").write_bytes(text)
        (folder / "results.md").write_text(self.tables(), encoding="utf-8")


def main() -> None:
    """Measure what the command line asks for."""
    arguments = _arguments()
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    os.sched_setaffinity(0, {options.client_core})
    options.scratch.mkdir(parents=True, exist_ok=True)
    record = Record(_machine(), options)
    benches = _benches(arguments.targets, record)
    for number in range(1, arguments.rounds + 1):
        for bench in benches:
            print(f"round {number}: {bench.name}", flush=True)
            try:
                bench.start()
                uvloop.run(_measure(bench, arguments.scenarios, number, record))
            except (TargetError, OSError, ValueError) as exc:
                record.note(f"FAILED in round {number}: {bench.name}: {exc}")
            finally:
                bench.stop()
            record.save(options.scratch)
    print(f"\n{record.tables()}\nKept in {options.scratch}: results.json, results.md")
    if any(note.startswith("FAILED") for note in record.notes):
        sys.exit(1)


def _benches(names: Iterable[str], record: Record) -> list[Bench]:
    """Of all targets whose programs are there; a note says which are not."""
    known, benches = read_targets(), []
    for name in names:
        target = known[name]
        bench = Bench(name, target, record.options)
        if target.install and not is_installed(bench.program):
            record.note(f"LEFT OUT: {name} is not installed; to install it: {target.install}")
        else:
            benches.append(bench)
    return benches


async def _measure(bench: Bench, scenarios: Sequence[str], number: int, record: Record) -> None:
    await warm_up(bench)
    for name in scenarios:
        if name in FRESH:
            bench.restart_gateway()
            await warm_up(bench)
        result = _without_nan(await SCENARIOS[name](bench))
        record.rows.append(Row(number, bench.name, name, result))
        figures = " ".join(f"{figure} {value:.2f}" for figure, value in result.figures.items())
        print(f"  {name:10} {figures}", flush=True)
        for run in result.runs:
            print(f"  {'':10}   {run}", flush=True)


def _without_nan(result: Result) -> Result:
    there = {figure: value for figure, value in result.figures.items() if not math.isnan(value)}
    return evolve(result, figures=there)


def _machine() -> Machine:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    packages = {name: version(name) for name in ("aiohttp", "groq", "msgspec", "uvloop")}
    return Machine(
        cpu=models[0] if models else "unknown",
        cores=os.cpu_count(),
        kernel=platform.release(),
        python=platform.python_version(),
        packages=packages,
    )


def _options(arguments: argparse.Namespace) -> Options:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("Two cores are needed: one for the target, one for those who load it.")
    return Options(
        scratch=arguments.scratch.resolve(),
        port=arguments.port,
        gateway_core=cores[0],
        client_core=cores[1],
        seconds=arguments.seconds,
        hold_seconds=arguments.hold,
        retries=arguments.retries,
        patience=arguments.patience,
    )


def _arguments() -> argparse.Namespace:
    known, scenarios = read_targets(), [name for name in SCENARIOS if name not in LATER]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.measure", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--targets", type=_names(known), default=TARGETS, help="of peers/targets.toml")
    add("--scenarios", type=_names(SCENARIOS), default=",".join(scenarios), help="of scenarios.py")
    add("--rounds", type=int, default=3, help="how often every target has its turn")
    add("--seconds", type=float, default=2.0, help="of a scenario that goes as fast as it can")
    add("--hold", type=float, default=2.5, help="seconds of a ramp's step with all streams running")
    add("--retries", type=int, default=2, help="of a run that other processes disturbed")
    add("--patience", type=int, default=25, help="looks, of 0.4 s, until the machine is quiet")
    add("--port", type=int, default=9100, help="of the fake Groq; the target gets the next one")
    add("--scratch", type=Path, default=ROOT / "build" / "bench", help="peers, logs and results")
    return parser.parse_args()


def _names(known: Collection[str]) -> Callable[[str], list[str]]:
    def names(given: str) -> list[str]:
        if unknown := set(given.split(",")) - set(known):
            raise argparse.ArgumentTypeError(
                f"not known: {', '.join(sorted(unknown))}; known: {', '.join(known)}"
            )
        return given.split(",")

    return names


if __name__ == "__main__":
    main()
