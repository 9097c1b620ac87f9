"""How does an answer read, while it is written and after? As it is meant, and where it ends."""

import asyncio

import pytest
from playground.visiting import PATIENCE_MS, Visit, Visits
from playwright.async_api import expect
from web.outside import Held, said

from printed import ANSWER, CONTENT
from service.simulator import Cut, Gate, Pause, Raw, Text, chunk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

NARROW = (375, 740)
WIDE_THINGS = (
    f"{'Donaudampfschiff' * 40} and https://example.com/{'long/' * 60}\n\n"
    f"`{'code' * 100}` ![a picture](https://example.com/{'p' * 300}.png)\n\n"
    f"| {' | '.join('column' for _ in range(12))} |\n| {' | '.join('-' * 3 for _ in range(12))} |\n"
    f"| {' | '.join('word ' * 4 for _ in range(12))} |\n\n"
    f"```\n{'a long line ' * 40}\n```\n\n"
    f"> - {'quoted' * 40}\n"
)
STRUCTURE = (
    "- [x] done\n- [ ] open\n  - nested\n    1. numbered\n\n"
    "It is $E = mc^2$, \\(a_1 + b_1\\), \\[x*y*z\\] and\n\n$$\\sum_{i=1}^n i * 2 * 3$$\n"
)

INTERVALS = """
globalThis.running = new Map();
const [begin, end] = [setInterval, clearInterval];
globalThis.setInterval = (...given) => {
  const id = begin(...given);
  running.set(id, new Error().stack);
  return id;
};
globalThis.clearInterval = (id) => { running.delete(id); end(id); };
globalThis.runningIn = (name) => [...running.values()].filter((it) => it.includes(name)).length;
"""
NOTHING_RUNS = """
(name) => new Promise((done) => {
  const look = () => runningIn(name) ? requestAnimationFrame(look) : done();
  look();
})
"""
WRITES = """
(place) => {
  globalThis.writes = 0;
  new MutationObserver((all) => { writes += all.length; })
    .observe(place, { childList: true, characterData: true, subtree: true });
}
"""
OVERFLOWS = """
() => {
  const within = document.querySelector("#messages").getBoundingClientRect();
  return [...document.querySelectorAll(".markdown *")]
    .filter((it) => !it.parentElement.closest(".wide, pre"))
    .filter((it) => it.getBoundingClientRect().right > within.right + 1)
    .map((it) => it.outerHTML.slice(0, 80));
}
"""


async def test_nothing_is_wider_than_a_narrow_window(visits: Visits) -> None:
    async with visits.opened(said(WIDE_THINGS), size=NARROW) as visit:
        await visit.ask("x" * 300)
        await visit.answered()

        assert await visit.page.evaluate(OVERFLOWS) == []
        assert await visit.page.evaluate("document.documentElement.scrollWidth") == NARROW[0]
        scrolling = await visit.page.evaluate(
            "[...document.querySelectorAll('.markdown :is(.wide, pre)')]"
            ".map((it) => it.scrollWidth > it.clientWidth)"
        )
        assert scrolling == [True, True]
        picture = visit.last_answer.get_by_role("link", name="a picture")
        await expect(picture).to_have_attribute("target", "_blank")
        await expect(picture).to_have_attribute("rel", "noopener noreferrer")


async def test_tasks_are_nested_and_mathematics_is_text(visits: Visits) -> None:
    async with visits.opened(said(STRUCTURE)) as visit:
        await visit.ask("All")
        await visit.answered()

        boxes = visit.last_answer.get_by_role("checkbox")
        await expect(boxes).to_have_count(2)
        await expect(boxes.first).to_be_checked()
        await expect(visit.last_answer.locator("li li li")).to_have_text("numbered")
        for text in ("$E = mc^2$", "\\(a_1 + b_1\\)", "\\[x*y*z\\]", "$$\\sum_{i=1}^n i * 2 * 3$$"):
            await expect(visit.last_answer).to_contain_text(text)
        assert await visit.copied() == STRUCTURE


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Text("Half", tokens_per_second=0, finish_reason="length"), "breaks off here"),
        (Raw([chunk({"content": "Half"}), Pause(0.05), Cut()]), "What had been written is kept"),
        (Held("Half", " more").answer, "You stopped this answer"),
    ],
    ids=["length", "failed", "stopped"],
)
async def test_an_answer_that_is_not_whole_says_why(
    visits: Visits, answer: Text | Raw, words: str
) -> None:
    async with visits.opened(answer) as visit:
        await visit.ask("Go on")
        await expect(visit.last_answer).to_have_text("Half")
        if "stopped" in words:
            await visit.button("Stop").click()
        await visit.answered()

        for _ in range(2):
            await expect(visit.last_answer).to_have_text("Half")
            await expect(visit.page.locator(".outcome")).to_contain_text(words)
            await expect(visit.button("Try again").last).to_be_enabled()
            words = "kept" if "kept" in words else words
            await visit.page.reload()


async def test_what_is_shown_of_versions_is_written_once(visits: Visits) -> None:
    async with visits.opened(*(said(text) for text in ("One", "Two", "Three"))) as visit:
        await visit.ask("First")
        await visit.answered()
        await visit.button("Regenerate").click()
        await expect(visit.last_answer).to_have_text("Two")
        await visit.answered()
        place = visit.page.locator(".answer output").first
        await expect(place).to_have_text("2 / 2")
        await place.evaluate(WRITES)

        await visit.ask("Second")
        await expect(visit.last_answer).to_have_text("Three")
        await visit.answered()

        assert await visit.page.evaluate("writes") == 0


async def test_thoughts_that_are_left_are_not_counted_on(visits: Visits) -> None:
    thinking = Raw([chunk({"reasoning": "Well …"}), Gate(asyncio.Event())])
    async with visits.opened(thinking, init_script=INTERVALS) as visit:
        await visit.ask("Think")
        await expect(visit.page.get_by_text("thinking…")).to_be_visible()
        assert await visit.page.evaluate("runningIn('reasoning-view')") == 1

        await visit.button("New chat").click()

        await visit.page.evaluate(NOTHING_RUNS, "reasoning-view")


async def place_of(visit: Visit) -> object:
    """Where the composer is."""
    return await visit.page.locator("#composer").bounding_box()


async def test_a_lost_connection_is_told_in_a_narrow_window(visits: Visits) -> None:
    async with visits.opened(ANSWER, cuts=(1013, 0, 0, 0), size=NARROW) as visit:
        visit.watch.expect("ERR_", "WebSocket connection to")
        lost = visit.page.get_by_role("main").get_by_role("status")
        await visit.message.fill("Explain quantum computing")
        await expect(lost).to_have_text("")
        before = await place_of(visit)
        focused = await visit.page.evaluate("document.activeElement.id")
        await visit.message.press("Enter")

        await expect(lost).to_have_text("Connection lost – trying again", timeout=PATIENCE_MS)
        await expect(lost.locator("..")).to_contain_text("…")
        assert await place_of(visit) == before
        assert await visit.page.evaluate("document.activeElement.id") == focused

        await visit.answered()
        await expect(lost).to_have_text("")
        assert await visit.copied() == CONTENT
