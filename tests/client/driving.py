"""How does a test use the client for pages? In a Node of its own, told what to do line by line."""

import asyncio
import hashlib
import json
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define, field
from web.outside import Json, asked

from support import Running

NODE = Path(__file__).parent.parent / "node"
PATIENCE_SECONDS = 20
QUICK = {"backoffSeconds": 0.01, "backoffMaxSeconds": 0.1}
"""Attempts follow each other at once."""


@define
class Page:
    """A program with the client in it, and what it has told."""

    process: Process
    heard: list[Json] = field(factory=list)
    _news: asyncio.Event = field(factory=asyncio.Event)

    def do(self, deed: str, **members: object) -> None:
        """Tell it to do something."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"do": deed} | members).encode() + b"\n")

    def start(self, run: str = "a", **members: object) -> None:
        """Start a run."""
        self.do("start", run=run, request=asked(**members))

    def at(self, seq: int, deed: str, run: str = "a", **members: object) -> None:
        """Do something at once with the event of that number."""
        self.do("at", run=run, seq=seq, then={"do": deed, "run": run} | members)

    async def hears(self, kind: str, count: int = 1, **members: object) -> Json:
        """What was told of this kind, with these members, for that many times."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found := self.told(kind, **members)) < count:
                self._news.clear()
                await self._news.wait()
        return found[count - 1]

    async def event(self, seq: int, run: str = "a") -> Json:
        """The event of that number, once it is there."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := [one for one in self.events(run) if one["seq"] == seq]):
                self._news.clear()
                await self._news.wait()
        return found[0]

    async def end(self, run: str = "a") -> Json:
        """How a run ended."""
        return await self.hears("end", run=run)

    async def call(self, name: str, *args: object) -> Json:
        """What a call of the client came to: `answer` or `problem`."""
        count = len(self.told("answer"))
        self.do("call", name=name, args=args)
        return await self.hears("answer", count + 1)

    def told(self, kind: str, **members: object) -> list[Json]:
        """What was told of this kind, with these members."""
        wanted = {"kind": kind} | members
        return [one for one in self.heard if wanted.items() <= one.items()]

    def events(self, run: str = "a") -> list[Json]:
        """The events of a run."""
        return [one["event"] for one in self.told("event", run=run)]

    async def listen(self) -> None:
        """Take what it tells, to its end."""
        assert self.process.stdout
        while line := await self.process.stdout.readline():
            self.heard.append(json.loads(line))
            self._news.set()


@asynccontextmanager
async def page(
    url: str, transport: str = "websocket", *, timing: Json | None = None, **options: object
) -> AsyncIterator[Page]:
    """A page that ends by itself, and in order, once it has closed its client."""
    program = shutil.which("node")
    assert program, "Node is missing: .ci/programs installs it"
    assert (NODE / "node_modules").is_dir(), "run `npm ci` in tests/node, as `make test` does"
    given = {"baseUrl": url, "transport": transport, "timing": QUICK | (timing or {})} | options
    process = await asyncio.create_subprocess_exec(
        program,
        NODE / "drive.mjs",
        json.dumps(given),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=2**24,
    )
    assert process.stdin
    assert process.stderr
    told = Page(process)
    listening = asyncio.create_task(told.listen())
    try:
        yield told
        process.stdin.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            errors = await process.stderr.read()
            assert await process.wait() == 0, errors.decode()
        assert not errors, errors.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await listening


def check_exact(page: Page, text: str, run: str = "a") -> None:
    """See that a page has this text, by events of which none is missing or there twice."""
    (end,) = page.told("end", run=run)
    assert (end["status"], end["failure"]) == ("finished", None)
    assert end["content"] == text
    events = page.events(run)
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert "".join(event.get("content", "") for event in events) == text
    assert end["finished"]["content_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert end["lastSeq"] == events[-1]["seq"]


def url_of(served: Running) -> str:
    """Where a service is."""
    return f"http://{served.client.host}:{served.client.port}"
