"""More comes than there is room for, or what is no request: it is refused, and nobody else pays."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from attrs import evolve
from faults.served import Served, serving
from web.outside import Held, Wire, asked, chat_bytes, request_bytes
from web.speaking import frame, handshake, text_frame

from service.descriptors import raise_limit
from support import all_frames, frames_of, text_of

pytestmark = pytest.mark.servers

QUESTIONS, ROOM = 500, 50
BOUND_SECONDS = 12
DROPPED_SECONDS = 3
"""Who has not asked by then is dropped, or waited for no longer."""
PATIENT = {"UPSTREAM_FIRST_TOKEN_TIMEOUT": "60", "UPSTREAM_IDLE_TIMEOUT": "60"}

CHAT = chat_bytes("/api/chat")
GARBAGE: Sequence[bytes] = [
    b"\r\n\r\n\r\n",
    b"\0" * 5000,
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\1" * 300,
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost a\r\n\r\n",
    request_bytes("POST", "/api/chat", b"", "Content-Length: -5"),
    request_bytes("POST", "/api/chat", b"", "Content-Length: 5", "Transfer-Encoding: chunked"),
    request_bytes("POST", "/api/chat", b"", "Transfer-Encoding: chunked") + b"zz\r\nbody\r\n",
    request_bytes("POST", "/api/chat", b"{" * 300, "Content-Type: application/json"),
    request_bytes("POST", "/api/chat", b"\xff\xfe", "Content-Type: application/json"),
    request_bytes("GET", "/api/chat/ws"),
    handshake() + frame(b"\xff\xfe", 0x82) * 3,
    handshake() + b"\xff" * 200,
    CHAT[: len(CHAT) // 2],
]
EACH = 15
STATUSES = frozenset({101, 400, 413, 415, 422, 426, 431, 505})
"""Of an answer to any of these; there need not be one."""


@pytest.fixture(scope="module", autouse=True)
def _many_files() -> None:
    raise_limit()


async def test_beyond_the_room_for_runs_all_are_refused_and_none_of_the_rest_is_lost(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, PATIENT | {"MAX_ACTIVE_RUNS": str(ROOM)}) as served:
        held = Held()
        served.script.always(evolve(held.answer, headers={"Connection": "close"}))
        asking = [asyncio.create_task(asked_once(served)) for _ in range(QUESTIONS)]
        async with asyncio.timeout(BOUND_SECONDS):
            while sum(task.done() for task in asking) < QUESTIONS - ROOM:
                await asyncio.wait([task for task in asking if not task.done()], timeout=0.05)
            held.let_go()
            answers = Counter(await asyncio.gather(*asking))
        await served.well()

    assert answers == {(200, held.text, ""): ROOM, (503, "overloaded", "1"): QUESTIONS - ROOM}


async def asked_once(served: Served) -> tuple[int, str, str]:
    """Status, text or problem, and when to come back."""
    async with served.http.post(f"{served.url}/api/chat/stream", json=asked()) as response:
        if response.status == 200:
            return 200, text_of(await all_frames(response)), ""
        slug = (await response.json(content_type=None))["type"].removeprefix("/problems/")
        return response.status, slug, response.headers["Retry-After"]


async def test_a_flood_of_what_is_no_request_is_answered_or_dropped(tmp_path: Path) -> None:
    async with serving(tmp_path, PATIENT | {"HEADER_TIMEOUT": "1"}) as served:
        held = Held()
        served.script.next(held.answer)
        async with served.http.post(f"{served.url}/api/chat/stream", json=asked()) as response:
            frames = frames_of(response)
            begun = [await anext(frames) for _ in range(2)]
            flood = [data for data in GARBAGE for _ in range(EACH)]
            random.Random(1).shuffle(flood)
            async with asyncio.timeout(BOUND_SECONDS):
                statuses = set(await asyncio.gather(*(thrown(served, data) for data in flood)))
            held.let_go()
            text = text_of(begun + [frame async for frame in frames])
        await served.well()

    assert text == held.text
    assert statuses - {None} <= STATUSES
    assert statuses >= {101, 400, 431}


async def thrown(served: Served, data: bytes) -> int | None:
    """The status of what comes back; None where the connection is closed or nothing comes."""
    wire = await served.wired()
    try:
        async with asyncio.timeout(DROPPED_SECONDS):
            await wire.send(data)
            head = await wire.reader.readexactly(12)
    except (OSError, EOFError, TimeoutError):
        return None
    finally:
        wire.cut()
    assert head.startswith(b"HTTP/1."), head
    return int(head[9:])


async def test_who_begins_a_request_and_never_ends_it_is_dropped(tmp_path: Path) -> None:
    async with serving(tmp_path, {"HEADER_TIMEOUT": "1"}) as served:
        wires = [await served.wired() for _ in range(200)]
        for wire in wires:
            await wire.send(b"GET /health HTTP/1.1\r\nHost: ")
        await served.next()

        async with asyncio.timeout(BOUND_SECONDS):
            heard = await asyncio.gather(*(wire.rest() for wire in wires))
        closed(wires)
        await served.well()

    assert set(heard) == {b""}


async def test_a_flood_of_messages_closes_the_socket_and_harms_no_other(tmp_path: Path) -> None:
    async with serving(tmp_path, PATIENT) as served:
        held = Held()
        served.script.next(held.answer)
        run_id = await served.start()
        wires = [await served.wired() for _ in range(50)]
        resume = text_frame("resume", id="a", run_id=run_id)
        says = handshake() + resume + text_frame("ping") * 200
        for wire in wires:
            await wire.send(says)
        async with asyncio.timeout(BOUND_SECONDS):
            heard = await asyncio.gather(*(wire.rest() for wire in wires))
        closed(wires)
        held.let_go()
        async with served.http.get(f"{served.url}/api/runs/{run_id}/events") as response:
            text = text_of(await all_frames(response))
        await served.well()

    assert {data[-4:] for data in heard} == {b"\x88\x02" + (4429).to_bytes(2, "big")}
    assert text == held.text


def closed(wires: Sequence[Wire]) -> None:
    for wire in wires:
        wire.cut()
