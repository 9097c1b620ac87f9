"""Readers vanish by the thousand, stall, and are slow; who reads well notices nothing."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from faults.served import HOST, Served, serving
from web.outside import Held, Wire, chat_bytes, request_bytes
from web.speaking import handshake, text_frame

from service.descriptors import raise_limit
from service.simulator import Gate, Raw, in_pieces, stream_of
from support import all_frames, text_of

pytestmark = pytest.mark.servers

READERS, OWN_RUNS, SOCKETS, STALLED, SLOW = 1000, 100, 500, 200, 20
BOUND_SECONDS = 10
AT_ONCE = 50
"""Connections that are made at the same time: no more than wait to be accepted."""
RESET = struct.pack("ii", 1, 0)
"""Linger for no time: closing sends a reset instead of an end."""
LARGE = "0123456789abcdef" * 2**18
"""4 MiB: more than the kernel keeps for a connection."""
MOST_LEFT_KIB = 16 * 1024
"""Of five such answers that are forgotten: less than their logs."""
MOST_GROWN_KIB = 96 * 1024
"""For the log of that answer and 200 readers of it; a copy for each would be 800 MiB."""


PATIENT = {
    "UPSTREAM_FIRST_TOKEN_TIMEOUT": "60",
    "UPSTREAM_IDLE_TIMEOUT": "60",
    "RUN_RETENTION": "2",
}
"""Of a service that waits for Groq, and soon forgets what it said."""


@pytest.fixture(scope="module", autouse=True)
def _many_files() -> None:
    """This process has as many connections as the service."""
    raise_limit()


async def connected(served: Served, says: bytes, *, room: int | None = None) -> Wire:
    """A connection that has asked for something; `room` is what the kernel keeps for it."""
    sock = socket.socket()
    if room:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (HOST, served.port))
    wire = Wire(*await asyncio.open_connection(sock=sock, limit=room or 2**16))
    await wire.send(says)
    return wire


@asynccontextmanager
async def crowd(
    served: Served, count: int, says: bytes, *, until: bytes = b"", room: int | None = None
) -> AsyncIterator[Sequence[Wire]]:
    """So many connections, each of which has heard so much; they are cut at the end."""
    places = asyncio.Semaphore(AT_ONCE)

    async def join() -> Wire:
        async with places:
            wire = await connected(served, says, room=room)
            if until:
                async with asyncio.timeout(BOUND_SECONDS):
                    await wire.reader.readuntil(until)
            return wire

    wires = await asyncio.gather(*(join() for _ in range(count)))
    try:
        yield wires
    finally:
        for wire in wires:
            wire.cut()


def vanish(wires: Sequence[Wire]) -> None:
    """Go, every second one with a reset."""
    for wire in wires[::2]:
        sock = wire.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    for wire in wires:
        wire.cut()


def events(run_id: str, version: str = "1.1") -> bytes:
    """The request for a run's events."""
    return request_bytes("GET", f"/api/runs/{run_id}/events", version=version)


async def text_at_the_end(served: Served, run_id: str) -> str:
    """What a reader hears who has come late."""
    async with served.http.get(f"{served.url}/api/runs/{run_id}/events") as response:
        return text_of(await all_frames(response))


async def test_a_thousand_readers_that_vanish_in_mid_stream_leave_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, PATIENT) as served:
        for _ in range(2):
            held = Held()
            served.script.next(held.answer)
            run_id = await served.start()
            async with crowd(served, READERS, events(run_id), until=b"Hel") as readers:
                await served.gauge("chat_readers", READERS)
                vanish(readers)
                await served.gauge("chat_readers", 0)
            held.let_go()

            assert await text_at_the_end(served, run_id) == held.text
            await served.well()
            served.level = served.now()  # the next thousand cost nothing more


async def test_runs_that_nobody_reads_any_more_are_no_longer_paid_for(tmp_path: Path) -> None:
    async with serving(tmp_path, PATIENT) as served:
        served.script.requests.clear()
        served.script.always(Held().answer)
        request = chat_bytes("/api/chat/stream", save_conversation=False)
        async with crowd(served, OWN_RUNS, request, until=b"Hel") as readers:
            vanish(readers)

            await asyncio.gather(*(served.script.disconnected(run) for run in range(OWN_RUNS)))
            await served.well()


async def test_sockets_that_vanish_leave_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, PATIENT) as served:
        held = Held()
        served.script.next(held.answer)
        run_id = await served.start()
        says = handshake() + text_frame("resume", id="a", run_id=run_id)
        async with crowd(served, SOCKETS, says, until=b'"content":"Hel"') as sockets:
            await served.gauge("chat_sockets", SOCKETS)
            await served.gauge("chat_readers", SOCKETS)
            vanish(sockets)
            await served.gauge("chat_sockets", 0)
        held.let_go()

        assert await text_at_the_end(served, run_id) == held.text
        await served.well()


async def test_stalled_readers_are_dropped_in_time_and_hold_no_copies(tmp_path: Path) -> None:
    async with serving(tmp_path, PATIENT | {"SEND_TIMEOUT": "1"}) as served:
        gate = asyncio.Event()
        served.script.next(large(gate))
        run_id = await served.start(save_conversation=False, on_disconnect="continue")
        async with crowd(served, STALLED, events(run_id), room=4096):
            await served.gauge("chat_readers", STALLED)
            gate.set()
            whole = await text_at_the_end(served, run_id)
            grown = served.now().kib - served.level.kib
            await served.next()
            await served.until(lambda: served.now().files < STALLED)
        served.level = served.now()
        await served.well()

    assert whole == LARGE
    assert grown < MOST_GROWN_KIB


async def test_what_is_forgotten_is_no_longer_held(tmp_path: Path) -> None:
    async with serving(tmp_path, PATIENT | {"RUN_RETENTION": "0.2"}) as served:
        held = []
        for _ in range(10):
            gate = asyncio.Event()
            served.script.next(large(gate))
            run_id = await served.start(save_conversation=False, on_disconnect="continue")
            reading = asyncio.create_task(text_at_the_end(served, run_id))
            await served.gauge("chat_readers", 1)
            gate.set()
            assert await reading == LARGE
            held.append(served.now().kib)

    assert max(held[5:]) - max(held[:5]) < MOST_LEFT_KIB


async def test_slow_readers_get_every_character(tmp_path: Path) -> None:
    async with serving(tmp_path, PATIENT | {"SEND_TIMEOUT": "5"}) as served:
        served.script.next(large())
        run_id = await served.start(save_conversation=False, on_disconnect="continue")
        async with crowd(served, SLOW, events(run_id, "1.0"), room=2**15) as readers:
            texts = await asyncio.gather(*(slowly(reader) for reader in readers))
        served.level = served.now()
        await served.well()

    assert set(texts) == {LARGE}


async def slowly(wire: Wire) -> str:
    """What a reader hears who does something else in between."""
    heard = bytearray()
    async with asyncio.timeout(20):
        while data := await wire.reader.read(2**15):
            heard += data
            await asyncio.sleep(0.002)
    lines = heard.partition(b"\r\n\r\n")[2].split(b"\n")
    payloads = [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]
    return "".join(payload.get("content", "") for payload in payloads)


def large(gate: asyncio.Event | None = None) -> Raw:
    """An answer of so much text, which waits for the gate where there is one."""
    pieces = in_pieces(b"".join(stream_of(LARGE, 2**14)), 2**16)
    return Raw([Gate(gate), *pieces] if gate else pieces)
