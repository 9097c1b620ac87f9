import asyncio

import pytest
from web.outside import (
    JSON_TYPE,
    Held,
    asked,
    chat_bytes,
    ended,
    problem_of,
    said,
    wired,
)

from service.simulator import Gate, NoResponse, Refusal, error_data
from support import Running, all_frames, running

KEY = {"Idempotency-Key": "a-key"}
STARTS = ["/api/chat/stream", "/api/chat", "/api/runs"]
REFUSED = Refusal(400, error_data("no"))


async def run_of(served: Running, path: str, **members: object) -> str:
    """The id of the run that a request with the key leads to."""
    async with served.client.post(path, json=asked(**members), headers=KEY) as response:
        assert response.status in (200, 202), await response.text()
        await response.read()
        return response.headers["X-Run-Id"]


@pytest.mark.parametrize("second", STARTS)
@pytest.mark.parametrize("first", STARTS)
async def test_the_same_key_and_body_lead_to_the_same_run_everywhere(
    served: Running, first: str, second: str
) -> None:
    assert await run_of(served, first) == await run_of(served, second)
    assert len(served.script.requests) == 1


async def test_what_comes_back_is_the_whole_run(served: Running) -> None:
    served.script.next(said("once"))
    bodies = []
    for _ in range(2):
        async with served.client.post("/api/chat/stream", json=asked(), headers=KEY) as response:
            bodies.append(await response.read())

    assert bodies[0] == bodies[1]


async def test_requests_at_the_same_time_share_one_run(served: Running) -> None:
    runs = await asyncio.gather(*(run_of(served, path) for path in STARTS * 4))

    assert len(set(runs)) == 1
    assert len(served.script.requests) == 1


async def test_a_lost_connection_does_not_matter(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    async with wired(served.client) as wire:
        await wire.send(chat_bytes("/api/chat/stream", "Idempotency-Key: a-key"))
        await served.script.request_count(1)

    async with served.client.post("/api/chat/stream", json=asked(), headers=KEY) as response:
        held.let_go()
        frames = await all_frames(response)

    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert len(served.script.requests) == 1


async def test_the_body_counts_as_a_value_not_as_bytes(served: Running) -> None:
    bodies = [
        b'{"model":"openai/gpt-oss-20b","user_prompt":"\xc3\xa9"}',
        b'{ "user_prompt" : "\\u00e9", "model" : "openai\\/gpt-oss-20b" }',
    ]
    runs = set()
    for body in bodies:
        async with served.client.post("/api/runs", data=body, headers=KEY | JSON_TYPE) as response:
            runs.add((await response.json())["run_id"])

    assert len(runs) == 1


@pytest.mark.parametrize("path", STARTS)
async def test_another_body_is_a_conflict(served: Running, path: str) -> None:
    await run_of(served, "/api/runs")

    async with served.client.post(path, json=asked(user_prompt="Bye"), headers=KEY) as response:
        await problem_of(response, 409, "idempotency-conflict")

    assert len(served.script.requests) == 1


async def test_another_body_is_a_conflict_even_where_it_is_not_valid(served: Running) -> None:
    await run_of(served, "/api/runs")

    async with served.client.post("/api/chat", json={}, headers=KEY) as response:
        await problem_of(response, 409, "idempotency-conflict")


async def test_other_keys_start_other_runs(served: Running) -> None:
    await run_of(served, "/api/runs")

    async with served.client.post(
        "/api/chat", json=asked(), headers={"Idempotency-Key": "another"}
    ) as response:
        assert response.status == 200

    assert len(served.script.requests) == 2


async def test_without_a_key_every_request_starts_a_run(served: Running) -> None:
    for _ in range(2):
        await served.client.post("/api/chat", json=asked())

    assert len(served.script.requests) == 2


async def test_a_busy_conversation_is_no_obstacle_to_its_own_key(served: Running) -> None:
    first = await run_of(served, "/api/chat")
    conversation_id = (await ended(served, first))["conversation_id"]
    gate = asyncio.Event()
    served.script.next(said("a", Gate(gate)))
    members = {"conversation_id": conversation_id, "user_prompt": "More"}
    headers = {"Idempotency-Key": "more"}

    async with served.client.post("/api/runs", json=asked(**members), headers=headers) as one:
        started = (await one.json())["run_id"]
    async with served.client.post("/api/runs", json=asked(**members), headers=headers) as two:
        again = (await two.json())["run_id"]
    async with served.client.post("/api/runs", json=asked(**members)) as without_key:
        await problem_of(without_key, 409, "conversation-busy")
    gate.set()

    assert started == again


async def test_neither_is_an_overloaded_server() -> None:
    held = Held()
    async with running(MAX_ACTIVE_RUNS="1") as served:
        served.script.next(held.answer)
        async with served.client.post("/api/runs", json=asked(), headers=KEY) as one:
            started = (await one.json())["run_id"]
        async with served.client.post("/api/runs", json=asked(), headers=KEY) as two:
            again = (await two.json())["run_id"]

    assert started == again


# A request that started no run.


@pytest.mark.parametrize("path", ["/api/chat/stream", "/api/chat"])
async def test_what_groq_refused_does_not_use_the_key_up(served: Running, path: str) -> None:
    served.script.next(REFUSED)
    async with served.client.post(path, json=asked(), headers=KEY) as response:
        await problem_of(response, 502, "upstream-rejected")

    assert await run_of(served, path)
    assert len(served.script.requests) == 2


async def test_after_a_refusal_the_key_may_come_with_another_body(served: Running) -> None:
    served.script.next(REFUSED)
    await served.client.post("/api/chat", json=asked(), headers=KEY)

    assert await run_of(served, "/api/chat", user_prompt="Bye")


@pytest.mark.parametrize("path", STARTS)
async def test_what_this_service_refused_does_not_use_the_key_up(
    served: Running, path: str
) -> None:
    for members in ({"temperature": 1}, {"conversation_id": "unknown"}, {"model": "unknown"}):
        async with served.client.post(path, json=asked(**members), headers=KEY) as response:
            assert response.status in (404, 422)

    assert await run_of(served, path)


async def test_two_that_wait_for_the_same_refusal_both_get_it(served: Running) -> None:
    served.script.next(Refusal(503, error_data("later"), {"retry-after": "0.1"}), REFUSED)

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(refused(served))

    assert len(served.script.requests) == 2


async def refused(served: Running) -> None:
    async with served.client.post("/api/chat/stream", json=asked(), headers=KEY) as response:
        await problem_of(response, 502, "upstream-rejected")


async def test_a_run_that_was_handed_out_keeps_its_key_though_groq_refused_it(
    served: Running,
) -> None:
    served.script.next(REFUSED)
    first = await run_of(served, "/api/runs")
    await ended(served, first)

    assert await run_of(served, "/api/runs") == first
    assert len(served.script.requests) == 1


async def test_a_cancelled_run_keeps_its_key(served: Running) -> None:
    served.script.next(NoResponse())
    first = await run_of(served, "/api/runs")
    await served.client.post(f"/api/runs/{first}/cancel")

    assert await run_of(served, "/api/runs") == first


async def test_a_key_lives_as_long_as_its_run_can_be_read() -> None:
    async with running(RUN_RETENTION="0") as served:
        first = await run_of(served, "/api/chat")
        second = await run_of(served, "/api/chat", user_prompt="Bye")

    assert first != second


# The header.


@pytest.mark.parametrize("key", ["", "x" * 201, "a b", "é", "a\tb"])
async def test_a_key_has_1_to_200_visible_ascii_characters(served: Running, key: str) -> None:
    body = b'{"model":"openai/gpt-oss-20b","user_prompt":"x"}'
    async with wired(served.client) as wire:
        head = "POST /api/chat HTTP/1.1\r\nHost: s\r\nContent-Type: application/json\r\n"
        head += (
            f"Connection: close\r\nContent-Length: {len(body)}\r\nIdempotency-Key: {key}\r\n\r\n"
        )
        await wire.send(head.encode() + body)
        answer = await wire.rest()

    assert answer.startswith(b"HTTP/1.1 422 ")
    assert b'"pointer":"#/headers/Idempotency-Key"' in answer


@pytest.mark.parametrize("key", ["!", "~" * 200, "0198c2f0-0000-7000-8000-000000000000"])
async def test_any_such_key_will_do(served: Running, key: str) -> None:
    headers = {"Idempotency-Key": key}

    async with served.client.post("/api/chat", json=asked(), headers=headers) as response:
        assert response.status == 200


async def test_a_regeneration_takes_a_key_too(served: Running) -> None:
    run_id = await run_of(served, "/api/chat")
    state = await ended(served, run_id)
    path = (
        f"/api/conversations/{state['conversation_id']}/messages/{state['message_id']}/regenerate"
    )
    again = {"Idempotency-Key": "again"}

    runs = set()
    for _ in range(2):
        async with served.client.post(path, headers=again) as response:
            await response.read()
            runs.add(response.headers["X-Run-Id"])
    async with served.client.post(path, json={"system_prompt": "x"}, headers=again) as response:
        await problem_of(response, 409, "idempotency-conflict")
    async with served.client.post("/api/chat", json=asked(), headers=again) as response:
        await problem_of(response, 409, "idempotency-conflict")

    assert len(runs) == 1
