"""Is the text of a question that is being edited ever lost, or sent when it was not meant?"""

import pytest
from playground.visiting import PATIENCE_MS, Visit, Visits
from playwright.async_api import Locator, expect
from web.outside import Held, said

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


def editor(visit: Visit) -> Locator:
    """Where a question is edited."""
    return visit.page.get_by_role("textbox", name="Edited question")


async def edit(visit: Visit, number: int, text: str) -> None:
    """Begin to write another text for one of the questions."""
    await visit.button("Edit").nth(number).click()
    await editor(visit).fill(text)


@pytest.mark.parametrize("key", ["Enter", "Escape"])
async def test_an_edit_outlives_whatever_takes_it_away_until_it_ends(
    visits: Visits, key: str
) -> None:
    answers = [said(text) for text in ("One", "Two", "Elsewhere", "Edited")]
    async with visits.opened(*answers) as visit:
        for question in ("First", "Second"):
            await visit.ask(question)
            await visit.answered()
        other = await visit.another_tab()
        await expect(other.last_answer).to_have_text("Two")
        await edit(visit, 1, "Second, at length")

        await edit(other, 0, "Zeroth")
        await editor(other).press("Enter")
        await expect(visit.last_answer).to_have_text("Elsewhere", timeout=PATIENCE_MS)
        await expect(editor(visit)).to_have_count(0)
        await other.answered()
        await visit.button("Previous version").first.click()
        await expect(editor(visit)).to_have_value("Second, at length")
        await visit.page.reload()
        await expect(editor(visit)).to_have_value("Second, at length")
        await expect(visit.message).to_be_focused()

        await editor(visit).press(key)
        if key == "Enter":
            await expect(visit.last_answer).to_have_text("Edited")
            await visit.answered()
            await visit.button("Previous version").last.click()
        await expect(visit.last_answer).to_have_text("Two")
        await visit.page.reload()
        await expect(visit.last_answer).to_have_text("Two")
        await expect(editor(visit)).to_have_count(0)


async def test_an_edit_stays_open_while_it_cannot_be_sent(visits: Visits) -> None:
    held = Held("Being ", "written")
    async with visits.opened(said("One"), held.answer, said("Edited")) as visit:
        await visit.ask("First")
        await visit.answered()
        await edit(visit, 0, "Zeroth")
        await visit.ask("Second")
        await expect(visit.last_answer).to_have_text("Being")

        await editor(visit).press("Enter")
        hint = visit.page.get_by_role("status").filter(has_text="Your text is kept here")
        await expect(hint).to_be_visible()
        await expect(editor(visit)).to_have_value("Zeroth")
        await expect(visit.message).to_have_value("")

        held.let_go()
        await visit.answered()
        await expect(hint).to_have_count(0)
        await editor(visit).press("Enter")
        await expect(visit.last_answer).to_have_text("Edited")
        await expect(visit.page.locator(".bubble")).to_have_text("Zeroth")
