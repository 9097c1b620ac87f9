"""Is the picture in the README still what the playground looks like?

Pixels differ with the fonts of a machine. So the picture carries what it was made of: what the page
holds, as a screen reader is told, and how its parts are styled; figures and ids are left out. That
must be the same today. `make screenshot` makes the picture anew.
"""

import asyncio
import os
import re
from pathlib import Path

import pytest
from playground.panels import Inspector, Sidebar
from playground.pictures import text_in, with_text
from playground.visiting import Visit, Visits
from playwright.async_api import expect
from web.outside import conversation_about

from printed import README
from service.simulator import DONE, Gate, Pause, Raw, chunk
from service.simulator.wire import usage_data

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PICTURE = Path(__file__).parents[2] / "docs/playground.png"
ASKED_FOR = "SCREENSHOT" in os.environ
TITLES = (
    "A polite reminder for an invoice",
    "Names for a sailing boat",
    "Why is the sky blue?",
    "Backpressure in two paragraphs",
    "A week in Lisbon with children",
    "Regex for ISO 8601 dates",
    "What changed in HTTP/3",
)
QUESTION = "How do I repeat a request without paying twice?"
REASONING = "A repetition is safe when the service can tell that it is one. "
ANSWER = """Send a **key** along, the same one with every attempt:

```python
async def ask(http: ClientSession, question: dict) -> dict:
    headers = {"Idempotency-Key": str(uuid4())}
    async for attempt in retrying(stop=after(5)):
        with attempt:
            return await post(http, question, headers)
```

| key | body | becomes |
| --- | --- | --- |
| the same | the same | the run that is there already |
| the same | another | refused: `409` |

A **new key** starts a new run, and costs anew.
"""
LAST = "A **new key**"
EVENT = re.compile(" *- '?option ")
PARTS = (
    "body",
    "#conversations",
    ".conversation a[aria-current]",
    "#title",
    ".bubble",
    ".answer .markdown",
    ".answer pre",
    ".answer th",
    "#composer",
    "#inspector",
    ".segments input:checked + span",
    ".headlines > div",
    ".event-note",
)
STYLES = """(parts) => parts.map((part) => {
  const style = getComputedStyle(document.querySelector(part));
  const names = ["color", "backgroundColor", "borderColor", "borderRadius", "fontSize"];
  return `${part}: ${names.map((name) => style[name]).join(", ")}`;
}).join("\\n")"""


async def shown(visit: Visit) -> str:
    """What is on the page, without figures and ids."""
    whole = await visit.page.locator("body").aria_snapshot()
    lines = re.sub(r"[0-9a-f]{8,}[-0-9a-f]*|[0-9][0-9.,]*", "N", whole).splitlines()
    # How many events there are, and how many are in sight, is up to the machine.
    kept = [line for line in lines if not EVENT.match(line) or "connection cut" in line]
    return "\n".join([*kept, await visit.page.evaluate(STYLES, list(PARTS))])


async def staged(visit: Visit, gate: Gate) -> None:
    """Several conversations, and an answer that was cut and resumed."""
    for title in TITLES:
        await conversation_about(visit.running, title)
    await visit.page.reload()
    visit.running.script.next(paced(gate))
    await visit.ask(QUESTION)
    await expect(visit.last_answer).to_contain_text("409")
    await Inspector(visit).cut()
    await expect(Inspector(visit).root.get_by_text("connection cut after")).to_be_visible()
    gate.event.set()
    await visit.answered()
    await expect(Sidebar(visit).links).to_have_count(len(TITLES) + 1)
    await expect(Inspector(visit).events.get_by_text("resumed after seq")).to_be_visible()
    await expect(visit.page.locator("#announcer")).to_have_text("Answer finished")
    await visit.page.mouse.move(640, 400)


def paced(gate: Gate) -> Raw:
    """The answer word by word, as a model says it."""
    before, _, after = ANSWER.partition(LAST)
    usage = usage_data(prompt_tokens=97, completion_tokens=214, reasoning_tokens=13)
    return Raw(
        [
            Pause(0.18),
            *(chunk({"reasoning": word}) for word in words(REASONING)),
            *(
                piece
                for word in words(before)
                for piece in (chunk({"content": word}), Pause(0.004))
            ),
            gate,
            *(chunk({"content": word}) for word in words(LAST + after)),
            chunk({}, "stop", usage=usage),
            DONE,
        ]
    )


def words(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+", text)


async def test_the_picture_shows_what_the_playground_looks_like(visits: Visits) -> None:
    async with visits.opened() as visit:
        await staged(visit, Gate(asyncio.Event()))
        today = await shown(visit)
        if ASKED_FOR:
            PICTURE.write_bytes(
                with_text(await visit.page.screenshot(animations="disabled"), today)
            )

        pictured = text_in(PICTURE.read_bytes())

        assert pictured == today, "docs/playground.png is out of date: make screenshot"


async def test_the_readme_shows_the_picture() -> None:
    assert "](docs/playground.png)" in README
