import json
import random

import pytest
from web.outside import (
    Held,
    Json,
    Reading,
    chat_bytes,
    ended,
    faults_of,
    reading,
    request_bytes,
    said,
    start,
    wired,
)
from web.speaking import Peer, check_whole, of, raw, said_in, speaking, text_frame

from service.simulator import Pause, Raw, Refusal, error_data, in_pieces, stream_of
from support import Running, running

TEXT = 'Über 世界 👩‍👩‍👧 "x"\n\\\u2028' * 8


def slowly(text: str, size: int) -> Raw:
    """An answer in small pieces, each read by itself."""
    pieces = in_pieces(b"".join(stream_of(text, 4)), size)
    return Raw([part for piece in pieces for part in (piece, Pause(0.001))])


async def resume(peer: Peer, reader_id: str, run_id: str, after: int = -1) -> Json:
    """The answer to `resume`."""
    await peer.say("resume", id=reader_id, run_id=run_id, after=after)
    return await peer.hear()


async def test_a_run_under_way_is_read_on_after_the_cursor(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    async with speaking(served) as first:
        await first.chat("a")
        heard = await first.hear_to("delta")

    async with speaking(served) as second:
        resumed = await resume(second, "b", heard[0]["run_id"], heard[-1]["seq"])
        held.let_go()
        rest = await second.hear_end("b")

    assert resumed == {
        "type": "resumed",
        "id": "b",
        "run_id": heard[0]["run_id"],
        "after": 1,
        "last_seq": 1,
        "status": "running",
        "recovered": True,
    }
    assert rest[0]["seq"] == 2
    assert said_in(rest) == "lo"


async def test_an_ended_run_is_replayed_from_any_cursor(served: Running) -> None:
    served.script.next(slowly(TEXT, 300))
    run_id = await start(served)
    await ended(served, run_id)

    async with speaking(served) as peer:
        resumed = await resume(peer, "a", run_id)
        whole = await peer.hear_end("a")
        last = whole[-1]["seq"]
        for after in (0, 1, last - 1):
            await resume(peer, "a", run_id, after)
            assert await peer.hear_end("a") == whole[after + 1 :]

    assert (resumed["after"], resumed["last_seq"]) == (-1, last)
    assert resumed["status"] == "finished"
    assert check_whole(whole) == TEXT


async def test_a_small_event_before_a_large_one_leaves_nothing_behind(served: Running) -> None:
    text = "x" * 70_000
    served.script.next(Raw([*stream_of(text, len(text))]))
    run_id = await start(served)
    await ended(served, run_id)

    async with speaking(served) as peer:
        await peer.say("resume", id="a", run_id=run_id)
        await peer.say("ping")
        heard = await peer.hear_end("a")
        kinds = [message["type"] for message in heard]
        await peer.nothing_more() if "pong" in kinds else await peer.hear_to("pong")

    assert said_in(heard) == text


async def test_at_the_end_of_an_ended_run_nothing_follows_and_the_id_is_free(
    served: Running,
) -> None:
    run_id = await start(served)
    state = await ended(served, run_id)

    async with speaking(served) as peer:
        for _ in range(2):
            resumed = await resume(peer, "a", run_id, state["last_seq"])
            await peer.nothing_more()

            assert (resumed["type"], resumed["last_seq"]) == ("resumed", state["last_seq"])


@pytest.mark.parametrize("beyond", [1, 2**31, 2**63, 10**30])
async def test_a_cursor_beyond_the_end_is_refused(served: Running, beyond: int) -> None:
    run_id = await start(served)
    state = await ended(served, run_id)

    async with speaking(served) as peer:
        error = await resume(peer, "a", run_id, state["last_seq"] + beyond)
        resumed = await resume(peer, "a", run_id, state["last_seq"])

    assert error["error"]["type"] == "/problems/validation-error"
    assert faults_of(error["error"]).keys() == {"#/after"}
    assert resumed["type"] == "resumed"


async def test_one_socket_reads_one_run_under_several_ids(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)

    async with speaking(served) as peer:
        await peer.chat("a")
        heard = await peer.hear_to("delta")
        for reader_id in ("b", "c"):
            await peer.say("resume", id=reader_id, run_id=heard[0]["run_id"])
        held.let_go()
        heard += await peer.hear_end("a", "b", "c")

    texts = [
        check_whole([one for one in of(heard, reader_id) if one["type"] != "resumed"])
        for reader_id in "abc"
    ]
    assert texts == 3 * ["Hello"]


async def test_the_same_cursor_works_on_both_transports(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    async with speaking(served) as peer:
        await peer.chat("a")
        (started, *_) = await peer.hear_to("started")

    run_id = started["run_id"]
    async with reading(served, run_id, "?after=0") as frames:
        second = await anext(frames)
        held.let_go()
    async with speaking(served) as peer:
        await resume(peer, "x", run_id, second.seq)
        third = await peer.hear()
    async with reading(served, run_id, f"?after={third['seq']}") as frames:
        (last,) = [frame async for frame in frames]

    assert second.data["content"] + third["content"] == "Hello"
    assert [second.seq, third["seq"], last.seq] == [1, 2, 3]
    assert last.data["type"] == "finished"


async def test_who_resumes_a_refused_run_gets_its_event(served: Running) -> None:
    served.script.next(
        Refusal(503, error_data("later"), {"retry-after": "0.1"}), Refusal(400, error_data("no"))
    )

    async with speaking(served) as peer, speaking(served) as other:
        await peer.chat("a")
        await served.script.request_count(1)
        (run,) = served.service.chat.runs.active()
        resumed = await resume(other, "b", run.run_id)
        error, failed = await peer.hear(), await other.hear()

    assert (resumed["status"], resumed["last_seq"]) == ("running", -1)
    assert (error["type"], error["error"]["type"]) == ("error", "/problems/upstream-rejected")
    assert (failed["type"], failed["seq"], failed["id"]) == ("failed", 0, "b")


async def test_a_log_that_is_no_longer_kept_is_expired() -> None:
    async with running(RUN_RETENTION="0") as served, speaking(served) as peer:
        await peer.chat("a")
        run_id = (await peer.hear_end("a"))[0]["run_id"]
        error = await resume(peer, "a", run_id)

    assert error["error"]["type"] == "/problems/run-expired"


async def test_a_log_forgotten_while_it_is_read_is_read_to_its_end() -> None:
    async with running(RUN_RETENTION="0") as served, speaking(served) as peer:
        served.script.next(slowly(TEXT, 300))
        await peer.chat("a")
        heard = await peer.hear_end("a")

    assert check_whole(heard) == TEXT


# Cuts.


@pytest.mark.parametrize("seed", range(8))
async def test_cuts_anywhere_on_either_transport_lose_and_repeat_nothing(
    served: Running, seed: int
) -> None:
    chance = random.Random(seed)
    served.script.next(slowly(TEXT, chance.randint(300, 900)))
    run_id = await start(served)
    reader, cuts = Cursor(), 0

    while not reader.done:
        some = chance.choice([read_sse, read_ws])
        await some(served, run_id, reader, chance.randint(1, 700))
        cuts += 1

    assert reader.text == TEXT
    assert cuts > 2
    assert len(served.script.requests) == 1


class Cursor:
    """What a reader has, whichever way it came."""

    def __init__(self) -> None:
        self.text = ""
        self.seq = -1
        self.done = False


async def read_sse(served: Running, run_id: str, reader: Cursor, size: int) -> None:
    """Read this many bytes of an event stream, then cut."""
    part = Reading()
    headers = [f"Last-Event-ID: {run_id}:{reader.seq}"] if reader.seq >= 0 else []
    path = f"/api/runs/{run_id}/events"
    async with wired(served.client) as wire:
        posts = headers and size % 2
        request = chat_bytes("/api/chat/stream", *headers) if posts else None
        await wire.send(request or request_bytes("GET", path, b"", *headers))
        if b" 204 " in await wire.head():
            return
        while size > 0 and (data := await wire.body_chunk()):
            part.feed(data[:size])
            size -= len(data)
    reader.text += part.text
    reader.done = part.done
    if part.last_event_id:
        reader.seq = int(part.last_event_id.rpartition(":")[2])


async def read_ws(served: Running, run_id: str, reader: Cursor, size: int) -> None:
    """Read so many bytes of messages on a socket, then cut within a frame or between two."""
    async with raw(served) as peer:
        await peer.hear_text()
        await peer.say(text_frame("resume", id="x", run_id=run_id, after=reader.seq))
        assert (await peer.hear_text())["after"] == reader.seq
        while size > 0 and not reader.done:
            opcode, data = await peer.hear()
            size -= len(data)
            if opcode == 1 and size > 0:
                take(reader, data)


def take(reader: Cursor, data: bytes) -> None:
    event = json.loads(data)
    assert event["seq"] == reader.seq + 1
    reader.seq = event["seq"]
    reader.text += event.get("content", "")
    reader.done = event["finished"]


async def test_a_cut_in_the_middle_of_everything_resumes_exactly(served: Running) -> None:
    """Four runs on a socket that breaks again and again, each read on from its own cursor."""
    chance = random.Random(1)
    served.script.always(slowly(TEXT, 200))
    runs = {f"r{number}": Cursor() for number in range(4)}
    ids = {reader_id: await start(served) for reader_id in runs}
    cuts = 0

    while not all(reader.done for reader in runs.values()):
        cuts += 1
        async with raw(served) as peer:
            await peer.hear_text()
            for reader_id, reader in runs.items():
                run_id, after = ids[reader_id], reader.seq
                await peer.say(text_frame("resume", id=reader_id, run_id=run_id, after=after))
            for _ in range(chance.randint(5, 60)):
                message = await peer.hear_text()
                if "seq" in message:
                    take(runs[message["id"]], json.dumps(message).encode())
                if all(reader.done for reader in runs.values()):
                    break

    assert [reader.text for reader in runs.values()] == 4 * [TEXT]
    assert cuts > 2


async def test_words_on_the_way_when_the_reader_is_cut_are_read_again(served: Running) -> None:
    served.script.next(said(*"abcdef"))
    async with speaking(served) as peer:
        await peer.chat("a")
        heard = await peer.hear_to("delta")
        peer.cut()

    async with speaking(served) as peer:
        await resume(peer, "a", heard[0]["run_id"], heard[-1]["seq"])
        heard += await peer.hear_end("a")

    assert check_whole(heard) == "abcdef"
