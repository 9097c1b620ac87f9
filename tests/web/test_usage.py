"""What a client may know of what its answers cost."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from web.outside import (
    PATIENCE_SECONDS,
    Held,
    Json,
    asked,
    begun,
    chat,
    ended,
    faults_of,
    problem_of,
    shown,
    start,
    state_of,
    streamed,
)

from credentials import asked_by, entries
from service.simulator import DONE, Gate, Raw, Text, chunk
from service.simulator.wire import usage_data
from support import MODEL, Client, Running, running

USAGE = usage_data(prompt_tokens=1000, completion_tokens=500)
TOLD = {
    "prompt_tokens": 1000,
    "completion_tokens": 500,
    "total_tokens": 1500,
    "reasoning_tokens": 0,
    "cached_tokens": 0,
}
COST = 0.000225
"""Of that, on MODEL."""
LARGE = "openai/gpt-oss-120b"
SUMS = {*TOLD, "answers", "seconds", "cost", "unpriced"}


def paid() -> Text:
    return Text("said", usage=USAGE)


async def usage(client: Client, query: str = "", **headers: str) -> Json:
    async with client.get(f"/api/usage{query}", headers=headers) as response:
        assert response.status == 200, await response.text()
        report: Json = await response.json()
        return report


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Ask again until it is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await holds():
            pass


async def test_an_answer_tells_its_cost_wherever_it_is_shown(served: Running) -> None:
    served.script.next(paid())
    frames = await streamed(served)
    first, last = frames[0].data, frames[-1].data

    state = await state_of(served, str(first["run_id"]))
    kept = (await shown(served, str(first["conversation_id"])))["messages"][-1]
    path = f"/api/conversations/{first['conversation_id']}/export"
    async with served.client.get(path) as response:
        exported = (await response.json())["messages"][-1]

    assert [told["usage"] for told in (last, state, kept, exported)] == [TOLD] * 4
    assert [told["cost"] for told in (last, state, kept, exported)] == [COST] * 4
    timing = state["timing"]
    assert [told["seconds"] for told in (kept, exported)] == [round(timing["total_time"], 3)] * 2


async def test_a_whole_answer_tells_its_cost(served: Running) -> None:
    served.script.next(paid())

    assert (await chat(served))["cost"] == COST


async def test_a_cost_that_is_not_known_is_null(served: Running) -> None:
    served.script.next(Text("said", usage={}))
    answer = await chat(served)
    kept = (await shown(served, answer["conversation_id"]))["messages"][-1]

    assert (answer["usage"], answer["cost"], kept["cost"]) == (None, None, None)
    assert kept["seconds"] >= 0


async def test_nothing_was_spent_yet(served: Running) -> None:
    report = await usage(served.client)

    assert report.keys() == {"from", "to", "group_by", "items", "total"}
    assert (report["items"], report["group_by"]) == ([], "day")
    assert report["total"] == dict.fromkeys(SUMS, 0)


async def test_what_was_spent_is_added_up_by_day_and_by_model(served: Running) -> None:
    for model in (MODEL, LARGE, MODEL):
        served.script.next(paid())
        await chat(served, model=model)

    by_day = await usage(served.client)
    by_model = await usage(served.client, "?group_by=model")

    [today] = by_day["items"]
    assert by_day["from"] < today["key"] < by_day["to"]
    assert [item["key"] for item in by_model["items"]] == sorted([LARGE, MODEL])
    assert all(item.keys() == {*SUMS, "key"} for item in by_model["items"])
    assert by_model["items"][1]["cost"] == 2 * COST
    assert by_day["total"] == by_model["total"] == {n: v for n, v in today.items() if n != "key"}
    assert by_day["total"].keys() == SUMS
    assert (today["answers"], today["total_tokens"], today["unpriced"]) == (3, 4500, 0)
    assert today["cost"] == pytest.approx(2 * COST + 0.00045)


async def test_what_a_failed_run_cost_is_kept_where_groq_had_told(served: Running) -> None:
    told = chunk({"content": "Half"}), chunk({}, usage=USAGE)
    error = b'data: {"error":{"message":"m"},"x_groq":{"usage":%b}}\n\n'
    bodies = [
        Raw(told),
        Raw(
            [told[0], error % b'{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}']
        ),
    ]
    for body in bodies:
        served.script.next(body)
        state = await ended(served, await start(served))
        kept = (await shown(served, state["conversation_id"]))["messages"][-1]

        assert (state["status"], state["usage"], state["cost"]) == ("failed", TOLD, COST)
        assert (kept["status"], kept["usage"], kept["cost"]) == ("partial", TOLD, COST)
    total = (await usage(served.client))["total"]
    assert (total["answers"], total["total_tokens"], total["unpriced"]) == (2, 3000, 0)


async def test_what_a_cancelled_run_cost_is_kept_where_groq_had_told(served: Running) -> None:
    gate = asyncio.Event()
    served.script.next(Raw([chunk({"content": "Half"}), chunk({}, usage=USAGE), Gate(gate), DONE]))
    run_id = await start(served)

    async def told() -> bool:
        return bool((await state_of(served, run_id))["usage"])

    await until(told)
    async with served.client.post(f"/api/runs/{run_id}/cancel") as response:
        state = await response.json()
    gate.set()

    kept = (await shown(served, state["conversation_id"]))["messages"][-1]
    assert (state["status"], state["usage"], state["cost"]) == ("cancelled", TOLD, COST)
    assert (kept["status"], kept["usage"], kept["cost"]) == ("partial", TOLD, COST)
    assert (await usage(served.client))["total"]["cost"] == COST


async def test_what_nobody_knows_is_counted_as_that(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    run_id = await start(served)
    await begun(served, run_id, held.first)
    await served.client.post(f"/api/runs/{run_id}/cancel")

    total = (await usage(served.client))["total"]
    assert (total["answers"], total["unpriced"], total["cost"]) == (1, 1, 0)


async def test_what_groq_refused_cost_nothing(served: Running) -> None:
    served.script.next(Raw([b'{"error":{"message":"no"}}'], status=400))
    await served.client.post("/api/chat", json=asked())

    assert (await usage(served.client))["items"] == []


async def test_what_was_deleted_or_not_saved_still_counts(served: Running) -> None:
    for members in ({}, {"save_conversation": False}):
        served.script.next(paid())
        answer = await chat(served, **members)
        if conversation_id := answer["conversation_id"]:
            await served.client.delete(f"/api/conversations/{conversation_id}")

    async def both() -> bool:
        return bool((await usage(served.client))["total"]["answers"] == 2)

    await until(both)
    assert (await usage(served.client))["total"]["cost"] == 2 * COST


async def test_everybody_sees_their_own() -> None:
    async with running(API_KEYS=entries("ann", "bob", "eve")) as service:
        for owner, members in [("ann", {}), ("ann", {}), ("bob", {"save_conversation": False})]:
            service.script.next(paid())
            async with service.client.post(
                "/api/chat", json=asked(**members), headers=asked_by(owner)
            ) as response:
                assert response.status == 200

        async def counted() -> bool:
            return bool((await usage(service.client, **asked_by("bob")))["total"]["answers"])

        await until(counted)
        reports = [await usage(service.client, **asked_by(name)) for name in ("ann", "bob", "eve")]
    assert [report["total"]["answers"] for report in reports] == [2, 1, 0]
    assert [report["total"]["cost"] for report in reports] == [2 * COST, COST, 0]


@pytest.mark.parametrize(
    ("query", "start", "end"),
    [
        ("from=2025-01-31&to=2025-01-31", "2025-01-31T00:00:00.000Z", "2025-02-01T00:00:00.000Z"),
        ("to=2025-01-31", "2025-01-02T00:00:00.000Z", "2025-02-01T00:00:00.000Z"),
        (
            "from=2025-01-31T12:00:00Z&to=2025-01-31T12:00:00.5Z",
            "2025-01-31T12:00:00.000Z",
            "2025-01-31T12:00:00.500Z",
        ),
        (
            f"from={quote('2025-01-31T12:00:00+05:30')}&to=2025-02-01T00:00:00-01:00",
            "2025-01-31T06:30:00.000Z",
            "2025-02-01T01:00:00.000Z",
        ),
        ("from=2025-01-02&to=2025-01-31", "2025-01-02T00:00:00.000Z", "2025-02-01T00:00:00.000Z"),
        ("from=0001-01-01&to=9999-12-30", "0001-01-01T00:00:00.000Z", "9999-12-31T00:00:00.000Z"),
    ],
)
async def test_a_period_is_told_as_it_was_understood(
    served: Running, query: str, start: str, end: str
) -> None:
    report = await usage(served.client, f"?{query}")
    again = await usage(served.client, f"?from={report['from']}&to={report['to']}")

    assert (report["from"], report["to"]) == (start, end)
    assert again == report


async def test_only_what_was_begun_in_the_period_counts(served: Running) -> None:
    served.script.next(paid())
    answer = await chat(served)
    at = (await shown(served, answer["conversation_id"]))["messages"][-1]["created_at"]

    periods = [f"from={at}", f"to={at}", f"from={at[:10]}&to={at[:10]}", "to=2025-01-31"]
    counts = [(await usage(served.client, f"?{p}"))["total"]["answers"] for p in periods]
    assert counts == [1, 0, 1, 0]


BAD_TIMES = [
    "yesterday",
    "2025-02-30",
    "20250131",
    "2025-W05-5",
    "2025-1-31",
    "2025-01-31T12:00:00",
    "2025-01-31T12:00Z",
    "2025-01-31T25:00:00Z",
    "2025-01-31 12:00:00Z",
    "2025-01-31T12:00:00+05:30",  # a + that is not encoded is a space
    "9999-12-31T23:59:59.9999Z",
    "0001-01-01T00:00:00%2B01:00",
    "٢٠٢٥-01-31",
    "2025-01-31%00",
    "1" * 1000,
]


@pytest.mark.parametrize("text", BAD_TIMES)
@pytest.mark.parametrize("name", ["from", "to"])
async def test_a_bad_time_is_told(served: Running, name: str, text: str) -> None:
    async with served.client.get(f"/api/usage?{name}={text}") as response:
        problem = await problem_of(response, 422, "validation-error")

    assert list(faults_of(problem)) == [f"#/query/{name}"]
    assert "2025-01-31T12:00:00Z" in faults_of(problem)[f"#/query/{name}"]


async def test_all_faults_are_told_at_once(served: Running) -> None:
    async with served.client.get("/api/usage?from=a&to=b&group_by=week") as response:
        problem = await problem_of(response, 422, "validation-error")

    assert faults_of(problem).keys() == {"#/query/from", "#/query/to", "#/query/group_by"}
    assert faults_of(problem)["#/query/group_by"] == "must be one of day, model"


@pytest.mark.parametrize("query", ["from=2025-02-01&to=2025-01-30", "from=9000-01-01"])
async def test_a_period_that_ends_before_it_starts_is_told(served: Running, query: str) -> None:
    async with served.client.get(f"/api/usage?{query}") as response:
        problem = await problem_of(response, 422, "validation-error")

    assert list(faults_of(problem)) == ["#/query/from"]


async def test_a_store_that_is_away_is_a_problem(tmp_path: Path) -> None:
    async with (
        running(CONVERSATION_STORE=f"sqlite:///{tmp_path}") as service,
        service.client.get("/api/usage") as response,
    ):
        await problem_of(response, 503, "store-unavailable")
