"""Does an answer survive what happens to pages? Lost networks, reloads, other tabs."""

import asyncio
import hashlib

import pytest
from attrs import evolve
from playground.visiting import PATIENCE_MS, Visit, Visits
from playwright.async_api import expect
from web.outside import Held, said

from printed import ANSWER, CONTENT
from service.simulator import Text

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

CUTS = (0, 3001, 1013, 2513)


async def kept_text(visit: Visit) -> str:
    """The last answer as the service has it."""
    async with visit.running.client.get("/api/conversations") as response:
        [listed] = (await response.json())["items"]
    path = f"/api/conversations/{listed['conversation_id']}"
    async with visit.running.client.get(path) as response:
        return str((await response.json())["messages"][-1]["content"])


@pytest.mark.parametrize("transport", ["WebSocket", "SSE"])
async def test_an_answer_is_exact_however_often_the_network_is_cut(
    visits: Visits, transport: str
) -> None:
    async with visits.opened(ANSWER, cuts=CUTS) as visit:
        visit.watch.expect("ERR_", "WebSocket connection to")
        await visit.page.get_by_role("radio", name=transport).check(force=True)
        await visit.ask("Explain quantum computing")
        await visit.answered()

        assert await visit.copied() == CONTENT
        assert visit.network.cuts == []
        assert len(visit.running.script.requests) == 1


async def test_a_reload_in_mid_answer_goes_on(visits: Visits) -> None:
    held = Held("The beginning, ", "and the end.")
    async with visits.opened(held.answer) as visit:
        await visit.ask("Say it")
        await expect(visit.last_answer).to_have_text("The beginning,")
        await visit.page.reload()
        await expect(visit.last_answer).to_have_text("The beginning,")
        await expect(visit.button("Stop")).to_be_visible()
        held.let_go()
        await visit.answered()

        await expect(visit.last_answer).to_have_text(held.text)
        assert await visit.copied() == held.text
        assert len(visit.running.script.requests) == 1


@pytest.mark.parametrize("times", [1, 3])
async def test_a_reload_before_the_first_byte_asks_once(visits: Visits, times: int) -> None:
    gate = asyncio.Event()
    late = said("Late, but here")
    async with visits.opened(evolve(late, after=gate)) as visit:
        await visit.ask("Are you there?")
        await visit.running.script.request_count(1)
        for _ in range(times):
            await visit.page.reload()
            await expect(visit.page.locator(".bubble")).to_have_text("Are you there?")
        gate.set()
        await visit.answered()

        await expect(visit.last_answer).to_have_text("Late, but here")
        await expect(visit.page.locator(".bubble")).to_have_count(1)
        assert len(visit.running.script.requests) == 1
        assert await kept_text(visit) == "Late, but here"


async def test_a_reload_goes_on_in_a_chat_that_is_not_kept(visits: Visits) -> None:
    held = Held("Not ", "kept")
    async with visits.opened(held.answer) as visit:
        await visit.page.get_by_role("checkbox", name="Temporary chat").check()
        await visit.ask("Psst")
        await expect(visit.last_answer).to_have_text("Not")
        await visit.page.reload()
        await expect(visit.last_answer).to_have_text("Not")
        held.let_go()
        await visit.answered()

        await expect(visit.page.locator(".bubble")).to_have_text("Psst")
        await expect(visit.last_answer).to_have_text(held.text)
        assert len(visit.running.script.requests) == 1


async def test_a_draft_survives_a_reload(visits: Visits) -> None:
    async with visits.opened() as visit:
        await visit.message.fill("Half a thou")
        await visit.page.reload()

        await expect(visit.message).to_have_value("Half a thou")


async def test_two_tabs_stay_in_step(visits: Visits) -> None:
    held = Held("Both see ", "this")
    async with visits.opened(said("Hello"), held.answer, said("Third")) as visit:
        await visit.ask("Hi")
        await visit.answered()
        other = await visit.another_tab()
        await expect(other.last_answer).to_have_text("Hello")

        await visit.ask("More")
        await expect(other.last_answer).to_have_text("Both see", timeout=PATIENCE_MS)
        await expect(other.button("Stop")).to_be_visible()
        held.let_go()
        await expect(other.last_answer).to_have_text(held.text)
        await other.answered()
        await other.ask("And more")
        await expect(visit.last_answer).to_have_text("Third", timeout=PATIENCE_MS)
        await other.answered()

        assert len(visit.running.script.requests) == 3


async def test_a_conversation_deleted_elsewhere_is_left(visits: Visits) -> None:
    async with visits.opened(said("Hello")) as visit:
        visit.watch.expect("status of 404")
        await visit.ask("Hi")
        await visit.answered()
        await visit.message.fill("unsent")
        conversation_id = visit.page.url.partition("#c=")[2]
        async with visit.running.client.delete(f"/api/conversations/{conversation_id}") as response:
            assert response.status == 204

        await expect(visit.page.get_by_text("This conversation was deleted.").first).to_be_visible()
        await expect(visit.answers).to_have_count(0)
        await expect(visit.message).to_have_value("unsent")


async def test_the_switch_of_transport_in_mid_answer_loses_nothing(visits: Visits) -> None:
    slow = Text("".join(f"{n} " for n in range(400)), tokens_per_second=200)
    async with visits.opened(slow) as visit:
        await visit.ask("Count")
        await expect(visit.last_answer).to_contain_text("20 ")
        await visit.page.get_by_role("radio", name="SSE").check(force=True)
        await visit.answered()
        text = await visit.copied()

    assert hashlib.sha256(text.encode()).digest() == hashlib.sha256(slow.content.encode()).digest()
