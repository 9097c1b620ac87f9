"""Can all of the playground be used without a mouse?"""

import pytest
from playground.panels import Inspector, Settings, Sidebar, stored
from playground.visiting import Visit, Visits
from playwright.async_api import Locator, expect
from web.outside import contents, conversation_about, said

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

MOST_STEPS = 60

COMPOSE = """
(area) => {
  for (const key of ["Enter", "Escape"])
    for (const how of [{ isComposing: true }, { keyCode: 229 }])
      area.dispatchEvent(new KeyboardEvent("keydown",
        { key, bubbles: true, cancelable: true, ...how }));
}
"""
"""Keys of a composition, as other browsers report them, and as Safari does when one ends."""


async def walk_to(visit: Visit, target: Locator, key: str = "Tab") -> None:
    """Press Tab until it has the focus, which must be in sight wherever it is."""
    for _ in range(MOST_STEPS):
        await visit.page.keyboard.press(key)
        if await target.evaluate("target => target === document.activeElement"):
            await expect(target).to_be_in_viewport()
            return
    raise AssertionError(f"not reached in {MOST_STEPS} steps: {target}")


async def test_a_whole_journey_by_keys(visits: Visits) -> None:
    async with visits.opened(said("One"), said("Two")) as visit:
        keys, sidebar, settings = visit.page.keyboard, Sidebar(visit), Settings(visit)
        await walk_to(visit, visit.message)
        await keys.type("First")
        await keys.press("Enter")
        await visit.answered()

        await walk_to(visit, visit.button("Settings"), "Shift+Tab")
        await keys.press("Enter")
        await walk_to(visit, settings.text("Temperature"))
        await keys.type("0.3")
        await keys.press("Escape")
        await expect(visit.button("Settings")).to_be_focused()

        await walk_to(visit, visit.message)
        await keys.type("Second")
        await keys.press("Enter")
        await visit.running.script.request_count(2)
        await visit.answered()
        assert visit.running.script.requests[1].body["temperature"] == 0.3
        assert contents(await stored(visit)) == ["First", "One", "Second", "Two"]

        await walk_to(
            visit, sidebar.root.get_by_role("button", name="Actions for First"), "Shift+Tab"
        )
        await keys.press("Enter")
        await keys.press("Enter")
        await keys.type("Renamed")
        await keys.press("Enter")
        await expect(sidebar.link("Renamed")).to_be_focused()

        inspector = Inspector(visit)
        await walk_to(visit, inspector.transport("WebSocket"))
        await keys.press("ArrowRight")
        await expect(inspector.transport("SSE")).to_be_checked()
        await walk_to(visit, inspector.root.get_by_role("listbox", name="Events"))
        await keys.press("Home")
        await expect(inspector.root.get_by_label("Chosen event")).to_contain_text("started")

        await walk_to(
            visit, sidebar.root.get_by_role("button", name="Actions for Renamed"), "Shift+Tab"
        )
        await keys.press("ArrowUp")
        await keys.press("Enter")
        await keys.press("Tab")
        await keys.press("Enter")
        await expect(sidebar.links).to_have_count(0)


async def test_a_first_link_leads_past_the_list(visits: Visits) -> None:
    async with visits.opened() as visit:
        skip = visit.page.get_by_role("link", name="Skip to the message box")
        first = await visit.page.evaluate("document.querySelector('a, button, input').className")
        assert first == "skip"
        await walk_to(visit, skip, "Shift+Tab")

        await visit.page.keyboard.press("Enter")

        await expect(visit.message).to_be_focused()


async def test_focus_stays_in_a_dialog_and_comes_back(visits: Visits) -> None:
    async with visits.opened() as visit:
        settings = Settings(visit)
        await settings.open()
        for _ in range(MOST_STEPS):
            await visit.page.keyboard.press("Tab")
            inside = await visit.page.evaluate(
                "document.activeElement === document.body"
                " || document.activeElement.closest('dialog') !== null"
            )
            assert inside

        await visit.page.keyboard.press("Escape")

        await expect(visit.button("Settings")).to_be_focused()


async def test_what_is_wrong_is_reached_first(visits: Visits) -> None:
    async with visits.opened() as visit:
        visit.watch.expect("status of 422")
        settings = Settings(visit)
        await settings.open()
        await settings.text("Seed").fill("1.5")
        await settings.done()

        await visit.message.focus()
        await visit.page.keyboard.type("Hello")
        await visit.page.keyboard.press("Enter")

        await expect(settings.text("Seed")).to_be_focused()
        await expect(settings.text("Seed")).to_be_in_viewport()


async def test_escape_closes_one_thing_at_a_time(visits: Visits) -> None:
    async with visits.opened(size=(375, 740)) as visit:
        sidebar, keys = Sidebar(visit), visit.page.keyboard
        await conversation_about(visit.running, "Tides")
        await visit.page.reload()
        await visit.button("Show conversations").click()
        actions = sidebar.root.get_by_role("button", name="Actions for Tides")
        await actions.click()

        await keys.press("Escape")
        await expect(actions).to_be_focused()
        await keys.press("Enter")
        await keys.press("Enter")
        await keys.press("Escape")
        await expect(sidebar.link("Tides")).to_be_focused()
        await keys.press("Escape")

        await expect(sidebar.link("Tides")).to_be_hidden()
        await expect(visit.button("Show conversations")).to_be_focused()


@pytest.mark.parametrize("name", ["Message", "Edited question"])
async def test_keys_of_a_composition_neither_send_nor_give_up(visits: Visits, name: str) -> None:
    async with visits.opened(said("One"), said("Two")) as visit:
        await visit.ask("First")
        await visit.answered()
        if name == "Edited question":
            await visit.button("Edit").click()
        area = visit.page.get_by_role("textbox", name=name, exact=True)
        await area.fill("にほんご")

        await area.evaluate(COMPOSE)
        await expect(area).to_have_value("にほんご")
        await expect(visit.button("Stop")).to_be_hidden()
        await area.press("Shift+Enter")
        await expect(area).to_have_value("にほんご\n")
        await area.press("Enter")

        await expect(visit.last_answer).to_have_text("Two")
        assert len(visit.running.script.requests) == 2
