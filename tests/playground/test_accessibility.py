"""Can everybody use the playground? WCAG AA by axe in every state, light, dark, wide, narrow."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest
from playground.panels import Settings, Sidebar
from playground.visiting import Visit, Visits
from playwright.async_api import expect
from web.outside import Held, conversation_about

from credentials import entries
from service.simulator import Text

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

AXE = Path(__file__).parents[1] / "node/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
VIOLATIONS = """async (tags) => {
  const passing = document.getAnimations().filter(
    (animation) => animation.effect.getComputedTiming().iterations !== Infinity);
  await Promise.all(passing.map((animation) => animation.finished.catch(() => {})));
  const { violations } = await axe.run(document, { runOnly: { type: "tag", values: tags } });
  return violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary}`));
}"""
ANSWER = Text(
    "# Tides\n\nThe *moon* pulls, says [a page](https://example.org).\n\n"
    "| when | how high |\n| --- | --- |\n| noon | 3 m |\n\n"
    "```python\ndef tide(hour: int) -> float:\n    return 3.0 * (hour % 12)  # m\n```\n\n"
    "- [x] done\n- `inline`\n\n> Quoted.\n",
    reasoning="First the moon, then the sun.",
)

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES = pytest.mark.parametrize("size", [(1280, 800), (375, 740)], ids=["wide", "narrow"])

State = Callable[[Visit], Awaitable[None]]


async def empty(visit: Visit) -> None:
    """As a newcomer sees it."""
    await expect(visit.message).to_be_visible()


async def streaming(visit: Visit) -> None:
    """In mid-answer."""
    visit.running.script.next(Held("# Half an answer\n\nand `then`", " more").answer)
    await visit.ask("Tides?")
    await expect(visit.last_answer).to_contain_text("and then")


async def finished(visit: Visit) -> None:
    """Code, a table and reasoning, and several conversations."""
    await conversation_about(visit.running, "Bread")
    visit.running.script.next(ANSWER)
    await visit.ask("Tides?")
    await visit.answered()
    await visit.page.get_by_text("Reasoning", exact=False).first.click()


async def faults_shown(visit: Visit) -> None:
    """The settings, with what the service refused."""
    visit.watch.expect("status of 422")
    settings = Settings(visit)
    await settings.open()
    await settings.text("Temperature").fill("3.5")
    await settings.add_stop("")
    await settings.done()
    await visit.ask("Tides?")
    await expect(settings.root.get_by_role("alert")).to_be_visible()


async def menu_open(visit: Visit) -> None:
    """The menu of a conversation."""
    await conversation_about(visit.running, "Bread")
    await visit.page.reload()
    await show_conversations(visit)
    sidebar = Sidebar(visit)
    await sidebar.root.get_by_role("button", name="Actions for Bread").click()
    await expect(visit.page.get_by_role("menuitem").first).to_be_focused()


async def delete_asked(visit: Visit) -> None:
    """The question whether it is meant."""
    await menu_open(visit)
    await visit.page.get_by_role("menuitem", name="Delete").click()
    await expect(visit.page.get_by_role("dialog")).to_be_visible()


async def renaming(visit: Visit) -> None:
    """A title in its field."""
    await menu_open(visit)
    await visit.page.get_by_role("menuitem", name="Rename").click()
    await expect(visit.page.get_by_role("textbox", name="New title of Bread")).to_be_focused()


async def inspected(visit: Visit) -> None:
    """An event that is shown whole."""
    visit.running.script.next(ANSWER)
    await visit.ask("Tides?")
    await visit.answered()
    if await visit.button("Show inspector").is_visible():
        await visit.button("Show inspector").click()
    await visit.page.get_by_role("listbox", name="Events").press("End")
    await expect(visit.page.get_by_label("Chosen event")).to_be_visible()


async def show_conversations(visit: Visit) -> None:
    """In a narrow window they are out of sight."""
    if await visit.button("Show conversations").is_visible():
        await visit.button("Show conversations").click()
    await expect(Sidebar(visit).search).to_be_visible()


async def check(visit: Visit) -> None:
    """Nothing is in anybody's way, neither by day nor by night."""
    for scheme in SCHEMES:
        await visit.page.emulate_media(color_scheme=scheme)
        violations = await visit.page.evaluate(VIOLATIONS, RULES)
        assert violations == [], (scheme, violations)


STATES = [
    empty,
    streaming,
    finished,
    faults_shown,
    menu_open,
    delete_asked,
    renaming,
    inspected,
]


@SIZES
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
async def test_axe_finds_nothing(visits: Visits, state: State, size: tuple[int, int]) -> None:
    async with visits.opened(size=size, init_script=AXE.read_text("utf-8")) as visit:
        await state(visit)

        await check(visit)


@SIZES
async def test_axe_finds_nothing_where_a_key_is_refused(
    visits: Visits, size: tuple[int, int]
) -> None:
    axe = AXE.read_text("utf-8")
    async with visits.opened(size=size, init_script=axe, API_KEYS=entries("ada")) as visit:
        visit.watch.expect("status of 401")
        dialog = visit.page.get_by_role("dialog", name="Sign in")
        await expect(dialog).to_be_visible()
        await check(visit)
        await dialog.get_by_label("API key or token").fill("wrong")
        await dialog.get_by_role("button", name="Sign in").click()
        await expect(dialog.get_by_text("refused this key")).to_be_visible()

        await check(visit)
