"""How long is an ended run readable, and what is said of it afterwards?"""

import pytest
from web.outside import (
    Held,
    asking,
    contents,
    ended,
    events_of,
    later,
    problem_of,
    reading,
    said,
    shown,
    start,
    state_of,
)

from service.simulator import Text
from support import Running, running, text_of

HOUR = 3600.0


async def expired(served: Running, run_id: str, slug: str = "run-expired") -> None:
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel")):
        async with served.client.request(method, f"/api/runs/{run_id}{path}") as response:
            await problem_of(response, 404, slug)
    async with served.client.post(
        "/api/chat/stream", headers={"Last-Event-ID": f"{run_id}:0"}
    ) as response:
        await problem_of(response, 404, slug)


async def test_an_ended_run_is_readable_for_a_while_then_expired_then_unknown(
    served: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await start(served)
    frames = await events_of(served, run_id)

    later(monkeypatch, 290)
    assert await events_of(served, run_id) == frames

    later(monkeypatch, 11)
    await expired(served, run_id)

    later(monkeypatch, HOUR - 60)
    await expired(served, run_id)

    later(monkeypatch, 61)
    await expired(served, run_id, "run-not-found")


async def test_its_text_is_in_the_conversation() -> None:
    async with running(RUN_RETENTION="0") as served:
        served.script.next(said("kept"))
        async with asking(served) as frames:
            started = await anext(frames)
            async for _ in frames:
                pass

        await expired(served, str(started.data["run_id"]))
        conversation = await shown(served, str(started.data["conversation_id"]))

    assert contents(conversation) == ["Hello", "kept"]


async def test_a_running_run_does_not_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held()
    async with running(
        MAX_RUN_DURATION="9000", UPSTREAM_IDLE_TIMEOUT="9000", UPSTREAM_FIRST_TOKEN_TIMEOUT="9000"
    ) as served:
        served.script.next(held.answer)
        run_id = await start(served)
        async with reading(served, run_id) as frames:
            assert (await anext(frames)).data["type"] == "started"

        later(monkeypatch, 2 * HOUR)
        state = await state_of(served, run_id)
        held.let_go()

        assert state["status"] == "running"
        assert text_of(await events_of(served, run_id)) == "Hello"


async def test_who_reads_it_to_the_end_is_not_disturbed() -> None:
    held = Held()
    async with running(RUN_RETENTION="0") as served:
        served.script.next(held.answer)
        async with asking(served) as frames:
            started = await anext(frames)
            held.let_go()
            text = text_of([frame async for frame in frames])

        await expired(served, str(started.data["run_id"]))

    assert text == "Hello"


async def test_the_oldest_go_first_when_there_are_too_many_bytes() -> None:
    async with running(RUN_RETENTION_BYTES="30000") as served:
        served.script.always(Text("x" * 10_000))
        run_ids = []
        for _ in range(4):
            run_ids.append(await start(served, save_conversation=False))
            async with served.client.get(f"/api/runs/{run_ids[-1]}/events") as response:
                await response.read()

        await expired(served, run_ids[0])
        assert (await ended(served, run_ids[-1]))["status"] == "finished"


async def test_one_run_that_is_too_large_is_not_kept_but_read() -> None:
    async with running(RUN_RETENTION_BYTES="1000") as served:
        served.script.next(Text("x" * 10_000))
        async with asking(served) as frames:
            started = await anext(frames)
            text = text_of([frame async for frame in frames])

        await expired(served, str(started.data["run_id"]))

    assert len(text) == 10_000
