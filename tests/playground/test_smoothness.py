"""Is the page smooth while an answer streams? 30,000 characters at 500 tokens a second."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playground.visiting import Visit, Visits
from playwright.async_api import Browser, expect

from service.simulator import Text

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]

TOKENS_PER_SECOND = 500
LENGTH = 30_000
LONGEST_GAP_MS = 100
LONGEST_TASK_MS = 100
ATTEMPTS = 3

PARAGRAPH = (
    "A paragraph with **strong words**, some `code`, *more* and [a link](https://example.com). "
    * 40
)
LIST = "".join(f"{n}. item {n} with **strong** words and `code`\n" for n in range(1, 120))
TABLE = "| name | number | words |\n| --- | ---: | --- |\n" + "".join(
    f"| row {n} | {n * n} | some *words* here |\n" for n in range(120)
)
CODE = "```python\n" + "".join(
    f"def step_{n}(count: int) -> str:\n"
    f'    """Say how often."""\n'
    f'    return f"{{count}} times {n}"  # and no more\n\n\n'
    for n in range(75)
)
WHOLE = f"# All at once\n\n{PARAGRAPH}\n\n{LIST}\n{TABLE}\n{CODE}```\n\n"
MIXED = (WHOLE * 3)[:LENGTH]

WATCHING = """
globalThis.seen = { gaps: [], shifts: [] };
let last = null;
const frame = (now) => {
  if (last !== null) seen.gaps.push(now - last);
  last = now;
  requestAnimationFrame(frame);
};
globalThis.watchFrames = () => { requestAnimationFrame(frame); };
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const moved = entry.sources.map(({ node }) => node?.outerHTML?.slice(0, 80) ?? String(node));
    if (entry.sources.every(({ node }) => !node?.parentElement?.closest("#center"))) continue;
    seen.shifts.push([entry.value, entry.hadRecentInput, moved]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""


async def streamed(visit: Visit) -> float:
    """Ask, and wait for the whole answer; how many seconds that took."""
    begun = time.monotonic()
    await visit.page.evaluate("watchFrames()")
    await visit.ask("Everything, fast")
    await expect(visit.button("Stop")).to_be_visible()
    await expect(visit.button("Stop")).to_be_hidden(timeout=60_000)
    return time.monotonic() - begun


def longest_task_ms(trace: bytes) -> float:
    """The most time that the page's main thread needed the processor for, without a break.

    Time in which others had the processor is not in it: a busy machine does not make it longer.
    """
    events = json.loads(trace)["traceEvents"]
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        float(event.get("tdur", 0)) / 1000
        for event in events
        if event["name"].endswith("RunTask") and (event["pid"], event["tid"]) in mains
    ]
    assert len(tasks) > 1000, f"the trace shows only {len(tasks)} tasks"
    return max(tasks)


async def test_no_frame_is_dropped_for_long(
    visits: Visits,
    browser: Browser,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """No task takes 100 ms of the processor, and no frame is late by 100 ms.

    How late frames are depends on who else uses the machine. An idle page beside ours tells: where
    it waits for longer than 100 ms, ours may wait for twice as long. An attempt that fails is
    recorded, and made again; the time of tasks has to be right in each.
    """
    worst, idle = 0.0, 0.0
    for attempt in range(ATTEMPTS):
        answer = Text(MIXED, tokens_per_second=TOKENS_PER_SECOND)
        async with visits.opened(answer, init_script=WATCHING) as visit:
            beside = await browser.new_page()
            await beside.evaluate(f"() => {{ {WATCHING} watchFrames(); }}")
            trace = tmp_path / f"trace-{attempt}.json"
            await browser.start_tracing(page=visit.page, path=trace, categories=["toplevel"])
            await streamed(visit)
            task = longest_task_ms(await browser.stop_tracing())
            worst = await visit.page.evaluate("Math.max(...seen.gaps)")
            idle = await beside.evaluate("Math.max(...seen.gaps)")
            await beside.close()
            text = await visit.copied()

        seen = f"task {task:.0f} ms, gap {worst:.0f} ms, idle page {idle:.0f} ms"
        record_property(f"attempt {attempt}", seen)
        assert text == MIXED
        assert task < LONGEST_TASK_MS
        if worst <= max(LONGEST_GAP_MS, 2 * idle):
            return
    raise AssertionError(f"a frame was late by {worst:.0f} ms, by {idle:.0f} ms in an idle page")


async def test_nothing_jumps_while_an_answer_streams(visits: Visits) -> None:
    answer = Text(MIXED[:12_000], reasoning="Let me see. " * 40, tokens_per_second=1500)
    async with visits.opened(answer, init_script=WATCHING) as visit:
        await streamed(visit)
        shifts = await visit.page.evaluate("seen.shifts.filter(([, hadInput]) => !hadInput)")

    assert shifts == []
