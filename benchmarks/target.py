"""What can be measured, and how is it started and stopped?"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benchmarks" / "peers"
PROGRAMS = os.environ.get("PATH", os.defpath) + ":/usr/sbin"
"""Where they are looked for; Debian has nginx in the last one."""
INHERITED = ("HOME", "LANG")
"""All that a target sees of the environment, besides the path: nobody's settings count."""


class TargetError(Exception):
    """A target cannot be measured."""


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of peers/targets.toml, which explains the fields."""

    adapter: str
    command: str = ""
    health: str = "/"
    env: dict[str, str] = {}
    files: tuple[str, ...] = ()
    sockets: str = ""
    install: str = ""

    def words(self, fill: Mapping[str, object]) -> list[str]:
        """The command, ready to start; BENCH_SERVICE replaces our service's."""
        service = os.environ.get("BENCH_SERVICE") or "{python} -m service"
        command = self.command.replace("{service}", service)
        return [word.format(**fill) for word in shlex.split(command)]


def read_targets() -> dict[str, Target]:
    tables = tomllib.loads((PEERS / "targets.toml").read_text(encoding="utf-8"))
    return msgspec.convert(tables, dict[str, Target])


def fill_in(*, scratch: Path, port: int) -> dict[str, object]:
    """What the braces in a target's table stand for."""
    return {
        "python": sys.executable,
        "root": ROOT,
        "peers": PEERS,
        "bin": scratch / "venv" / "bin",
        "folder": scratch / "run",
        "port": port + 1,
        "upstream_port": port,
        "upstream": f"http://127.0.0.1:{port}",
    }


def is_installed(program: str) -> bool:
    return shutil.which(program, path=PROGRAMS) is not None


def http_get(url: str, timeout_seconds: float = 2.0) -> bytes:
    with urllib.request.urlopen(url, timeout=timeout_seconds) as answer:
        body: bytes = answer.read()
        return body


class Process:
    """A program in a process group of its own, on one core."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        core: int,
        log: Path,
        folder: Path = ROOT,
        env: Mapping[str, str] | None = None,
    ) -> None:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        with log.open("wb") as out:
            self._popen = subprocess.Popen(
                ["taskset", "--cpu-list", str(core), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=folder,
                env={"PATH": PROGRAMS, **inherited, **(env or {})},
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self._log = log

    def wait_for(self, url: str, timeout_seconds: float) -> None:
        """Until the URL answers 200; raises TargetError with the end of the log."""
        begun = time.monotonic()
        while time.monotonic() - begun < timeout_seconds and self._popen.poll() is None:
            try:
                http_get(url)
            except OSError:
                time.sleep(0.05)
            else:
                return
        end = self._log.read_text(encoding="utf-8", errors="replace")[-800:]
        raise TargetError(f"no answer from {url}; the end of {self._log}: {end}")

    def stop(self) -> None:
        """End this process group, and nothing else."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(5)
