import asyncio
from contextlib import AbstractAsyncContextManager

import pytest
from web.outside import (
    Held,
    active_run,
    asked,
    asking,
    begun,
    chat_bytes,
    connections,
    contents,
    ended,
    events_of,
    later,
    listed,
    reading,
    shown,
    start,
    state_of,
    until,
    wired,
)

from service.simulator import NoResponse, Raw, Refusal, Silence, Text, error_data
from support import Running, running, text_of

SHORT = "0.05"
LATER = Refusal(503, error_data("later"), {"retry-after": "0.15"})
"""Keeps a run from being accepted for a while."""


def patient() -> AbstractAsyncContextManager[Running]:
    """A service with a grace of 100 s, and deadlines that a leap of the clock leaves alone."""
    return running(
        DISCONNECT_GRACE="100",
        UPSTREAM_IDLE_TIMEOUT="9000",
        UPSTREAM_FIRST_TOKEN_TIMEOUT="9000",
        MAX_RUN_DURATION="9000",
    )


async def leap(served: Running, patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let time pass, and let happen what it brings."""
    later(patch, seconds)
    for _ in range(3):
        await served.client.get("/health/live")


async def left_alone(served: Running, **members: object) -> str:
    """The id of a run whose only reader has left after the first piece."""
    async with asking(served, **members) as frames:
        started = await anext(frames)
        assert (await anext(frames)).data["content"] == "Hel"
    return str(started.data["run_id"])


async def test_a_saved_run_goes_on_without_readers_and_is_stored() -> None:
    held = Held()
    async with running(DISCONNECT_GRACE=SHORT) as served:
        served.script.next(held.answer)

        run_id = await left_alone(served)
        await asyncio.sleep(2 * float(SHORT))
        held.let_go()
        state = await ended(served, run_id)
        conversation = await shown(served, state["conversation_id"])

    assert (state["status"], state["content"]) == ("finished", "Hello")
    assert contents(conversation) == ["Hello", "Hello"]
    assert conversation["messages"][-1]["status"] == "complete"


async def test_an_unsaved_run_without_readers_is_cancelled() -> None:
    async with running(DISCONNECT_GRACE=SHORT) as served:
        served.script.next(Held().answer)

        run_id = await left_alone(served, save_conversation=False)
        await served.script.disconnected(0)
        state = await ended(served, run_id)

    assert (state["status"], state["content"]) == ("cancelled", "Hel")


async def test_an_unsaved_run_may_go_on() -> None:
    held = Held()
    async with running(DISCONNECT_GRACE="0") as served:
        served.script.next(held.answer)

        run_id = await left_alone(served, save_conversation=False, on_disconnect="continue")
        await served.client.get("/health/live")
        held.let_go()

        assert (await ended(served, run_id))["status"] == "finished"


async def test_a_saved_run_may_be_cancelled_and_keeps_its_partial_answer() -> None:
    async with running(DISCONNECT_GRACE=SHORT) as served:
        served.script.next(Held().answer)

        run_id = await left_alone(served, on_disconnect="cancel")
        await served.script.disconnected(0)
        state = await ended(served, run_id)
        conversation = await shown(served, state["conversation_id"])

    assert state["finish_reason"] == "cancelled"
    answer = conversation["messages"][-1]
    assert (answer["content"], answer["status"]) == ("Hel", "partial")


async def test_it_is_cancelled_when_the_grace_is_over_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with patient() as served:
        served.script.next(Held().answer)
        run_id = await left_alone(served, save_conversation=False)
        await until(lambda: connections(served) == 0)

        await leap(served, monkeypatch, 90)
        before = await state_of(served, run_id)
        await leap(served, monkeypatch, 11)
        after = await state_of(served, run_id)

    assert (before["status"], after["status"]) == ("running", "cancelled")


async def test_a_reader_that_comes_back_in_time_ends_the_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = Held()
    async with patient() as served:
        served.script.next(held.answer)

        run_id = await left_alone(served, save_conversation=False)
        async with reading(served, run_id, "?after=1") as frames:
            await leap(served, monkeypatch, 200)
            held.let_go()
            rest = [frame async for frame in frames]

    assert text_of(rest) == "lo"
    assert rest[-1].data["finish_reason"] == "stop"


async def test_the_grace_begins_anew_each_time_the_last_reader_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with patient() as served:
        served.script.next(Held().answer)
        run_id = await left_alone(served, save_conversation=False)
        async with reading(served, run_id):
            await leap(served, monkeypatch, 90)
        await until(lambda: connections(served) <= 1)

        await leap(served, monkeypatch, 90)
        before = await state_of(served, run_id)
        await leap(served, monkeypatch, 11)
        after = await state_of(served, run_id)

    assert (before["status"], after["status"]) == ("running", "cancelled")


async def test_one_reader_that_stays_is_enough() -> None:
    held = Held()
    async with running(DISCONNECT_GRACE="0") as served:
        served.script.next(held.answer)

        async with asking(served, save_conversation=False) as stays:
            run_id = str((await anext(stays)).data["run_id"])
            await begun(served, run_id, held.first)
            await until(lambda: connections(served) == 1)
            held.let_go()
            rest = [frame async for frame in stays]

    assert rest[-1].data["finish_reason"] == "stop"


async def test_for_a_run_without_a_reader_the_grace_begins_at_the_202() -> None:
    async with running(DISCONNECT_GRACE=SHORT) as served:
        served.script.next(Raw([Silence()]))

        run_id = await start(served, save_conversation=False)
        await served.script.disconnected(0)

        assert (await ended(served, run_id))["status"] == "cancelled"


async def test_a_run_without_a_reader_waits_for_its_first_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = Held()
    async with patient() as served:
        served.script.next(held.answer)
        run_id = await start(served, save_conversation=False)

        await leap(served, monkeypatch, 90)
        async with reading(served, run_id) as frames:
            await leap(served, monkeypatch, 90)
            held.let_go()
            rest = [frame async for frame in frames]

    assert rest[-1].data["finish_reason"] == "stop"


async def test_looking_at_the_state_is_not_reading() -> None:
    async with running(DISCONNECT_GRACE="0.1") as served:
        served.script.next(Raw([Silence()]))

        run_id = await start(served, save_conversation=False)
        async with asyncio.timeout(10):
            while (await state_of(served, run_id))["status"] == "running":
                pass

        await served.script.disconnected(0)


# Before Groq has accepted.


@pytest.mark.parametrize("path", ["/api/chat/stream", "/api/chat"])
async def test_who_leaves_before_the_beginning_may_have_it_cancelled(path: str) -> None:
    async with running(DISCONNECT_GRACE=SHORT) as served:
        served.script.next(NoResponse())

        async with wired(served.client) as wire:
            await wire.send(chat_bytes(path, on_disconnect="cancel"))
            run_id = await active_run(served)
        await served.script.disconnected(0)
        (only,) = await events_of(served, run_id)

        assert (only.data["type"], only.data["finish_reason"]) == ("finished", "cancelled")
        assert (await listed(served))["items"] == []


@pytest.mark.parametrize("path", ["/api/chat/stream", "/api/chat"])
async def test_who_leaves_before_the_beginning_finds_the_answer_later(path: str) -> None:
    async with running(DISCONNECT_GRACE="0") as served:
        served.script.next(LATER, Text("found"))

        async with wired(served.client) as wire:
            await wire.send(chat_bytes(path))
            run_id = await active_run(served)
        await served.script.finished(1)
        state = await ended(served, run_id)

        assert (state["status"], state["content"]) == ("finished", "found")
        assert contents(await shown(served, state["conversation_id"])) == ["Hello", "found"]


async def test_who_comes_back_before_the_beginning_ends_the_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with patient() as served:
        served.script.next(LATER, Text("found"))
        async with wired(served.client) as wire:
            await wire.send(chat_bytes("/api/chat/stream", save_conversation=False))
            run_id = await active_run(served)

        async with reading(served, run_id) as frames:
            await leap(served, monkeypatch, 200)
            rest = [frame async for frame in frames]

    assert text_of(rest) == "found"
    assert rest[-1].data["finish_reason"] == "stop"


async def test_a_refusal_that_nobody_waits_for_leaves_nothing_behind(served: Running) -> None:
    served.script.next(LATER, Refusal(400, error_data("no")))

    async with wired(served.client) as wire:
        await wire.send(chat_bytes("/api/chat/stream"))
        run_id = await active_run(served)
    (only,) = await events_of(served, run_id)

    assert only.data["type"] == "failed"
    assert (await listed(served))["items"] == []


async def test_who_leaves_in_the_middle_of_a_request_starts_nothing(served: Running) -> None:
    async with wired(served.client) as wire:
        await wire.send(chat_bytes("/api/chat/stream")[:-1])
        await until(lambda: connections(served) == 1)
    await until(lambda: connections(served) == 0)

    assert served.script.requests == []


# What is left of them.


async def test_readers_that_go_leave_no_task_and_no_connection(served: Running) -> None:
    served.script.next(Raw([Silence()]))
    run_id = await start(served)
    await begun(served, run_id, "")
    before = len(asyncio.all_tasks()), connections(served)

    for _ in range(20):
        async with wired(served.client) as wire:
            await wire.send(f"GET /api/runs/{run_id}/events HTTP/1.1\r\nHost: s\r\n\r\n".encode())
            await wire.head()
            await wire.body_chunk()

    await until(lambda: (len(asyncio.all_tasks()), connections(served)) == before)


async def test_runs_that_end_leave_no_task(served: Running) -> None:
    await ended(served, await start(served))
    before = len(asyncio.all_tasks())

    for _ in range(10):
        await ended(served, await start(served, save_conversation=False))

    await until(lambda: len(asyncio.all_tasks()) <= before)


@pytest.mark.parametrize("value", ["stop", "", 1, True])
async def test_on_disconnect_is_one_of_two(served: Running, value: object) -> None:
    async with served.client.post("/api/chat", json=asked(on_disconnect=value)) as response:
        assert response.status == 422
