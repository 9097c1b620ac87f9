import re

import pytest
from web.outside import (
    Held,
    asked,
    begun,
    contents,
    ended,
    events_of,
    listed,
    problem_of,
    said,
    shown,
    start,
    state_of,
    streamed,
)

from service.simulator import NoResponse, Raw, Refusal, Silence, Text, error_data
from support import Running, all_frames, running, text_of

REFUSED = Refusal(429, error_data("slow down", "rate_limit_exceeded"), {"retry-after": "60"})
STATE = {
    "run_id",
    "status",
    "model",
    "conversation_id",
    "message_id",
    "content",
    "reasoning",
    "finish_reason",
    "usage",
    "cost",
    "timing",
    "error",
    "last_seq",
    "created_at",
    "ended_at",
}


async def test_a_run_is_started_and_left_to_another_reader(served: Running) -> None:
    served.script.next(said("later"))

    async with served.client.post("/api/runs", json=asked()) as response:
        body = await response.json()
    location = response.headers["Location"]
    async with served.client.get(f"{location}/events") as events:
        frames = await all_frames(events)

    assert response.status == 202
    assert body.keys() == {"run_id"}
    assert location == f"/api/runs/{body['run_id']}"
    assert response.headers["X-Run-Id"] == body["run_id"]
    assert text_of(frames) == "later"
    assert [frame.seq for frame in frames] == list(range(len(frames)))


async def test_the_202_does_not_wait_for_groq(served: Running) -> None:
    served.script.next(NoResponse())

    run_id = await start(served)

    state = await state_of(served, run_id)
    assert (state["status"], state["last_seq"], state["message_id"]) == ("running", -1, None)
    assert (state["model"], state["timing"], state["ended_at"]) == (asked()["model"], None, None)


async def test_the_state_of_a_running_run_has_what_was_said_so_far(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    run_id = await start(served)

    await begun(served, run_id, held.first)
    state = await state_of(served, run_id)

    assert state.keys() == STATE
    assert (state["run_id"], state["status"], state["content"]) == (run_id, "running", "Hel")
    assert (state["finish_reason"], state["usage"], state["error"]) == (None, None, None)
    assert (state["timing"], state["ended_at"]) == (None, None)
    assert state["last_seq"] == 1
    assert state["message_id"]


async def test_the_state_and_the_log_after_its_last_seq_make_the_answer(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    run_id = await start(served)
    await begun(served, run_id, held.first)

    state = await state_of(served, run_id)
    held.let_go()
    frames = await events_of(served, run_id, after=state["last_seq"])

    assert state["content"] + text_of(frames) == held.text


async def test_the_state_of_a_finished_run_has_all(served: Running) -> None:
    served.script.next(Text("whole", reasoning="because"))
    frames = await streamed(served)
    first, last = frames[0].data, frames[-1].data

    state = await state_of(served, str(first["run_id"]))

    assert (state["status"], state["content"], state["reasoning"]) == (
        "finished",
        "whole",
        "because",
    )
    assert {name: state[name] for name in ("usage", "timing", "finish_reason")} == {
        name: last[name] for name in ("usage", "timing", "finish_reason")
    }
    assert {name: state[name] for name in ("conversation_id", "message_id", "created_at")} == {
        name: first[name] for name in ("conversation_id", "message_id", "created_at")
    }
    assert state["last_seq"] == frames[-1].seq
    assert state["ended_at"] >= state["created_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", state["ended_at"])


async def test_cancelling_answers_the_state_and_hangs_up_on_groq(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    run_id = await start(served)
    await begun(served, run_id, held.first)

    async with served.client.post(f"/api/runs/{run_id}/cancel") as response:
        state = await response.json()

    assert response.status == 200
    assert state.keys() == STATE
    assert (state["status"], state["content"]) == ("cancelled", "Hel")
    assert state["finish_reason"] == "cancelled"
    assert state["timing"]["total_time"] > 0
    assert state["ended_at"]
    await served.script.disconnected(0)


async def test_a_cancelled_run_ends_its_log_and_keeps_its_partial_answer(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    run_id = await start(served)
    await begun(served, run_id, held.first)

    await served.client.post(f"/api/runs/{run_id}/cancel")
    frames = await events_of(served, run_id)
    conversation = await shown(served, str(frames[0].data["conversation_id"]))

    assert (frames[-1].data["type"], frames[-1].data["finish_reason"]) == ("finished", "cancelled")
    assert frames[-1].data["content_length"] == 3
    assert text_of(frames) == "Hel"
    assert contents(conversation) == ["Hello", "Hel"]
    answer = conversation["messages"][-1]
    assert (answer["status"], answer["finish_reason"]) == ("partial", "cancelled")


async def test_cancelling_twice_is_cancelling_once(served: Running) -> None:
    served.script.next(Raw([Silence()]))
    run_id = await start(served)

    states = []
    for _ in range(2):
        async with served.client.post(f"/api/runs/{run_id}/cancel") as response:
            states.append(await response.json())

    assert states[0] == states[1]
    assert len(await events_of(served, run_id)) == states[0]["last_seq"] + 1


async def test_cancelling_an_ended_run_changes_nothing(served: Running) -> None:
    run_id = await start(served)
    before = await ended(served, run_id)

    async with served.client.post(f"/api/runs/{run_id}/cancel") as response:
        after = await response.json()

    assert response.status == 200
    assert after == before
    assert after["status"] == "finished"


async def test_a_run_cancelled_before_groq_accepted_it_has_one_event(served: Running) -> None:
    served.script.next(NoResponse())
    run_id = await start(served)
    await served.script.request_count(1)

    await served.client.post(f"/api/runs/{run_id}/cancel")
    (only,) = await events_of(served, run_id)
    state = await state_of(served, run_id)

    assert (only.seq, only.data["type"]) == (0, "finished")
    assert (only.data["finish_reason"], only.data["message_id"]) == ("cancelled", None)
    assert (only.data["content_length"], only.data["finished"]) == (0, True)
    assert (state["status"], state["last_seq"]) == ("cancelled", 0)
    assert (await listed(served))["items"] == []
    await served.script.disconnected(0)


async def test_a_refused_run_has_one_event(served: Running) -> None:
    served.script.next(REFUSED)

    run_id = await start(served)
    (only,) = await events_of(served, run_id)
    state = await state_of(served, run_id)

    assert (only.seq, only.data["type"], only.data["finished"]) == (0, "failed", True)
    assert (only.data["content"], only.data["message_id"]) == ("", None)
    error = state["error"]
    assert only.data["error"] == error
    assert (error["type"], error["status"]) == ("/problems/upstream-rate-limited", 429)
    assert error["retry_after"] == 60
    assert (state["status"], state["last_seq"], state["message_id"]) == ("failed", 0, None)
    assert (await listed(served))["items"] == []


async def test_a_run_that_was_refused_over_a_stream_can_be_looked_up(served: Running) -> None:
    served.script.next(REFUSED)

    async with served.client.post("/api/chat/stream", json=asked()) as response:
        problem = await problem_of(response, 429, "upstream-rate-limited")
    state = await state_of(served, response.headers["X-Run-Id"])

    assert (state["status"], state["error"]) == ("failed", problem)


async def test_what_this_service_refuses_is_no_run(served: Running) -> None:
    unknown = asked(conversation_id="0198c2f0-0000-7000-8000-000000000000")

    async with served.client.post("/api/runs", json=unknown) as response:
        await problem_of(response, 404, "conversation-not-found")

    assert "Location" not in response.headers
    assert served.script.requests == []


@pytest.mark.parametrize("path", ["/api/runs/nope", "/api/runs/nope/events"])
async def test_an_unknown_run_is_not_found(served: Running, path: str) -> None:
    async with served.client.get(path) as response:
        await problem_of(response, 404, "run-not-found")


async def test_an_unknown_run_cannot_be_cancelled(served: Running) -> None:
    async with served.client.post("/api/runs/nope/cancel") as response:
        await problem_of(response, 404, "run-not-found")


async def test_beyond_the_most_runs_the_service_is_overloaded() -> None:
    held = Held()
    async with running(MAX_ACTIVE_RUNS="1") as served:
        served.script.next(held.answer)
        run_id = await start(served)

        async with served.client.post("/api/runs", json=asked()) as response:
            problem = await problem_of(response, 503, "overloaded")
        held.let_go()
        await ended(served, run_id)

        assert problem["retry_after"] > 0
        assert int(response.headers["Retry-After"]) >= 1
        assert (await ended(served, await start(served)))["status"] == "finished"


async def test_a_server_that_goes_away_takes_no_new_runs_but_shows_the_old(
    served: Running,
) -> None:
    run_id = await start(served)
    await ended(served, run_id)

    await served.service.chat.drain(0)
    async with served.client.post("/api/chat/stream", json=asked()) as response:
        problem = await problem_of(response, 503, "draining")

    assert problem["retry_after"] > 0
    assert int(response.headers["Retry-After"]) >= 1
    assert (await state_of(served, run_id))["status"] == "finished"
