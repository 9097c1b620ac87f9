import asyncio
import time

import pytest
from web.outside import Held, ended, start

from service import __version__
from service.simulator import Refusal, Script, error_data
from service.web.keys import CHECKS
from support import Running, running


async def told(served: Running, path: str) -> tuple[int, dict[str, object]]:
    async with served.client.get(path) as response:
        return response.status, await response.json()


async def gone(served: Running, run_id: str) -> None:
    """Read a run to its end, after which it is not kept."""
    async with served.client.get(f"/api/runs/{run_id}/events") as response:
        await response.read()


async def test_health_in_five_members(served: Running) -> None:
    assert await told(served, "/health") == (
        200,
        {
            "status": "healthy",
            "conversations_in_memory": 0,
            "store": "memory",
            "active_runs": 0,
            "version": __version__,
        },
    )


async def test_the_memory_store_has_all_conversations_in_memory() -> None:
    held = Held()
    async with running(RUN_RETENTION="0") as served:
        await gone(served, await start(served))
        served.script.next(held.answer)
        run_id = await start(served)
        _, during = await told(served, "/health")
        held.let_go()
        await gone(served, run_id)
        _, after = await told(served, "/health")

    assert during["active_runs"] == 1
    assert (after["conversations_in_memory"], after["active_runs"]) == (2, 0)


async def test_another_store_counts_those_with_a_run_in_memory(tmp_path: object) -> None:
    async with running(CONVERSATION_STORE=f"sqlite:///{tmp_path}/c.db") as served:
        _, before = await told(served, "/health")
        await ended(served, await start(served))
        await ended(served, await start(served, save_conversation=False))
        _, after = await told(served, "/health")

    assert before["store"] == "sqlite"
    assert str(tmp_path) not in str(before)
    assert (before["conversations_in_memory"], after["conversations_in_memory"]) == (0, 1)


async def test_it_lives(served: Running) -> None:
    status, _ = await told(served, "/health/live")

    assert status == 200


async def test_it_is_ready_when_store_and_groq_are(served: Running) -> None:
    status, body = await told(served, "/health/ready")

    assert status == 200
    assert body["parts"] == {"store": "ok", "groq": "ok"}


async def test_it_is_not_ready_while_it_drains_but_lives(served: Running) -> None:
    await served.service.chat.drain(0)

    status, body = await told(served, "/health/ready")
    lives, _ = await told(served, "/health/live")

    assert (status, lives) == (503, 200)
    assert "draining" in str(body)


async def test_it_is_not_ready_without_groq_and_says_so() -> None:
    async with running(groq_url="http://127.0.0.1:9") as served:
        status, body = await told(served, "/health/ready")

    assert status == 503
    assert "groq" in str(body)


async def test_it_is_not_ready_with_a_refused_key_and_says_so() -> None:
    script = Script()
    script.models_answer = Refusal(401, error_data("Invalid API Key", "invalid_api_key"))
    async with running(script) as served:
        status, body = await told(served, "/health/ready")

    assert status == 503
    assert "groq" in str(body)


async def test_it_is_not_ready_without_its_store_and_says_so(tmp_path: object) -> None:
    missing = f"sqlite:////proc/no/such/place{tmp_path}/c.db"
    async with running(CONVERSATION_STORE=missing) as served:
        status, body = await told(served, "/health/ready")
        lives, _ = await told(served, "/health/live")
        async with served.client.get("/api/conversations") as response:
            problem = await response.json(content_type="application/problem+json")

    assert (status, lives) == (503, 200)
    assert "store" in str(body)
    assert str(tmp_path) not in str(body)
    assert (response.status, problem["type"]) == (503, "/problems/store-unavailable")
    assert problem["retry_after"] > 0
    assert response.headers["Retry-After"]


async def test_readiness_answers_in_bounded_time(
    served: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("service.web.health.PATIENCE_SECONDS", 0.05)
    monkeypatch.setitem(served.service.app[CHECKS], "slow", never)
    began = time.monotonic()

    status, body = await told(served, "/health/ready")

    assert (status, time.monotonic() - began < 1.9) == (503, True)
    assert "slow" in str(body)
