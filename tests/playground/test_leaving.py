"""Does a question go on where it was asked, whatever is opened or reloaded before its answer?"""

import asyncio

import pytest
from attrs import evolve
from playground.panels import Sidebar
from playground.visiting import PATIENCE_MS, Visit, Visits, refused_by
from playwright.async_api import Route, expect
from web.outside import Held, said

from service.simulator import NoResponse, Raw

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


def late(gate: asyncio.Event) -> Raw:
    """An answer of which there is nothing until then: Groq has not even taken the question."""
    return evolve(said("Late"), after=gate)


async def asked(visit: Visit, *questions: str) -> None:
    """Each in a conversation of its own, and answered."""
    for question in questions:
        await visit.button("New chat").click()
        await visit.ask(question)
        await expect(visit.questions).to_have_text([question])
        await visit.answered()


@pytest.mark.parametrize("reloads", [False, True])
@pytest.mark.parametrize("is_new", [False, True])
async def test_what_was_asked_goes_on_where_it_was_asked(
    visits: Visits, is_new: bool, reloads: bool
) -> None:
    gate = asyncio.Event()
    async with visits.opened(said("One"), said("Two"), late(gate)) as visit:
        sidebar, requests = Sidebar(visit), visit.running.script.requests
        await asked(visit, "First", "Second")
        if is_new:
            await visit.button("New chat").click()
        await visit.ask("Pending")
        await visit.running.script.request_count(3)

        await sidebar.link("First").click()
        await expect(visit.answers).to_have_text(["One"])
        if reloads:
            await visit.reload()
        await expect(visit.questions).to_have_text(["First"])
        await expect(visit.button("Stop")).to_be_hidden()
        await visit.page.go_back()
        await expect(visit.questions).to_have_text(["Pending"] if is_new else ["Second", "Pending"])
        await expect(visit.button("Stop")).to_be_visible()
        await sidebar.link("First").click()
        gate.set()
        await sidebar.link("Pending" if is_new else "Second").click()

        await expect(visit.last_answer).to_have_text("Late")
        await visit.answered()
        assert len(requests) == 3


async def test_a_question_asked_twice_is_answered_twice(visits: Visits) -> None:
    gate = asyncio.Event()
    async with visits.opened(said("One"), late(gate)) as visit:
        await asked(visit, "Same")
        await visit.ask("Same")
        await visit.running.script.request_count(2)

        await visit.page.reload()

        await expect(visit.questions).to_have_text(["Same", "Same"])
        gate.set()
        await expect(visit.answers).to_have_text(["One", "Late"])
        await visit.answered()
        assert len(visit.running.script.requests) == 2


async def test_an_answer_that_ends_unseen_takes_nothing_from_another(visits: Visits) -> None:
    held, gate = Held(), asyncio.Event()
    async with visits.opened(held.answer, late(gate)) as visit:
        await visit.ask("First")
        await expect(visit.last_answer).to_have_text(held.first)
        await visit.button("New chat").click()
        async with visit.page.expect_request("**/api/conversations?*"):
            held.let_go()
        await visit.reload()
        await expect(visit.answers).to_have_count(0)

        await visit.ask("Pending")
        await visit.running.script.request_count(2)
        await visit.page.reload()
        await expect(visit.questions).to_have_text(["Pending"])
        gate.set()

        await expect(visit.last_answer).to_have_text("Late")
        await visit.answered()
        assert len(visit.running.script.requests) == 2


@pytest.mark.parametrize("is_new", [False, True])
async def test_what_never_gets_an_answer_is_stopped_wherever_one_comes_from(
    visits: Visits, is_new: bool
) -> None:
    async with visits.opened(said("One"), NoResponse(), said("Again")) as visit:
        await asked(visit, "First")
        if is_new:
            await visit.button("New chat").click()
        await visit.ask("Pending")
        await visit.running.script.request_count(2)
        await visit.page.reload()
        await expect(visit.questions.last).to_have_text("Pending")
        await visit.button("Stop").click()

        await expect(visit.message).to_have_value("Pending", timeout=PATIENCE_MS)
        await expect(visit.questions).to_have_text([] if is_new else ["First"])
        await visit.running.script.disconnected(1)
        await visit.reload()
        await expect(visit.message).to_have_value("Pending")
        assert len(visit.running.script.requests) == 2
        await visit.message.press("Enter")
        await expect(visit.last_answer).to_have_text("Again")
        await visit.answered()


async def test_a_new_question_outlives_a_lost_network_and_its_chat_being_left(
    visits: Visits,
) -> None:
    async with visits.opened(said("One"), said("Late")) as visit:
        visit.watch.expect("ERR_")
        await asked(visit, "First")
        await visit.page.get_by_role("radio", name="SSE").check(force=True)
        await visit.page.route("**/api/chat/stream", lambda route: route.abort())
        await visit.button("New chat").click()
        async with visit.page.expect_event("requestfailed"):
            await visit.ask("Pending")
        await Sidebar(visit).link("First").click()
        await expect(visit.answers).to_have_text(["One"])
        await visit.button("New chat").click()
        await expect(visit.questions).to_have_count(0)
        await visit.page.unroute("**/api/chat/stream")

        await Sidebar(visit).link("Pending").click()
        await expect(visit.last_answer).to_have_text("Late")
        assert len(visit.running.script.requests) == 2


@pytest.mark.parametrize("is_new", [False, True])
async def test_what_is_refused_unseen_is_found_where_it_was_asked(
    visits: Visits, is_new: bool
) -> None:
    refused = asyncio.Event()

    async def refuse(route: Route) -> None:
        await refused.wait()
        await refused_by(route, "overloaded")

    async with visits.opened(said("One"), said("Two")) as visit:
        visit.watch.expect("status of 503")
        await asked(visit, "First", "Second")
        if is_new:
            await visit.button("New chat").click()
        await visit.page.get_by_role("radio", name="SSE").check(force=True)
        await visit.page.route("**/api/chat/stream", refuse)
        async with visit.page.expect_request("**/api/chat/stream"):
            await visit.ask("Keep me")
        await Sidebar(visit).link("First").click()
        await expect(visit.answers).to_have_text(["One"])
        await visit.message.fill("A draft of this one")
        refused.set()

        await expect(visit.page.get_by_text("Your question is kept").first).to_be_visible()
        await expect(visit.message).to_have_value("A draft of this one")
        await visit.page.go_back()
        await expect(visit.message).to_have_value("Keep me")
