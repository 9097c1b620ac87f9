"""A database that speaks MongoDB's protocol, in a process of its own.

It is no MongoDB, but speaks to the same driver, keeps to a disk, and can be killed.
"""

import atexit
import hashlib
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO


class MongoServer:
    """One server on a free port of loopback, that may be started and stopped again."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.port = _free_port()
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        """Returns when it listens."""
        arguments = ["--port", str(self.port), "--storage-path", str(self._directory)]
        process = subprocess.Popen(
            [sys.executable, "-m", "secantus", *arguments, *self._options, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._process = process
        assert process.stderr is not None
        said: list[str] = []
        while "listening" not in (line := process.stderr.readline()):
            said.append(line)
            assert line, f"the server ended: {said}"
        threading.Thread(target=_read_on, args=[process.stderr], daemon=True).start()

    def stop(self) -> None:
        """As an administrator does."""
        if self._process:
            self._process.terminate()
            self._process.wait()

    def kill(self) -> None:
        """As a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def url(self, database: str, *, user: str = "", options: str = "") -> str:
        """Of a database; `user` is a name and a password."""
        at = f"{user}@" if user else ""
        return f"mongodb://{at}127.0.0.1:{self.port}/{database}{options}"

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid


@contextmanager
def mongo_server(directory: Path, *options: str) -> Iterator[MongoServer]:
    """A server of one test."""
    server = MongoServer(directory / "mongo", *options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@cache
def shared_server() -> MongoServer:
    """The server of all tests that want nothing but a database in it."""
    directory = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    atexit.register(directory.cleanup)
    server = MongoServer(Path(directory.name))
    server.start()
    atexit.register(server.kill)  # before the clean-up
    return server


def database_name(directory: Path) -> str:
    """A name that belongs to a test, as its directory does."""
    return "test-" + hashlib.sha256(str(directory).encode()).hexdigest()[:16]


def shared_url(directory: Path) -> str:
    """Of an empty database for the test that has that directory."""
    return shared_server().url(database_name(directory))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _read_on(stream: IO[str]) -> None:
    """So that the server can always write."""
    with stream:
        for _ in stream:
            pass
