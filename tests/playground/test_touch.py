"""Is the keyboard of a touch screen raised only by who wants to write?"""

import pytest
from playground.panels import Sidebar
from playground.visiting import Visits
from playwright.async_api import expect
from web.outside import said

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


async def test_on_glass_only_a_touch_of_the_composer_raises_the_keyboard(visits: Visits) -> None:
    async with visits.opened(said("The moon"), touch=True) as visit:
        sidebar = Sidebar(visit)
        await expect(visit.message).not_to_be_focused()
        await visit.message.tap()
        await visit.page.keyboard.type("Tides?")
        await visit.button("Send").tap()
        await visit.answered()
        await expect(visit.message).not_to_be_focused()

        await sidebar.root.get_by_role("button", name="New chat").tap()
        await expect(visit.answers).to_have_count(0)
        await expect(visit.message).not_to_be_focused()
        await sidebar.link("Tides?").tap()
        await expect(visit.last_answer).to_have_text("The moon")
        await expect(visit.message).not_to_be_focused()
        await visit.page.locator("#composer").tap(position={"x": 60, "y": 3})

        await expect(visit.message).to_be_focused()


async def test_with_a_keyboard_one_can_write_at_once(visits: Visits) -> None:
    async with visits.opened(said("The moon")) as visit:
        sidebar = Sidebar(visit)
        await expect(visit.message).to_be_focused()
        await visit.ask("Tides?")
        await visit.answered()

        await sidebar.root.get_by_role("button", name="New chat").click()
        await expect(visit.message).to_be_focused()
        await sidebar.link("Tides?").click()

        await expect(visit.message).to_be_focused()
