from itertools import cycle

import pytest
from structlog.testing import capture_logs
from web.outside import (
    Held,
    asked,
    asking,
    chat,
    ended,
    exchange,
    reading,
    request_bytes,
    said,
    start,
    streamed,
)
from web.speaking import speaking

from scraping import OPENMETRICS, counted, scrape
from service.core.conversation import Usage
from service.core.pricing import cost_of
from service.simulator import DONE, NoResponse, Raw, Refusal, chunk, error_data
from support import MODEL, Running, catalogue, running

STREAM = "/api/chat/stream"
EVENTS = "/api/runs/{run_id}/events"
ODD_METHODS = ("PROPFIND", "MKCOL", "TRACE", "PURGE", "SEARCH")
UNKNOWN = "00000000-0000-7000-8000-000000000000"


async def test_an_answer_is_counted_with_its_tokens_its_times_and_its_price(
    served: Running,
) -> None:
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "total_tokens": 1500,
        "prompt_tokens_details": {"cached_tokens": 400},
        "completion_tokens_details": {"reasoning_tokens": 300},
    }
    pieces = [chunk({"content": part}) for part in ("one ", "two ", "three")]
    served.script.next(Raw([*pieces, chunk({}, "stop", usage=usage), DONE]))
    model = catalogue().find(MODEL)
    assert model

    frames = await streamed(served)
    scraped = await counted(served, "chat_stream_seconds_count", 1, route=STREAM)

    assert scraped.value("chat_runs_started_total") == 1
    assert scraped.value("chat_runs_total", model=MODEL, outcome="stop") == 1
    assert scraped.value("chat_run_seconds_count", model=MODEL) == 1
    assert scraped.value("chat_time_to_first_token_seconds_count", model=MODEL) == 1
    deltas = [frame for frame in frames if frame.data["type"] == "delta"]
    assert scraped.value("chat_token_gap_seconds_count", model=MODEL) == len(deltas) - 1
    assert scraped.value("chat_prompt_tokens_total", model=MODEL) == 1000
    assert scraped.value("chat_cached_tokens_total", model=MODEL) == 400
    assert scraped.value("chat_completion_tokens_total", model=MODEL) == 500
    assert scraped.value("chat_reasoning_tokens_total", model=MODEL) == 300
    cost = cost_of(Usage(1000, 500, 1500, 300, 400), model.pricing)
    assert cost
    assert scraped.value("chat_cost_dollars_total", model=MODEL) == pytest.approx(cost)
    assert scraped.value("chat_requests_total", route=STREAM, method="POST", status="200") == 1
    assert scraped.value("chat_store_seconds_count", operation="begin") == 1
    assert scraped.value("chat_store_seconds_count", operation="finish") == 1


async def test_a_request_that_is_refused_starts_no_run(served: Running) -> None:
    async with served.client.post(STREAM, json=asked(hyperparameters={"top_p": 2})):
        pass

    scraped = await counted(served, "chat_requests_total", 1, route=STREAM, status="422")
    assert scraped.value("chat_request_seconds_count", route=STREAM) == 1
    assert scraped.value("chat_stream_seconds_count", route=STREAM) == 0
    assert scraped.value("chat_runs_started_total") == 0


async def test_what_groq_refuses_is_an_error_by_its_problem_and_a_retry_is_one_more() -> None:
    async with running(UPSTREAM_MAX_RETRIES="1") as served:
        busy = Refusal(503, error_data("busy"), {"retry-after": "0"})
        limited = Refusal(429, error_data("slow down"), {"retry-after": "60"})
        served.script.next(busy, said("Yes"), limited)
        await chat(served)
        async with served.client.post("/api/chat", json=asked()) as response:
            assert response.status == 429
        scraped = await scrape(served)

    errors, retries = "chat_upstream_errors_total", "chat_upstream_retries_total"
    assert scraped.value(errors, model=MODEL, problem="upstream-error") == 1
    assert scraped.value(retries, model=MODEL, problem="upstream-error") == 1
    assert scraped.value(errors, model=MODEL, problem="upstream-rate-limited") == 1
    assert scraped.value(retries) == 1
    assert scraped.value("chat_runs_total", outcome="stop") == 1
    assert scraped.value("chat_runs_total", outcome="upstream-rate-limited") == 1
    assert scraped.value("chat_run_seconds_count") == 1


async def test_a_stream_that_breaks_off_is_an_error_of_groqs(served: Running) -> None:
    served.script.next(Raw([chunk({"content": "Hel"})]))

    await streamed(served)
    scraped = await counted(served, "chat_runs_total", 1, model=MODEL, outcome="upstream-error")

    assert scraped.value("chat_upstream_errors_total", problem="upstream-error") == 1
    assert scraped.value("chat_run_seconds_count", model=MODEL) == 1
    assert scraped.value("chat_completion_tokens_total") == 0


async def test_a_cancelled_run_is_counted_as_such(served: Running) -> None:
    served.script.next(NoResponse())
    run_id = await start(served)
    await served.script.request_count(1)

    await served.client.post(f"/api/runs/{run_id}/cancel")
    scraped = await scrape(served)

    assert scraped.value("chat_runs_total", model=MODEL, outcome="cancelled") == 1
    assert scraped.value("chat_upstream_errors_total") == 0


async def test_who_reads_runs_and_sockets_is_read_at_the_time(served: Running) -> None:
    held = Held()
    served.script.next(held.answer, NoResponse())
    async with speaking(served) as peer, asking(served) as frames:
        run_id = (await anext(frames)).data["run_id"]
        async with reading(served, str(run_id)) as more:
            await anext(more)
            await peer.chat("a")
            during = await counted(served, "chat_active_runs", 2)
        fewer = await counted(served, "chat_readers", 2)
        await peer.say("cancel", id="a")
        held.let_go()
        after = await counted(served, "chat_active_runs", 0)
    gone = await counted(served, "chat_sockets", 0)

    assert (during.value("chat_readers"), during.value("chat_sockets")) == (3, 1)
    assert fewer.value("chat_active_runs") == 2
    assert after.value("chat_readers") == 0
    assert gone.value("chat_stream_seconds_count", route="/api/chat/ws") == 1
    assert gone.value("chat_requests_total", route="/api/chat/ws", status="101") == 1


async def test_a_reader_that_leaves_is_a_stream_of_unknown_end(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    async with asking(served) as frames:
        await anext(frames)

    scraped = await counted(
        served, "chat_requests_total", 1, route=STREAM, method="POST", status="disconnected"
    )
    held.let_go()

    assert scraped.value("chat_stream_seconds_count", route=STREAM) == 1
    assert scraped.value("chat_request_seconds_count", route=STREAM) == 0


async def test_resumes_are_counted_by_what_became_of_them() -> None:
    async with running(RUN_RETENTION="1000") as served:
        run_id = await start(served)
        await ended(served, run_id)  # a first reading is none
        for path in (f"{run_id}/events?after=0", f"{UNKNOWN}/events?after=0"):
            async with served.client.get(f"/api/runs/{path}") as response:
                await response.read()
        headers = {"Last-Event-ID": f"{run_id}:1"}
        async with served.client.post(STREAM, json=asked(), headers=headers) as response:
            await response.read()
        async with speaking(served) as peer:
            for after in (-1, 0):
                await peer.say("resume", id=f"{after}", run_id=run_id, after=after)
                await peer.hear_end(f"{after}")
            await peer.say("resume", id="lost", run_id=UNKNOWN, after=0)
            await peer.hear_to("error")
        scraped = await scrape(served)

    resumes = "chat_resumes_total"
    assert scraped.value(resumes, transport="sse", outcome="recovered") == 2
    assert scraped.value(resumes, transport="sse", outcome="run-not-found") == 1
    assert scraped.value(resumes, transport="ws", outcome="recovered") == 1
    assert scraped.value(resumes, transport="ws", outcome="run-not-found") == 1
    assert scraped.value(resumes) == 5


async def test_a_cursor_that_is_none_is_no_resume(served: Running) -> None:
    run_id = await start(served)
    await ended(served, run_id)

    async with served.client.get(f"/api/runs/{run_id}/events?after=999999") as response:
        assert response.status == 422

    assert (await scrape(served)).value("chat_resumes_total") == 0


async def test_an_expired_run_does_not_recover() -> None:
    async with running(RUN_RETENTION="0") as served:
        run_id = await start(served)
        await read_whole(served, run_id)
        async with served.client.get(f"/api/runs/{run_id}/events?after=0") as response:
            assert response.status == 404
        scraped = await scrape(served)

    assert scraped.value("chat_resumes_total", transport="sse", outcome="run-expired") == 1


async def read_whole(served: Running, run_id: str) -> None:
    async with served.client.get(f"/api/runs/{run_id}/events") as response:
        await response.read()


async def test_a_flood_of_odd_requests_makes_no_more_series(served: Running) -> None:
    async def flood(count: int) -> int:
        for number, method in zip(range(count), cycle(ODD_METHODS), strict=False):
            await exchange(
                served.client,
                request_bytes(method, f"/{number}/x?y={number}", b"", "Connection: close"),
            )
            await served.client.get(f"/api/runs/{number}")
            await served.client.delete(f"/api/runs/{number}/none")
            await served.client.put("/api/chat")
            await served.client.get(f"/api/conversations/{number}")
            await served.client.post("/api/chat", json=asked(model=f"model-{number}"))
        return (await scrape(served)).text.count("\n")

    await scrape(served)
    few = await flood(2)
    many = await flood(20)
    scraped = await scrape(served)

    assert many == few
    routes = {labels["route"] for labels in scraped.series("chat_requests_total")}
    assert routes == {
        "none",
        "/metrics",
        "/api/chat",
        "/api/runs/{run_id}",
        "/api/conversations/{conversation_id}",
    }
    methods = {labels["method"] for labels in scraped.series("chat_requests_total")}
    assert methods == {"GET", "POST", "PUT", "DELETE", "other"}
    assert "model-" not in scraped.text


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/plain", "text/plain; version=0.0.4"),
        ("", "text/plain; version=0.0.4"),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0"),
    ],
)
async def test_the_text_is_of_the_kind_that_is_asked_for(
    served: Running, accept: str, kind: str
) -> None:
    await chat(served)

    scraped = await scrape(served, accept)

    assert scraped.content_type.startswith(kind)
    assert scraped.value("chat_runs_total", model=MODEL, outcome="stop") == 1
    assert scraped.value("process_resident_memory_bytes") > 0
    assert scraped.series("python_gc_collections_total")
    assert not [family for family in scraped.families if not family.documentation]
    assert "_created" not in scraped.text


async def test_nothing_of_anybodys_is_in_it(served: Running) -> None:
    served.script.next(said("a secret answer"))

    answer = await chat(served, user_prompt="a secret question")
    text = (await scrape(served)).text

    assert "secret" not in text
    assert not [
        name for name in ("run_id", "message_id", "conversation_id") if answer[name] in text
    ]


async def test_scrapes_are_not_told_among_requests(served: Running) -> None:
    with capture_logs() as lines:
        await scrape(served)

    about = [line for line in lines if line.get("path") == "/metrics"]
    assert about
    assert {line["log_level"] for line in about} == {"debug"}


async def test_the_socket_is_counted_by_its_handshake_when_refused(served: Running) -> None:
    async with served.client.get("/api/chat/ws") as response:
        assert response.status == 422

    scraped = await scrape(served)

    assert scraped.value("chat_requests_total", route="/api/chat/ws", status="422") == 1
    assert scraped.value("chat_stream_seconds_count") == 0
