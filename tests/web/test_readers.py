import asyncio
import hashlib
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from web.outside import (
    Held,
    Reading,
    Wire,
    active_run,
    asked,
    begun,
    chat_bytes,
    connections,
    ended,
    events_of,
    request_bytes,
    said,
    start,
    until,
    wired,
)

from service.simulator import Gate, Raw, in_pieces, stream_of
from support import Running, all_frames, running, text_of

LARGE = "0123456789abcdef" * 3 * 2**17  # 6 MiB: more than the kernel keeps for a connection
STALLED = 8


def large() -> Raw:
    return Raw(in_pieces(b"".join(stream_of(LARGE, 2**14)), 2**16))


async def test_many_readers_at_once_each_get_what_follows_their_cursor(served: Running) -> None:
    gate = asyncio.Event()
    served.script.next(said("ab", Gate(gate), *"cdefghij"))
    run_id = await start(served)
    await begun(served, run_id, "ab")

    async with AsyncExitStack() as stack:
        path = f"/api/runs/{run_id}/events?after="
        responses = [
            await stack.enter_async_context(served.client.get(f"{path}{number % 3 - 1}"))
            for number in range(60)
        ]
        gate.set()
        heard = await asyncio.gather(*map(all_frames, responses))

    whole = await events_of(served, run_id)
    assert heard == [whole[number % 3 :] for number in range(60)]
    assert text_of(whole) == "abcdefghij"


async def test_all_readers_see_the_same_bytes(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)

    async with served.client.post("/api/chat/stream", json=asked()) as first:
        path = f"/api/runs/{first.headers['X-Run-Id']}/events"
        async with served.client.get(path) as second:
            held.let_go()
            live, replayed = await first.read(), await second.read()
    async with served.client.get(path) as third:
        later = await third.read()

    assert live == replayed == later


async def test_many_events_leave_in_few_writes_of_bounded_size(served: Running) -> None:
    served.script.next(large())
    run_id = await start(served)
    await ended(served, run_id)

    sizes = []
    async with wired(served.client, limit=2**22) as wire:
        await wire.send(events_bytes(run_id))
        await wire.head()
        while data := await wire.body_chunk():
            sizes.append(len(data))

    assert max(sizes) <= 64 * 1024
    assert sum(sizes) / len(sizes) > 32 * 1024


async def test_one_event_that_is_larger_leaves_whole(served: Running) -> None:
    text = "x" * 100_000
    served.script.next(Raw([b"".join(stream_of(text, len(text)))]))
    run_id = await start(served)
    await ended(served, run_id)

    async with wired(served.client, limit=2**22) as wire:
        await wire.send(events_bytes(run_id))
        await wire.head()
        writes = [await wire.body_chunk()]
        while writes[-1]:
            writes.append(await wire.body_chunk())

    assert all(write.endswith(b"\n\n") for write in writes[:-1])
    assert max(map(len, writes)) > 64 * 1024


async def test_a_stalled_reader_slows_nobody_and_gets_everything_later(served: Running) -> None:
    served.script.next(large())

    async with stalled(served, chat_bytes("/api/chat/stream")) as wire:
        run_id = await active_run(served)
        state = await ended(served, run_id)
        reading = await heard_by(wire)

    assert (state["status"], len(state["content"])) == ("finished", len(LARGE))
    assert reading.done
    assert sha256(reading.text) == sha256(LARGE)


async def test_stalled_readers_hold_no_copies_of_the_log(served: Running) -> None:
    served.script.next(large())
    run_id = await start(served)
    await ended(served, run_id)

    tracemalloc.start()
    async with AsyncExitStack() as stack:
        for _ in range(STALLED):
            await stack.enter_async_context(stalled(served, events_bytes(run_id)))
        for _ in range(50):  # turns of the loop in which a copy would be made
            await served.client.get("/health/live")
        held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < STALLED * len(LARGE) / 16


async def test_a_stalled_reader_is_dropped_in_time_and_can_resume() -> None:
    async with running(SEND_TIMEOUT="0.5") as served:
        served.script.next(large())
        run_id = await start(served)
        await ended(served, run_id)

        async with stalled(served, events_bytes(run_id)) as wire:
            await until(lambda: connections(served) == 2)
            await until(lambda: connections(served) == 1)
            reading = await heard_by(wire)
        missed = not reading.done
        async with wired(served.client) as wire:
            await wire.send(events_bytes(run_id, f"Last-Event-ID: {reading.last_event_id}"))
            await wire.head()
            await read_all(wire, reading)

    assert missed
    assert sha256(reading.text) == sha256(LARGE)


def events_bytes(run_id: str, *headers: str) -> bytes:
    return request_bytes("GET", f"/api/runs/{run_id}/events", b"", *headers)


@asynccontextmanager
async def stalled(served: Running, request: bytes) -> AsyncIterator[Wire]:
    """A connection whose client asks, and then takes next to nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (served.client.host, served.client.port))
    async with wired(served.client, sock=sock, limit=1024) as wire:
        await wire.send(request)
        yield wire


async def heard_by(wire: Wire) -> Reading:
    """What a reader gets that begins to read at last."""
    reading = Reading()
    try:
        await wire.send(b"\r\n")  # a kernel that gave a peer up says so when it is spoken to
        await wire.head()
        await read_all(wire, reading)
    except (ConnectionResetError, asyncio.IncompleteReadError):
        reading.cut()
    return reading


async def read_all(wire: Wire, reading: Reading) -> None:
    while data := await wire.body_chunk():
        reading.feed(data)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
