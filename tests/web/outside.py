"""How does a client from outside talk to the service? With JSON, and with bytes of its own."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientResponse
from attrs import define, field, frozen

from service.simulator import DONE, Gate, Piece, Raw, chunk
from service.simulator.wire import usage_data
from support import MODEL, Client, Frame, Running, all_frames, frames_of

Json = dict[str, Any]

JSON_TYPE = {"Content-Type": "application/json"}
KEEP_ALIVE = b": keep-alive\n"
USAGE = usage_data(prompt_tokens=3, completion_tokens=5)
PATIENCE_SECONDS = 10


def asked(**members: object) -> Json:
    """A chat request with these members besides the required ones."""
    return {"model": MODEL, "user_prompt": "Hello"} | members


def said(*parts: str | Piece) -> Raw:
    """An answer said in these pieces; what is no text stands for itself, like a Gate."""
    pieces = [chunk({"content": part}) if isinstance(part, str) else part for part in parts]
    return Raw([*pieces, chunk({}, "stop", usage=USAGE), DONE])


@frozen
class Held:
    """An answer that stops in the middle until it is let go."""

    first: str = "Hel"
    rest: str = "lo"
    gate: asyncio.Event = field(factory=asyncio.Event)

    @property
    def answer(self) -> Raw:
        """For the script."""
        return said(self.first, Gate(self.gate), self.rest)

    @property
    def text(self) -> str:
        """All of it."""
        return self.first + self.rest

    def let_go(self) -> None:
        """Say the rest."""
        self.gate.set()


async def problem_of(response: ClientResponse, status: int, slug: str) -> Json:
    """The problem in a response, once it is one of that status and slug, and well-formed."""
    body: Json = await response.json(content_type="application/problem+json")
    assert (response.status, body["type"]) == (status, f"/problems/{slug}"), body
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == response.headers["X-Request-Id"]
    assert set(body) <= {*PROBLEM, "errors", "retry_after"}
    return body


PROBLEM = ("type", "title", "status", "detail", "request_id")


def faults_of(problem: Json) -> dict[str, str]:
    """The details by their pointers."""
    return {fault["pointer"]: fault["detail"] for fault in problem["errors"]}


async def conversation_about(served: Running, question: str, answer: str = "Yes") -> str:
    """The id of a new conversation."""
    served.script.next(said(answer))
    return str((await chat(served, user_prompt=question))["conversation_id"])


async def state_of(served: Running, run_id: str) -> Json:
    """The state of a run."""
    async with served.client.get(f"/api/runs/{run_id}") as response:
        assert response.status == 200, await response.text()
        state: Json = await response.json()
        return state


async def ended(served: Running, run_id: str) -> Json:
    """The state of a run once it has its terminal event."""
    async with served.client.get(f"/api/runs/{run_id}/events") as response:
        await response.read()
    return await state_of(served, run_id)


async def chat(served: Running, **members: object) -> Json:
    """A whole answer."""
    async with served.client.post("/api/chat", json=asked(**members)) as response:
        assert response.status == 200, await response.text()
        answer: Json = await response.json()
        return answer


async def start(served: Running, **members: object) -> str:
    """The id of a run that somebody else reads."""
    async with served.client.post("/api/runs", json=asked(**members)) as response:
        assert response.status == 202, await response.text()
        return str((await response.json())["run_id"])


async def streamed(
    served: Running, path: str = "/api/chat/stream", **members: object
) -> list[Frame]:
    """Every event of a new run."""
    async with served.client.post(path, json=asked(**members)) as response:
        assert response.status == 200, await response.text()
        return await all_frames(response)


async def events_of(served: Running, run_id: str, after: int = -1) -> list[Frame]:
    """Every event of a run after a cursor, to its end."""
    async with served.client.get(f"/api/runs/{run_id}/events?after={after}") as response:
        assert response.status in (200, 204), await response.text()
        return await all_frames(response)


async def shown(served: Running, conversation_id: str, query: str = "") -> Json:
    """A conversation."""
    path = f"/api/conversations/{conversation_id}{query}"
    async with served.client.get(path) as response:
        assert response.status == 200, await response.text()
        conversation: Json = await response.json()
        return conversation


async def listed(served: Running, query: str = "") -> Json:
    """A page of the list of conversations."""
    async with served.client.get(f"/api/conversations{query}") as response:
        assert response.status == 200, await response.text()
        page: Json = await response.json()
        return page


def contents(conversation: Json) -> list[str]:
    """What was said, in order."""
    return [message["content"] for message in conversation["messages"]]


def prompt(served: Running, index: int = -1) -> list[str]:
    """What Groq was sent, as `role: content`."""
    messages = served.script.requests[index].body["messages"]
    assert isinstance(messages, list)
    return [f"{turn['role']}: {turn['content']}" for turn in messages]


@asynccontextmanager
async def reading(
    served: Running, run_id: str, query: str = ""
) -> AsyncIterator[AsyncIterator[Frame]]:
    """The events of a run as they come, over a connection that is closed at the end."""
    async with served.client.get(f"/api/runs/{run_id}/events{query}") as response:
        assert response.status == 200, await response.text()
        yield frames_of(response)
        response.close()


@asynccontextmanager
async def asking(served: Running, **members: object) -> AsyncIterator[AsyncIterator[Frame]]:
    """The events of a new run as they come, over a connection that is closed at the end."""
    async with served.client.post("/api/chat/stream", json=asked(**members)) as response:
        assert response.status == 200, await response.text()
        yield frames_of(response)
        response.close()


async def active_run(served: Running) -> str:
    """The id of the one run that is under way, which no response has told yet."""
    await served.script.request_count(1)
    (run,) = served.service.chat.runs.active()
    return run.run_id


async def begun(served: Running, run_id: str, text: str) -> None:
    """Wait until a run has said this much."""
    async with reading(served, run_id) as frames:
        heard = ""
        while heard != text:
            heard += str((await anext(frames)).data.get("content", ""))


async def until(reached: Callable[[], bool]) -> None:
    """Wait until something is so that nothing tells of."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not reached():  # noqa: ASYNC110  # there is nothing to wait on
            await asyncio.sleep(0.002)


def later(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the clock of the loop leap: what was to happen meanwhile happens now."""
    loop = asyncio.get_running_loop()
    before = loop.time
    patch.setattr(loop, "time", lambda: before() + seconds)


# Bytes.


@frozen
class Wire:
    """A connection on which a test says and hears exact bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Say bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self) -> bytes:
        """Everything until the server closes; a reset counts as an end."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            heard = bytearray()
            try:
                while data := await self.reader.read(2**16):
                    heard += data
            except ConnectionResetError:
                pass
            return bytes(heard)

    async def head(self) -> bytes:
        """Status line and headers."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def body_chunk(self) -> bytes:
        """One chunk of a chunked body; empty at the end."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            size = int(await self.reader.readline(), 16)
            data = await self.reader.readexactly(size + 2)
            return data[:-2]

    def cut(self) -> None:
        """Go without a word."""
        self.writer.transport.abort()


@asynccontextmanager
async def wired(
    client: Client, *, sock: socket.socket | None = None, limit: int = 2**16
) -> AsyncIterator[Wire]:
    """A connection to the service; about `limit` bytes are read ahead."""
    if sock is None:
        sock = socket.create_connection((client.host, client.port))
        sock.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=sock, limit=limit)
    wire = Wire(reader, writer)
    try:
        yield wire
    finally:
        wire.cut()


def connections(served: Running) -> int:
    """How many connections the service has open."""
    return len(served.client.server.handler.connections)


def request_bytes(
    method: str, path: str, body: bytes = b"", *headers: str, version: str = "1.1"
) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/{version}", "Host: service", *headers]
    if body:
        lines += [f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chat_bytes(path: str, *headers: str, version: str = "1.1", **members: object) -> bytes:
    """A chat request as it goes over the wire."""
    body = json.dumps(asked(**members)).encode()
    kind = "Content-Type: application/json"
    return request_bytes("POST", path, body, kind, *headers, version=version)


async def exchange(client: Client, request: bytes) -> tuple[int, bytes, bytes]:
    """Status, headers and body of the answer to a request that closes its connection."""
    async with wired(client) as wire:
        await wire.send(request)
        head, _, body = (await wire.rest()).partition(b"\r\n\r\n")
    return int(head.split()[1]), head, body


@define
class Reading:
    """A reader of server-sent events by the book, who may be cut off anywhere.

    An event counts at its empty line, and only then does its id (WHATWG HTML, 9.2.6).
    """

    text: str = ""
    last_event_id: str = ""
    done: bool = False
    _rest: bytes = b""
    _data: str = ""
    _id: str = ""

    def feed(self, data: bytes) -> None:
        """Take bytes, cut anywhere."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line.decode())

    def cut(self) -> None:
        """Lose what was not whole."""
        self._rest, self._data, self._id = b"", "", ""

    def _line(self, line: str) -> None:
        if line.startswith("data: "):
            self._data = line[6:]
        elif line.startswith("id: "):
            self._id = line[4:]
        elif not line and self._data:
            event = json.loads(self._data)
            self.text += event.get("content", "")
            self.done = event["finished"]
            self.last_event_id = self._id
            self._data = ""


def text_in(bodies: Sequence[bytes]) -> str:
    """The text that whole streams make."""
    reading = Reading()
    for body in bodies:
        reading.feed(body)
    return reading.text
