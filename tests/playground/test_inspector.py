"""Does the inspector show what happens, and can what happens be changed in mid-answer?"""

import hashlib
import re

import pytest
from playground.panels import Inspector, stored
from playground.visiting import PATIENCE_MS, Visit, Visits
from playwright.async_api import expect
from web.outside import Held, events_of, said

from service.simulator import DONE, Raw, Text, chunk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FIRST = "".join(f"Line {number}: äöü € 😀\n\n" for number in range(60))
REST = "".join(f"Row {number}: <b>&amp;</b>\n\n" for number in range(60))
MANY = 3000
MOST_ROWS = 60
"""On the page at once, however many events there are."""


def digest(text: str) -> str:
    """As in the last event."""
    return hashlib.sha256(text.encode()).hexdigest()


async def reached(visit: Visit, held: Held) -> None:
    """Wait until the first half is on the page."""
    await expect(visit.last_answer).to_contain_text("Line 59", timeout=PATIENCE_MS)
    assert not held.gate.is_set()


async def check_whole(visit: Visit, text: str) -> None:
    """The page, its proof and the store hold this very answer, and Groq was asked once."""
    await visit.answered()
    figures = await Inspector(visit).figures()
    assert figures["SHA-256"] == digest(text)
    assert figures["Status"] == "finished"
    assert await visit.copied() == text
    assert [it["content"] for it in (await stored(visit))["messages"]][-1] == text
    assert len(visit.running.script.requests) == 1


@pytest.mark.parametrize(("before", "after"), [("WebSocket", "SSE"), ("SSE", "WebSocket")])
async def test_the_transport_is_switched_in_mid_answer(
    visits: Visits, before: str, after: str
) -> None:
    held = Held(FIRST, REST)
    async with visits.opened(held.answer) as visit:
        inspector = Inspector(visit)
        await inspector.transport(before).check()
        await visit.ask("Hello")
        await reached(visit, held)

        await inspector.transport(after).check()
        await expect(inspector.root.get_by_role("status")).to_have_text(f"Connected by {after}")
        held.let_go()

        await check_whole(visit, FIRST + REST)
        await expect(inspector.root.get_by_text(f"moved to {after} after seq")).to_be_visible()


@pytest.mark.parametrize("transport", ["WebSocket", "SSE"])
async def test_a_cut_connection_resumes_where_it_was(visits: Visits, transport: str) -> None:
    held = Held(FIRST, REST)
    async with visits.opened(held.answer) as visit:
        inspector = Inspector(visit)
        await inspector.transport(transport).check()
        await visit.ask("Hello")
        await reached(visit, held)
        last_seq = (await inspector.figures())["Last seq"]

        await inspector.cut()
        held.let_go()

        await check_whole(visit, FIRST + REST)
        await expect(
            inspector.events.get_by_text(f"connection cut — resumed after seq {last_seq}")
        ).to_be_visible()


async def test_a_lost_network_is_shown_and_need_not_be_waited_for(visits: Visits) -> None:
    held = Held(FIRST, REST)
    async with visits.opened(held.answer) as visit:
        visit.watch.expect("ERR_INTERNET_DISCONNECTED")
        inspector = Inspector(visit)
        await visit.ask("Hello")
        await reached(visit, held)

        await visit.page.context.set_offline(True)
        await inspector.cut()
        await expect(inspector.root.get_by_text("Connection lost")).to_be_visible()
        await expect(inspector.root.locator(".countdown")).to_contain_text(
            re.compile("attempt [3-9]")
        )
        await visit.page.context.set_offline(False)
        held.let_go()

        await check_whole(visit, FIRST + REST)


async def test_who_reconnects_by_key_keeps_the_focus_in_the_panel(visits: Visits) -> None:
    held = Held(FIRST, REST)
    async with visits.opened(held.answer) as visit:
        visit.watch.expect("ERR_INTERNET_DISCONNECTED")
        root = Inspector(visit).root
        await visit.ask("Hello")
        await reached(visit, held)
        await visit.page.context.set_offline(True)
        await Inspector(visit).cut()
        await root.get_by_role("button", name="Reconnect now").focus()

        await visit.page.context.set_offline(False)
        held.let_go()

        await visit.answered()
        await expect(root.get_by_role("button", name="Cut connection")).to_be_focused()


async def test_the_figures_are_those_of_the_last_event(visits: Visits) -> None:
    answer = Text("Half a second of tides. " * 20, reasoning="Moon.", tokens_per_second=400)
    async with visits.opened(answer) as visit:
        inspector = Inspector(visit)

        await visit.ask("Hello")
        await visit.answered()

        figures = await inspector.figures()
        last = (await events_of(visit.running, figures["Run id"]))[-1]
        event = last.data
        usage, timing = event["usage"], event["timing"]
        assert isinstance(usage, dict)
        assert isinstance(timing, dict)
        spent = timing["total_time"] - timing["time_to_first_token"]
        assert float(figures.pop("Tokens per second")) == pytest.approx(
            usage["completion_tokens"] / spent
        )
        assert figures == {
            "Time to first token": str(timing["time_to_first_token"]),
            "Cost": figures["Cost"],
            "Status": "finished",
            "Last seq": str(last.seq),
            "Finish reason": "stop",
            "Total time": str(timing["total_time"]),
            "Prompt tokens": str(usage["prompt_tokens"]),
            "Cached tokens": str(usage["cached_tokens"]),
            "Answer tokens": str(usage["completion_tokens"]),
            "Reasoning tokens": str(usage["reasoning_tokens"]),
            "Total tokens": str(usage["total_tokens"]),
            "Bytes of text": str(event["content_length"]),
            "Run id": figures["Run id"],
            "SHA-256": event["content_sha256"],
        }
        assert isinstance(event["cost"], float)
        assert float(figures["Cost"]) == event["cost"] > 0


async def test_a_cost_that_is_not_known_is_said_to_be_unknown(visits: Visits) -> None:
    answer = Raw([chunk({"content": "Hello"}), chunk({}, "stop"), DONE])
    async with visits.opened(answer) as visit:
        await visit.ask("Hello")
        await visit.answered()

        await expect(Inspector(visit).root.locator(".headlines")).to_contain_text("unknown")


async def test_figures_are_marked_as_estimates_while_the_answer_comes(visits: Visits) -> None:
    held = Held(FIRST, REST)
    async with visits.opened(held.answer) as visit:
        headlines = Inspector(visit).root.locator(".headlines")
        await visit.ask("Hello")
        await reached(visit, held)
        await expect(headlines).to_contain_text("≈")

        held.let_go()
        await visit.answered()

        await expect(headlines).not_to_contain_text("≈")


async def test_thousands_of_events_cost_little(visits: Visits) -> None:
    pieces = [chunk({"content": f"{number} "}) for number in range(MANY)]
    answer = Raw([*pieces, chunk({}, "stop"), DONE])
    async with visits.opened(answer) as visit:
        inspector = Inspector(visit)

        await visit.ask("Hello")
        await visit.answered()

        seqs = int((await inspector.figures())["Last seq"])
        assert await inspector.root.locator(".event-row").count() < MOST_ROWS
        await expect(inspector.events.get_by_text("finished")).to_be_visible()
        await inspector.root.get_by_role("listbox", name="Events").press("Home")
        await expect(inspector.events.get_by_text("started")).to_be_visible()
        await inspector.root.get_by_role("listbox", name="Events").press("End")
        await expect(inspector.root.get_by_label("Chosen event")).to_contain_text(f'"seq": {seqs}')


async def test_an_event_is_shown_whole(visits: Visits) -> None:
    async with visits.opened(said("Hel", "lo")) as visit:
        inspector = Inspector(visit)
        await visit.ask("Hello")
        await visit.answered()
        events = inspector.root.get_by_role("listbox", name="Events")

        await events.press("Home")

        chosen = inspector.root.get_by_role("region", name="Chosen event")
        await expect(chosen).to_contain_text('"type": "started"')
        await expect(inspector.events.first).to_have_attribute("aria-selected", "true")
        assert await events.get_attribute("aria-activedescendant") == "event-0"
