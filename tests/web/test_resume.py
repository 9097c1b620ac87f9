import random

import pytest
from web.outside import (
    JSON_TYPE,
    Held,
    Reading,
    asked,
    asking,
    begun,
    chat_bytes,
    ended,
    events_of,
    faults_of,
    problem_of,
    reading,
    request_bytes,
    start,
    state_of,
    streamed,
    wired,
)

from service.simulator import NoResponse, Pause, Raw, in_pieces, stream_of
from support import Running, all_frames, text_of

TEXT = "Über 世界 👩‍👩‍👧 data: x\n\nid: y\r\n" * 8
UNKNOWN = "0198c2f0-0000-7000-8000-000000000000"


async def finished_run(served: Running) -> str:
    served.script.next(slowly(TEXT, 800))
    run_id = await start(served)
    await ended(served, run_id)
    return run_id


async def test_without_a_cursor_a_run_is_read_from_the_start(served: Running) -> None:
    run_id = await finished_run(served)

    async with served.client.get(f"/api/runs/{run_id}/events") as response:
        frames = await all_frames(response)

    assert response.status == 200
    assert response.headers["X-Run-Recovered"] == "true"
    assert response.headers["X-Run-Id"] == run_id
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-cache, no-transform"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert text_of(frames) == TEXT


async def test_minus_one_is_the_start(served: Running) -> None:
    run_id = await finished_run(served)

    assert await events_of(served, run_id, after=-1) == await events_of(served, run_id)


async def test_the_cursor_of_each_event_gives_exactly_what_follows(served: Running) -> None:
    run_id = await finished_run(served)
    frames = await events_of(served, run_id)
    assert len(frames) > 5

    by_query, by_header = [], []
    for frame in frames[:-1]:
        by_query.append(await events_of(served, run_id, after=frame.seq))
        header = {"Last-Event-ID": frame.event_id}
        async with served.client.get(f"/api/runs/{run_id}/events", headers=header) as response:
            by_header.append(await all_frames(response))

    assert by_query == by_header == [frames[seq + 1 :] for seq in range(len(frames) - 1)]


async def test_the_header_goes_before_the_query(served: Running) -> None:
    run_id = await finished_run(served)
    frames = await events_of(served, run_id)

    async with served.client.get(
        f"/api/runs/{run_id}/events?after=0", headers={"Last-Event-ID": frames[2].event_id}
    ) as response:
        assert await all_frames(response) == frames[3:]


async def test_at_the_end_of_an_ended_run_there_is_no_content(served: Running) -> None:
    run_id = await finished_run(served)
    last = (await state_of(served, run_id))["last_seq"]

    statuses = []
    for path, headers in (
        (f"/api/runs/{run_id}/events?after={last}", {}),
        (f"/api/runs/{run_id}/events", {"Last-Event-ID": f"{run_id}:{last}"}),
    ):
        async with served.client.get(path, headers=headers) as response:
            statuses.append((response.status, await response.read()))

    assert statuses == [(204, b""), (204, b"")]


async def test_at_the_end_of_a_running_run_the_reader_waits(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    run_id = await start(served)
    await begun(served, run_id, held.first)

    async with reading(served, run_id, "?after=1") as frames:
        held.let_go()
        first = await anext(frames)

    assert (first.seq, first.data["content"]) == (2, "lo")


async def test_a_run_that_groq_has_not_accepted_can_be_waited_for(served: Running) -> None:
    served.script.next(NoResponse())
    run_id = await start(served)

    async with reading(served, run_id) as frames:
        await served.client.post(f"/api/runs/{run_id}/cancel")

        assert [frame.data["type"] async for frame in frames] == ["finished"]


@pytest.mark.parametrize(
    "query", ["after=99", "after=-2", "after=x", "after=", "after=1.0", "after=%2B1", "after=٣"]
)
async def test_a_cursor_that_is_none_of_the_runs_is_refused(served: Running, query: str) -> None:
    run_id = await finished_run(served)

    async with served.client.get(f"/api/runs/{run_id}/events?{query}") as response:
        problem = await problem_of(response, 422, "validation-error")

    assert faults_of(problem).keys() == {"#/query/after"}


@pytest.mark.parametrize(
    "cursor",
    ["{run}:99", "{run}:-1", "{run}:x", "{run}:", "{run}", "3", f"{UNKNOWN}:0", ":0", "a:b:c"],
)
async def test_an_event_id_that_is_none_of_the_runs_is_refused(
    served: Running, cursor: str
) -> None:
    run_id = await finished_run(served)

    async with served.client.get(
        f"/api/runs/{run_id}/events", headers={"Last-Event-ID": cursor.format(run=run_id)}
    ) as response:
        problem = await problem_of(response, 422, "validation-error")

    assert faults_of(problem).keys() == {"#/headers/Last-Event-ID"}


# By repeating the POST.


async def test_a_repeated_post_resumes_and_never_starts(served: Running) -> None:
    frames = await streamed(served)

    async with served.client.post(
        "/api/chat/stream", json=asked(), headers={"Last-Event-ID": frames[1].event_id}
    ) as response:
        resumed = await all_frames(response)

    assert response.status == 200
    assert response.headers["X-Run-Recovered"] == "true"
    assert response.headers["X-Run-Id"] == frames[0].data["run_id"]
    assert resumed == frames[2:]
    assert len(served.script.requests) == 1


async def test_a_repeated_post_at_the_end_is_an_empty_stream(served: Running) -> None:
    frames = await streamed(served)

    async with served.client.post(
        "/api/chat/stream", json=asked(), headers={"Last-Event-ID": frames[-1].event_id}
    ) as response:
        body = await response.read()

    assert (response.status, body) == (200, b"")
    assert response.headers["Content-Type"] == "text/event-stream"


async def test_a_repeated_post_to_an_unknown_run_starts_nothing(served: Running) -> None:
    async with served.client.post(
        "/api/chat/stream", json=asked(), headers={"Last-Event-ID": f"{UNKNOWN}:3"}
    ) as response:
        await problem_of(response, 404, "run-not-found")

    assert served.script.requests == []


@pytest.mark.parametrize("cursor", ["nonsense", "{run}:99", "{run}:x"])
async def test_a_repeated_post_with_a_wrong_cursor_starts_nothing(
    served: Running, cursor: str
) -> None:
    run_id = str((await streamed(served))[0].data["run_id"])

    async with served.client.post(
        "/api/chat/stream", json=asked(), headers={"Last-Event-ID": cursor.format(run=run_id)}
    ) as response:
        problem = await problem_of(response, 422, "validation-error")

    assert faults_of(problem).keys() == {"#/headers/Last-Event-ID"}
    assert len(served.script.requests) == 1


@pytest.mark.parametrize("body", [b"", b"{not json", b"[]"])
async def test_a_resume_does_not_look_at_the_body(served: Running, body: bytes) -> None:
    frames = await streamed(served)

    async with served.client.post(
        "/api/chat/stream",
        data=body,
        headers={"Last-Event-ID": frames[0].event_id} | JSON_TYPE,
    ) as response:
        assert await all_frames(response) == frames[1:]


async def test_a_resume_follows_a_run_that_goes_on(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    async with asking(served) as frames:
        await anext(frames)
        last = await anext(frames)

    async with served.client.post(
        "/api/chat/stream", json=asked(), headers={"Last-Event-ID": last.event_id}
    ) as response:
        held.let_go()
        rest = await all_frames(response)

    assert text_of(rest) == "lo"
    assert rest[0].seq == last.seq + 1


# Cuts.


def test_a_frame_cut_anywhere_but_before_its_last_byte_is_safe_for_eager_readers() -> None:
    """Who takes an id as soon as its line is there, as fetch-event-source does."""
    frame = b'data: {"content":"a"}\nid: run:1\n\n'

    taken = [cut for cut in range(len(frame)) if b"id: run:1\n" in frame[:cut]]

    assert taken == [len(frame) - 1]


@pytest.mark.parametrize("seed", range(6))
async def test_cuts_anywhere_lose_and_repeat_nothing(served: Running, seed: int) -> None:
    chance = random.Random(seed)
    served.script.next(slowly(TEXT, chance.randint(300, 900)))
    run_id = await start(served)
    reading, cuts = Reading(), 0

    while not reading.done:
        await read_some(served, resuming(run_id, reading, chance), reading, chance.randint(0, 900))
        cuts += 1

    assert reading.text == TEXT
    assert cuts > 3
    assert len(served.script.requests) == 1


def slowly(text: str, size: int) -> Raw:
    """An answer in small pieces, each read by itself."""
    pieces = in_pieces(b"".join(stream_of(text, 4)), size)
    return Raw([part for piece in pieces for part in (piece, Pause(0.001))])


def resuming(run_id: str, reading: Reading, chance: random.Random) -> bytes:
    """What asks for the rest: one of the ways there are."""
    path, after = f"/api/runs/{run_id}/events", reading.last_event_id
    if not after:
        return request_bytes("GET", path)
    return chance.choice(
        [
            request_bytes("GET", path, b"", f"Last-Event-ID: {after}"),
            request_bytes("GET", f"{path}?after={after.rpartition(':')[2]}"),
            chat_bytes("/api/chat/stream", f"Last-Event-ID: {after}"),
        ]
    )


async def read_some(served: Running, request: bytes, reading: Reading, size: int) -> None:
    """Read this many bytes of a stream, then cut the connection."""
    async with wired(served.client) as wire:
        await wire.send(request)
        assert (await wire.head()).startswith(b"HTTP/1.1 200 OK\r\n")
        while size > 0 and (data := await wire.body_chunk()):
            reading.feed(data[:size])
            size -= len(data)
    reading.cut()
