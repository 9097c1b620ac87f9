"""Are conversations found, named, taken along and removed from the list beside the chat?"""

import re
from pathlib import Path

import pytest
from playground.panels import Sidebar
from playground.visiting import Visit, Visits
from playwright.async_api import expect
from web.outside import Held, contents, conversation_about, listed, said, shown

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

HEADINGS = """async () => {
  const { headingOf } = await import("/static/playground/days.js");
  const now = new Date(2026, 2, 30, 0, 30);  // the day after summer time began in Europe
  const times = [[30, 1], [30, 0], [29, 23], [29, 0], [28, 23], [23, 0], [22, 23], [-90, 12]];
  return times.map(([day, hour]) => headingOf(new Date(2026, 2, day, hour).toISOString(), now));
}"""


async def seeded(visit: Visit, *questions: str) -> Sidebar:
    """Conversations that began with these questions, as the page shows them after a reload."""
    for question in questions:
        await conversation_about(visit.running, question)
    await visit.page.reload()
    sidebar = Sidebar(visit)
    await expect(sidebar.link(questions[-1])).to_be_visible()
    return sidebar


async def test_an_empty_list_says_so(visits: Visits) -> None:
    async with visits.opened() as visit:
        await expect(Sidebar(visit).root).to_contain_text("No conversations yet.")


async def test_the_latest_comes_first(visits: Visits) -> None:
    async with visits.opened() as visit:
        sidebar = await seeded(visit, "Tides", "Bread")

        await expect(sidebar.links).to_have_text(["Bread", "Tides"])
        await expect(sidebar.root.get_by_role("heading", name="Today")).to_be_visible()


async def test_conversations_are_grouped_by_day(visits: Visits) -> None:
    async with visits.opened() as visit:
        headings = await visit.page.evaluate(HEADINGS)

        assert headings == [
            "Today",
            "Today",
            "Yesterday",
            "Yesterday",
            "Previous 7 days",
            "Previous 7 days",
            "March 2026",
            "November 2025",
        ]


async def test_words_find_conversations(visits: Visits) -> None:
    async with visits.opened() as visit:
        sidebar = await seeded(visit, "Tides of the sea", "How to bake bread")

        await sidebar.search.fill("bake")
        await expect(sidebar.links).to_have_text(["How to bake bread"])
        await expect(sidebar.root.get_by_role("status")).to_have_text("1 conversation found")
        await sidebar.search.fill("quarks")
        await expect(sidebar.root).to_contain_text("No conversation holds “quarks”.")
        await sidebar.search.fill("")
        await expect(sidebar.links).to_have_count(2)


async def test_a_conversation_is_opened_and_marked(visits: Visits) -> None:
    async with visits.opened() as visit:
        sidebar = await seeded(visit, "Tides", "Bread")

        await sidebar.link("Tides").click()

        await expect(sidebar.link("Tides")).to_have_attribute("aria-current", "page")
        await expect(sidebar.link("Bread")).not_to_have_attribute("aria-current", "page")
        await expect(visit.last_answer).to_have_text("Yes")


async def test_a_conversation_is_renamed(visits: Visits) -> None:
    async with visits.opened() as visit:
        sidebar = await seeded(visit, "Tides")
        await sidebar.choose("Tides", "Rename")
        field = sidebar.root.get_by_role("textbox", name="New title of Tides")
        await expect(field).to_be_focused()

        await field.fill("Ebb & <b>flow</b>")
        await field.press("Enter")

        await expect(sidebar.link("Ebb & <b>flow</b>")).to_be_focused()
        assert [it["title"] for it in (await listed(visit.running))["items"]] == [
            "Ebb & <b>flow</b>"
        ]


async def test_escape_leaves_the_title(visits: Visits) -> None:
    async with visits.opened() as visit:
        sidebar = await seeded(visit, "Tides")
        await sidebar.choose("Tides", "Rename")

        await sidebar.root.get_by_role("textbox").fill("Other")
        await sidebar.root.get_by_role("textbox").press("Escape")

        await expect(sidebar.link("Tides")).to_be_focused()
        assert (await listed(visit.running))["items"][0]["title"] == "Tides"


async def test_a_title_that_the_service_refuses_stays_in_its_field(visits: Visits) -> None:
    async with visits.opened() as visit:
        visit.watch.expect("status of 422")
        sidebar = await seeded(visit, "Tides")
        await sidebar.choose("Tides", "Rename")
        field = sidebar.root.get_by_role("textbox", name="New title of Tides")

        await field.fill("x" * 201)
        await field.press("Enter")

        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(sidebar.root.locator(".field-fault")).to_contain_text("200")
        await expect(field).to_have_value("x" * 201)


async def test_a_conversation_is_deleted_once_that_is_confirmed(visits: Visits) -> None:
    async with visits.opened() as visit:
        sidebar = await seeded(visit, "Tides", "Bread")
        await sidebar.choose("Tides", "Delete")
        dialog = visit.page.get_by_role("dialog", name="Delete “Tides”?")
        await expect(dialog).to_contain_text("this cannot be undone")
        await expect(dialog).to_contain_text("An answer that is still being written is cancelled.")
        await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
        await dialog.get_by_role("button", name="Cancel").click()
        await expect(sidebar.links).to_have_count(2)

        await sidebar.choose("Tides", "Delete")
        await dialog.get_by_role("button", name="Delete").click()

        await expect(sidebar.links).to_have_text(["Bread"])
        await expect(sidebar.link("Bread")).to_be_focused()
        assert [it["title"] for it in (await listed(visit.running))["items"]] == ["Bread"]


async def test_deleting_the_open_conversation_ends_its_answer(visits: Visits) -> None:
    held = Held()
    async with visits.opened(held.answer) as visit:
        visit.watch.expect("status of 404")  # the page may look for it when the run ends
        sidebar = Sidebar(visit)
        await visit.ask("Tides")
        await expect(visit.last_answer).to_have_text("Hel")
        await expect(sidebar.link("Tides (answer being written)")).to_be_visible()

        await sidebar.root.get_by_role("button", name="Actions for Tides").click()
        await visit.page.get_by_role("menuitem", name="Delete").click()
        await visit.page.get_by_role("dialog").get_by_role("button", name="Delete").click()

        await visit.running.script.disconnected(0)
        await expect(sidebar.links).to_have_count(0)
        await expect(visit.answers).to_have_count(0)
        await expect(visit.message).to_be_editable()


@pytest.mark.parametrize(
    ("action", "form", "suffix"),
    [("Export as Markdown", "markdown", ".md"), ("Export as JSON", "json", ".json")],
)
async def test_a_conversation_is_taken_along(
    visits: Visits, tmp_path: Path, action: str, form: str, suffix: str
) -> None:
    async with visits.opened() as visit:
        sidebar = await seeded(visit, "Tides")
        conversation_id = (await listed(visit.running))["items"][0]["conversation_id"]
        exported = await visit.running.client.get(
            f"/api/conversations/{conversation_id}/export?format={form}"
        )

        async with visit.page.expect_download() as coming:
            await sidebar.choose("Tides", action)
        download = await coming.value
        await download.save_as(tmp_path / "taken")

        assert download.suggested_filename.endswith(suffix)
        assert (tmp_path / "taken").read_bytes() == await exported.read()


async def test_a_long_list_is_read_page_by_page(visits: Visits) -> None:
    async with visits.opened() as visit:
        titles = [f"Question {number}" for number in range(70)]
        sidebar = await seeded(visit, *titles)
        await expect(sidebar.links).to_have_count(30)

        await sidebar.links.last.scroll_into_view_if_needed()
        await expect(sidebar.links).to_have_count(60)
        await sidebar.links.last.scroll_into_view_if_needed()

        await expect(sidebar.links).to_have_text(titles[::-1])
        await expect(sidebar.root.get_by_role("button", name="More")).to_be_hidden()


async def test_a_change_elsewhere_moves_neither_focus_nor_place(visits: Visits) -> None:
    async with visits.opened() as visit:
        sidebar = await seeded(visit, *(f"Question {number}" for number in range(30)))
        await sidebar.link("Question 3").focus()
        place = "document.activeElement.getBoundingClientRect().top"
        before = await visit.page.evaluate(place)

        visit.running.script.next(said("Yes"))
        other = await visit.another_tab()
        await other.ask("Asked in another tab")
        await expect(sidebar.link("Asked in another tab")).to_be_attached()

        await expect(sidebar.link("Question 3")).to_be_focused()
        assert abs(await visit.page.evaluate(place) - before) < 1


async def test_a_list_that_cannot_be_read_says_so_and_is_tried_again(visits: Visits) -> None:
    async with visits.opened() as visit:
        visit.watch.expect("ERR_FAILED")
        sidebar = await seeded(visit, "Tides")
        lost = re.compile("/api/conversations[?]")
        await visit.page.route(lost, lambda route: route.abort())

        await sidebar.search.fill("tides")

        await expect(sidebar.root.get_by_role("alert")).to_contain_text(
            "The conversations could not be read"
        )
        await visit.page.unroute(lost)
        await sidebar.root.get_by_role("button", name="Try again").click()
        await expect(sidebar.root.get_by_role("alert")).to_be_hidden()
        await expect(sidebar.link("Tides")).to_be_visible()


async def test_the_menu_is_used_by_keys(visits: Visits) -> None:
    async with visits.opened() as visit:
        sidebar = await seeded(visit, "Tides")
        keys = visit.page.keyboard
        await sidebar.link("Tides").focus()
        await keys.press("Tab")
        button = sidebar.root.get_by_role("button", name="Actions for Tides")
        await expect(button).to_be_focused()
        items = visit.page.get_by_role("menuitem")

        await keys.press("Enter")
        await expect(items.first).to_be_focused()
        await expect(button).to_have_attribute("aria-expanded", "true")
        await keys.press("ArrowUp")
        await expect(items.last).to_be_focused()
        await keys.press("ArrowDown")
        await expect(items.first).to_be_focused()
        await keys.press("e")
        await expect(visit.page.get_by_role("menuitem", name="Export as Markdown")).to_be_focused()
        await keys.press("End")
        await expect(items.last).to_be_focused()
        await keys.press("Escape")

        await expect(button).to_be_focused()
        await expect(button).to_have_attribute("aria-expanded", "false")


async def test_a_new_chat_leaves_the_old_one_as_it_is(visits: Visits) -> None:
    async with visits.opened(said("One"), said("Two")) as visit:
        sidebar = Sidebar(visit)
        await visit.ask("First")
        await visit.answered()

        await sidebar.root.get_by_role("button", name="New chat").click()
        await visit.ask("Second")
        await visit.answered()

        items = (await listed(visit.running))["items"]
        talks = [contents(await shown(visit.running, it["conversation_id"])) for it in items]
        assert talks == [["Second", "Two"], ["First", "One"]]
