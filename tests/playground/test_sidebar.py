"""Are conversations found, named, taken along and removed from the list beside the chat?"""

import asyncio
import re
from pathlib import Path

import pytest
from playground.panels import LIST, NO_LOOKS, Sidebar
from playground.visiting import Visit, Visits
from playwright.async_api import Route, expect
from web.outside import Held, chat, contents, conversation_about, listed, said, shown

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

HEADINGS = """async () => {
  const { headingOf } = await import("/static/playground/days.js");
  const now = new Date(2026, 2, 30, 0, 30);  // the day after summer time began in Europe
  const times = [[30, 1], [30, 0], [29, 23], [29, 0], [28, 23], [23, 0], [22, 23], [-90, 12]];
  return times.map(([day, hour]) => headingOf(new Date(2026, 2, day, hour).toISOString(), now));
}"""

COUNTING = """() => {
  globalThis.changes = 0;
  const count = () => { globalThis.changes += 1; };
  const alert = document.querySelector("#conversations .failure:not([hidden])");
  new MutationObserver(count).observe(alert, { subtree: true, childList: true, attributes: true });
}"""
OLDER = "delete Element.prototype.moveBefore;"


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


async def titles(visit: Visit) -> list[str]:
    """Those that the service keeps, latest first."""
    return [it["title"] for it in (await listed(visit.running))["items"]]


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

        field = await sidebar.rename("Tides", "Ebb & <b>flow</b>")
        await field.press("Enter")

        await expect(sidebar.link("Ebb & <b>flow</b>")).to_be_focused()
        assert await titles(visit) == ["Ebb & <b>flow</b>"]


async def test_the_new_title_stands_wherever_the_old_one_did(visits: Visits) -> None:
    async with visits.opened(init_script=NO_LOOKS) as visit:
        sidebar = await seeded(visit, "Tides")
        await sidebar.link("Tides").click()
        other = await visit.another_tab()

        field = await sidebar.rename("Tides", "Waves")
        await field.press("Enter")

        for tab in (visit, other):
            await expect(Sidebar(tab).link("Waves")).to_be_visible()
            await expect(tab.page.get_by_role("heading", name="Waves")).to_be_visible()
            await expect(tab.page).to_have_title("Waves – AI Library")


async def test_going_elsewhere_saves_the_title(visits: Visits) -> None:
    async with visits.opened() as visit:
        sidebar = await seeded(visit, "Tides")

        await sidebar.rename("Tides", "Waves")
        await visit.message.click()

        await expect(sidebar.link("Waves")).to_be_visible()
        await expect(visit.message).to_be_focused()
        assert await titles(visit) == ["Waves"]


async def test_escape_leaves_the_title(visits: Visits) -> None:
    async with visits.opened() as visit:
        sidebar = await seeded(visit, "Tides")

        field = await sidebar.rename("Tides", "Other")
        await field.press("Escape")

        await expect(sidebar.link("Tides")).to_be_focused()
        assert await titles(visit) == ["Tides"]


@pytest.mark.parametrize(
    ("title", "fault"),
    [("", "1 to 200"), ("x" * 201, "1 to 200"), ("Waves", "cannot be reached")],
    ids=["empty", "too long", "lost"],
)
async def test_a_title_that_is_refused_stays_in_its_field_until_one_goes_elsewhere(
    visits: Visits, title: str, fault: str
) -> None:
    async with visits.opened() as visit:
        visit.watch.expect("status of 422", "ERR_FAILED")
        sidebar = await seeded(visit, "Tides")
        if title == "Waves":
            await visit.page.route("**/api/conversations/*", lambda route: route.abort())

        field = await sidebar.rename("Tides", title)
        await field.press("Enter")

        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(sidebar.root.get_by_role("alert")).to_contain_text(fault)
        await expect(field).to_have_accessible_description(re.compile(fault))
        await expect(field).to_be_focused()
        await expect(field).to_have_value(title)
        await visit.message.click()
        await expect(field).to_be_hidden()
        await expect(visit.message).to_be_focused()
        await expect(sidebar.link("Tides")).to_be_visible()
        assert await titles(visit) == ["Tides"]


@pytest.mark.parametrize("init_script", ["", OLDER], ids=["newer", "older"])
async def test_a_change_elsewhere_neither_ends_nor_saves_a_title(
    visits: Visits, init_script: str
) -> None:
    async with visits.opened(said("Still the moon"), init_script=init_script) as visit:
        sidebar = await seeded(visit, "Tides", "Bread")
        field = await sidebar.rename("Tides", "Wav")
        tides = (await listed(visit.running))["items"][1]["conversation_id"]
        await chat(visit.running, user_prompt="And now?", conversation_id=tides)

        await sidebar.read_anew()

        await expect(sidebar.root.get_by_role("listitem").last).to_contain_text("Bread")
        await expect(field).to_be_focused()
        await expect(field).to_have_value("Wav")
        assert sorted(await titles(visit)) == ["Bread", "Tides"]
        await visit.page.keyboard.type("es")
        await visit.page.keyboard.press("Enter")
        await expect(sidebar.link("Waves")).to_be_focused()


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
        assert await titles(visit) == ["Bread"]


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
        questions = [f"Question {number}" for number in range(70)]
        sidebar = await seeded(visit, *questions)
        await expect(sidebar.links).to_have_count(30)

        await sidebar.links.last.scroll_into_view_if_needed()
        await expect(sidebar.links).to_have_count(60)
        await sidebar.links.last.scroll_into_view_if_needed()

        await expect(sidebar.links).to_have_text(questions[::-1])
        await expect(sidebar.root.get_by_role("button", name="More")).to_be_hidden()


async def test_by_key_one_goes_on_with_the_next_page(visits: Visits) -> None:
    async with visits.opened() as visit:
        sidebar = await seeded(visit, *(f"Question {number}" for number in range(35)))
        may_come = asyncio.Event()

        async def late(route: Route) -> None:
            await may_come.wait()
            await route.continue_()

        await visit.page.route(LIST, late)
        more = sidebar.root.get_by_role("button", name="More")
        await sidebar.link("Question 5").focus()
        await visit.page.keyboard.press("Tab")
        await visit.page.keyboard.press("Tab")
        await expect(more).to_be_focused()

        may_come.set()

        await expect(sidebar.link("Question 4")).to_be_focused()
        await expect(more).to_be_hidden()


async def test_escape_takes_the_words_away_before_the_list(visits: Visits) -> None:
    async with visits.opened(size=(375, 740)) as visit:
        sidebar = Sidebar(visit)
        await conversation_about(visit.running, "Tides")
        await visit.page.reload()
        await visit.button("Show conversations").click()
        await sidebar.search.fill("quarks")
        await expect(sidebar.links).to_have_count(0)

        await sidebar.search.press("Escape")
        await expect(sidebar.search).to_have_value("")
        await expect(sidebar.links).to_have_count(1)
        await sidebar.search.press("Escape")

        await expect(sidebar.search).to_be_hidden()


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


async def test_a_list_that_cannot_be_read_says_so_once_and_is_tried_again(visits: Visits) -> None:
    async with visits.opened() as visit:
        visit.watch.expect("ERR_FAILED")
        sidebar = await seeded(visit, "Tides")
        await visit.page.route(LIST, lambda route: route.abort())
        alert = sidebar.root.get_by_role("alert")
        again = alert.get_by_role("button", name="Try again")

        await sidebar.search.fill("tides")
        await expect(alert).to_contain_text("The conversations could not be read")
        await again.focus()
        await visit.page.evaluate(COUNTING)
        for _ in range(2):
            async with visit.page.expect_event("requestfailed"):
                await sidebar.read_anew()
        await visit.page.evaluate("new Promise(requestAnimationFrame)")

        await expect(again).to_be_focused()
        assert await visit.page.evaluate("changes") == 0
        await visit.page.unroute(LIST)
        await again.press("Enter")
        await expect(alert).to_be_hidden()
        await expect(sidebar.link("Tides")).to_be_focused()


async def test_what_was_read_before_a_deletion_does_not_bring_it_back(visits: Visits) -> None:
    async with visits.opened() as visit:
        sidebar = await seeded(visit, "Tides", "Bread")
        deleted = asyncio.Event()

        async def late(route: Route) -> None:
            answer = await route.fetch()
            await deleted.wait()
            await route.fulfill(response=answer)

        await visit.page.route(LIST, late, times=1)
        await sidebar.read_anew()
        async with visit.page.expect_response("**/api/conversations/*"):
            await sidebar.choose("Tides", "Delete")
            await visit.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        async with visit.page.expect_event("requestfinished", lambda it: bool(LIST.search(it.url))):
            deleted.set()

        await expect(sidebar.links).to_have_text(["Bread"])
        await sidebar.search.focus()
        await visit.page.evaluate("new Promise(requestAnimationFrame)")
        assert await sidebar.links.all_text_contents() == ["Bread"]


async def test_what_could_not_be_deleted_is_there_and_can_be_tried_again(visits: Visits) -> None:
    async with visits.opened() as visit:
        visit.watch.expect("ERR_FAILED")
        sidebar = await seeded(visit, "Tides", "Bread")
        await visit.page.route("**/api/conversations/*", lambda route: route.abort())
        await sidebar.choose("Tides", "Delete")
        await visit.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        alert = sidebar.root.get_by_role("alert")
        await expect(alert).to_contain_text("The conversation could not be deleted")
        await expect(sidebar.links).to_have_text(["Bread", "Tides"])

        await sidebar.read_anew()
        await visit.page.unroute("**/api/conversations/*")
        await alert.get_by_role("button", name="Try again").click()

        await expect(sidebar.links).to_have_text(["Bread"])
        await expect(alert).to_be_hidden()


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
