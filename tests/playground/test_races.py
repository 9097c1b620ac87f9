"""Is all well where something is done before something slower is over?"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playground.panels import Sidebar
from playground.visiting import Visit, Visits
from playwright.async_api import Route, expect
from web.outside import Held, listed, said

from service.simulator import NoResponse

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

READING = re.compile(r"/api/conversations/[^/?]+\?tree=true$")
ONE = re.compile(r"/api/conversations/[^/?]+$")


@asynccontextmanager
async def slow(visit: Visit, requests: re.Pattern[str]) -> AsyncIterator[asyncio.Event]:
    """Such requests wait until that is set; it is told once one of them is there."""
    gate, there = asyncio.Event(), asyncio.Event()

    async def later(route: Route) -> None:
        there.set()
        await gate.wait()
        await route.continue_()

    await visit.page.route(requests, later)
    yield there
    gate.set()


async def begun(visit: Visit, question: str = "First") -> str:
    """An answered question in a conversation of its own; the conversation's id."""
    await visit.button("New chat").click()
    await visit.ask(question)
    await visit.answered()
    return visit.page.url.partition("#c=")[2]


async def deleted(visit: Visit, conversation_id: str) -> None:
    """Delete it, as another device would."""
    response = await visit.running.client.delete(f"/api/conversations/{conversation_id}")
    assert response.status == 204


async def test_a_temporary_chat_stays_one_whatever_is_read_meanwhile(visits: Visits) -> None:
    async with visits.opened(said("One"), said("Two")) as visit:
        await begun(visit)
        async with slow(visit, READING) as there:
            await visit.page.reload()
            await there.wait()
            await visit.page.get_by_label("Temporary chat").check(force=True)
        await expect(visit.page.locator("body[data-ready]")).to_be_attached()
        await expect(visit.page.get_by_label("Temporary chat")).to_be_checked()

        await visit.ask("Secret")
        await visit.answered()

        await expect(visit.answers).to_have_text(["Two"])
        assert [it["title"] for it in (await listed(visit.running))["items"]] == ["First"]


async def test_a_question_waits_until_it_is_known_what_it_follows(visits: Visits) -> None:
    async with visits.opened(said("One"), said("Other"), said("Two")) as visit:
        await begun(visit)
        await begun(visit, "Another")
        async with slow(visit, READING) as there:
            await Sidebar(visit).link("First").click()
            await there.wait()
            await visit.ask("Second")
            await expect(visit.message).to_have_value("Second")

        await visit.answered()
        await expect(visit.questions).to_have_text(["First", "Second"])
        await expect(visit.answers).to_have_text(["One", "Two"])


async def test_an_answer_in_a_branch_that_is_not_shown_is_followed_once(visits: Visits) -> None:
    held = Held("Half", " done")
    async with visits.opened(said("One"), held.answer) as visit:
        await begun(visit)
        await visit.button("Edit").click()
        await visit.page.get_by_role("textbox", name="Edited question").fill("Edited")
        await visit.button("Send edit").click()
        await expect(visit.last_answer).to_have_text("Half")
        await visit.button("Previous version").first.click()
        await expect(visit.answers).to_have_text(["One"])

        read: list[str] = []
        visit.page.on("request", lambda request: read.append(request.url))
        await visit.reload()
        await expect(visit.button("Stop")).to_be_visible()
        await expect(visit.answers).to_have_text(["One"])
        held.let_go()
        await visit.answered()
        await visit.button("Next version").first.click()

        await expect(visit.answers).to_have_text(["Half done"])
        assert len([url for url in read if READING.search(url)]) < 6


async def test_a_regeneration_stops_before_there_is_any_answer(visits: Visits) -> None:
    async with visits.opened(said("One"), NoResponse()) as visit:
        await begun(visit)
        await visit.button("Regenerate").click()
        await visit.running.script.request_count(2)

        await visit.button("Stop").click()

        await visit.answered()
        await expect(visit.answers).to_have_text(["One"])
        assert len(visit.running.script.requests) == 2


@pytest.mark.parametrize("leaves", [False, True])
async def test_what_was_written_for_a_conversation_that_is_gone_goes_to_a_new_one(
    visits: Visits, leaves: bool
) -> None:
    async with visits.opened(said("One"), said("Two")) as visit:
        visit.watch.expect("status of 404")
        await begun(visit)
        gone = await begun(visit, "Second")
        await deleted(visit, gone)
        async with slow(visit, re.compile(f"{gone}.*")):
            await visit.ask("Precious")
            if leaves:
                await Sidebar(visit).link("First").click()
                await expect(visit.questions).to_have_text(["First"])
                await visit.button("New chat").click()

        await expect(visit.message).to_have_value("Precious")
        await expect(visit.questions).to_have_count(0)


async def test_an_edit_in_a_conversation_that_is_gone_is_not_lost(visits: Visits) -> None:
    async with visits.opened(said("One")) as visit:
        visit.watch.expect("status of 404")
        gone = await begun(visit)
        await visit.button("Edit").click()
        await visit.page.get_by_role("textbox", name="Edited question").fill("Edited at length")
        await deleted(visit, gone)

        await visit.page.evaluate("dispatchEvent(new Event('focus'))")

        await expect(visit.message).to_have_value("Edited at length")
        await expect(visit.questions).to_have_count(0)


async def test_who_opens_a_conversation_before_its_question_is_taken_up_sees_it(
    visits: Visits,
) -> None:
    async with visits.opened(said("One"), said("Two"), NoResponse(), NoResponse()) as visit:
        await begun(visit)
        await begun(visit, "Second")
        await visit.ask("Pending")
        await visit.running.script.request_count(3)
        await Sidebar(visit).link("First").click()
        await expect(visit.questions).to_have_text(["First"])
        second = re.compile(
            (await listed(visit.running))["items"][0]["conversation_id"] + r"\?tree=true$"
        )

        async with slow(visit, second) as there:
            await visit.page.reload()
            await there.wait()
            await visit.page.get_by_role("link", name="Second").click()

        await expect(visit.questions).to_have_text(["Second", "Pending"])
        await expect(visit.button("Stop")).to_be_visible()
        assert len(visit.running.script.requests) == 3


async def test_a_version_that_was_chosen_stays_whatever_is_read_meanwhile(visits: Visits) -> None:
    async with visits.opened(said("One"), said("Two")) as visit:
        await begun(visit)
        await visit.button("Regenerate").click()
        await visit.answered()
        await expect(visit.answers).to_have_text(["Two"])
        async with slow(visit, ONE) as there:
            await visit.button("Previous version").click()
            await there.wait()
            async with visit.page.expect_response(READING):
                await visit.page.evaluate("dispatchEvent(new Event('focus'))")
            await expect(visit.answers).to_have_text(["One"])

        await visit.reload()
        await expect(visit.answers).to_have_text(["One"])


async def test_the_skip_link_leaves_the_address(visits: Visits) -> None:
    async with visits.opened(said("One")) as visit:
        await begun(visit)
        await Sidebar(visit).link("First").click()
        address = visit.page.url

        await visit.page.get_by_role("link", name="Skip to the message box").focus()
        await visit.page.keyboard.press("Enter")

        await expect(visit.message).to_be_focused()
        assert visit.page.url == address


async def test_who_writes_in_an_editor_that_goes_away_does_not_write_in_the_box(
    visits: Visits,
) -> None:
    async with visits.opened(said("One"), said("Two")) as visit:
        await begun(visit)
        other = await visit.another_tab()
        editor = visit.page.get_by_role("textbox", name="Edited question")
        await visit.button("Edit").click()
        await editor.fill("Mine")
        await other.button("Edit").click()
        await other.page.get_by_role("textbox", name="Edited question").fill("Theirs")
        await other.button("Send edit").click()

        await expect(visit.questions).to_have_text(["Theirs"])
        await visit.page.keyboard.type(" goes on")
        await visit.page.keyboard.press("Enter")

        await expect(visit.message).to_have_value("")
        await visit.button("Previous version").click()
        await expect(editor).to_have_value("Mine")
        assert len(visit.running.script.requests) == 2
