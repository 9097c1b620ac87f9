"""What does the page say when not all is well with the service?"""

import asyncio
import re

import pytest
from playground.visiting import Visits
from playwright.async_api import Page, Route, expect
from web.outside import said

from service.simulator import DONE, Cut, Gate, Raw, Refusal, chunk, error_data

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

UNKNOWN = "There is no such conversation"
SAYING = """text => [...document.querySelectorAll("[role=status], [role=alert], [aria-live]")]
  .filter((region) => region.textContent.includes(text)).length"""


async def reload_without(page: Page, path: str) -> asyncio.Event:
    """Load the page anew while that path cannot be reached; set the event to end that."""
    over = asyncio.Event()

    async def answer(route: Route) -> None:
        if over.is_set():
            await route.continue_()
        else:
            await route.abort("connectionrefused")

    await page.route(path, answer)
    await page.reload()
    return over


async def test_the_page_waits_for_the_service(visits: Visits) -> None:
    async with visits.opened(said("Here I am")) as visit:
        visit.watch.expect("ERR_CONNECTION_REFUSED")
        over = await reload_without(visit.page, "**/api/models")
        notice = visit.page.get_by_role("alert").filter(has_text="The service cannot be reached")
        await expect(notice).to_be_visible()
        await visit.ask("Are you there?")
        await expect(visit.message).to_have_value("Are you there?")
        over.set()
        await expect(visit.page.locator("body")).to_have_attribute("data-ready", "")
        await expect(notice).to_be_hidden()
        await visit.message.press("Enter")

        await expect(visit.last_answer).to_have_text("Here I am")


@pytest.mark.parametrize("text", [UNKNOWN, "The service cannot be reached"])
async def test_a_notice_is_said_once(visits: Visits, text: str) -> None:
    async with visits.opened(fragment="#c=01a2079e-8c72-753e-a6f5-829f7997c598") as visit:
        visit.watch.expect("status of 404", "ERR_CONNECTION_REFUSED")
        if text != UNKNOWN:
            await reload_without(visit.page, "**/api/models")
        await expect(visit.page.locator(".notice")).to_contain_text(text)
        await visit.page.evaluate("new Promise(requestAnimationFrame)")
        await visit.page.evaluate("new Promise(requestAnimationFrame)")

        assert await visit.page.evaluate(SAYING, text) == 1


async def test_a_notice_that_stays_true_stays_as_it_is(visits: Visits) -> None:
    async with visits.opened() as visit:
        visit.watch.expect("ERR_CONNECTION_REFUSED")
        over = await reload_without(visit.page, "**/api/models")
        now = visit.button("Try now")
        await now.focus()
        for _ in range(2):
            await visit.page.wait_for_event("requestfailed")
        await expect(now).to_be_focused()

        over.set()
        await now.press("Enter")

        await expect(visit.page.locator("body[data-ready]")).to_be_attached()
        await expect(visit.message).to_be_focused()


async def test_a_retired_model_is_named_with_what_to_do(visits: Visits) -> None:
    retired = Refusal(400, error_data("retired", "model_decommissioned"))
    async with visits.opened(retired) as visit:
        visit.watch.expect("status of 422")
        await visit.ask("Hello, old one")

        dialog = visit.page.get_by_role("dialog", name="Settings")
        await expect(dialog).to_be_visible()
        await expect(dialog.get_by_role("combobox", name="Model")).to_be_focused()
        await expect(visit.message).to_have_value("Hello, old one")


async def test_what_was_written_before_groq_failed_is_kept(visits: Visits) -> None:
    seen = asyncio.Event()
    broken = Raw([chunk({"content": "Half of"}), Gate(seen), Cut()])
    whole = Raw([chunk({"content": "All of it"}), chunk({}, "stop"), DONE])
    async with visits.opened(broken, whole) as visit:
        await visit.ask("Tell me")
        await expect(visit.last_answer).to_have_text("Half of")
        seen.set()
        await visit.answered()

        answer = visit.page.locator(".answer")
        await expect(visit.last_answer).to_have_text("Half of")
        await expect(answer).to_contain_text("Groq failed")
        await expect(answer).to_contain_text("What had been written is kept.")
        await expect(answer).to_contain_text(re.compile(r"Request [0-9a-f-]{36}"))
        await visit.button("Try again").click()
        await expect(visit.last_answer).to_have_text("All of it")


async def test_an_unknown_conversation_is_no_dead_end(visits: Visits) -> None:
    async with visits.opened(
        said("Fresh"), fragment="#c=01a2079e-8c72-753e-a6f5-829f7997c598"
    ) as visit:
        visit.watch.expect("status of 404")
        await expect(visit.page.get_by_text(UNKNOWN).first).to_be_visible()
        await visit.ask("Start anew")

        await expect(visit.last_answer).to_have_text("Fresh")


async def test_narrow_pages_have_their_panels_in_drawers(visits: Visits) -> None:
    async with visits.opened(size=(320, 640)) as visit:
        page = visit.page
        await expect(page.get_by_role("searchbox", name="Search conversations")).to_be_hidden()
        await visit.button("Show conversations").click()
        await expect(page.get_by_role("searchbox", name="Search conversations")).to_be_visible()
        await expect(page.locator("#center")).to_have_attribute("inert", "")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("searchbox", name="Search conversations")).to_be_hidden()
        await expect(visit.button("Show conversations")).to_be_focused()
        width = await page.evaluate("document.documentElement.scrollWidth")

    assert width == 320


async def test_the_theme_is_kept(visits: Visits) -> None:
    async with visits.opened() as visit:
        await visit.button("Theme").click()
        await visit.button("Theme").click()
        await visit.page.reload()

        await expect(visit.page.locator("html")).to_have_attribute("data-theme", "dark")
        colour = await visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert colour == "rgb(28, 28, 26)"
