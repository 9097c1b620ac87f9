"""Does the playground hold a conversation? First answer, stop, regenerate, edit, branches."""

import re

import pytest
from playground.visiting import PATIENCE_MS, Visit, Visits
from playwright.async_api import expect
from web.outside import Held, said

from service.simulator import Refusal, Text, error_data

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

MARKDOWN = """Here is **all** of it:

1. one
2. two with `code`

| a | b |
| --- | --- |
| 1 | 2 |

```python
def answer() -> int:
    return 42
```
"""


async def versions(visit: Visit, kind: str, text: str) -> None:
    """Wait until the last message of that kind says which version it is."""
    await expect(
        visit.page.locator(f".{kind}").last.get_by_role("group", name="Versions")
    ).to_have_text(text)


async def test_the_first_answer(visits: Visits) -> None:
    async with visits.opened(
        Text(MARKDOWN, reasoning="Let me see.", tokens_per_second=500)
    ) as visit:
        await expect(
            visit.page.get_by_role("heading", name="What would you like to know?")
        ).to_be_visible()
        await visit.ask("Tell me all")
        await visit.answered()

        answer = visit.last_answer
        await expect(visit.page.locator(".bubble")).to_have_text("Tell me all")
        await expect(answer.locator("strong")).to_have_text("all")
        await expect(answer.locator("ol > li")).to_have_count(2)
        await expect(answer.locator("tbody td")).to_have_text(["1", "2"])
        await expect(answer.locator(".hljs-keyword").first).to_have_text("def")
        await expect(visit.message).to_have_value("")
        await expect(visit.message).to_be_focused()
        await expect(visit.page).to_have_url(re.compile("#c=[0-9a-f-]{36}$"))
        await expect(visit.page).to_have_title("Tell me all – AI Library")
        assert await visit.copied() == MARKDOWN

        reasoning = visit.page.locator("summary").filter(has_text="Reasoning")
        await expect(visit.page.get_by_text("Let me see.")).to_be_hidden()
        await reasoning.click()
        await expect(visit.page.get_by_text("Let me see.")).to_be_visible()


async def test_code_is_copied_as_it_was_written(visits: Visits) -> None:
    async with visits.opened(said(MARKDOWN)) as visit:
        await visit.ask("Code, please")
        await visit.answered()
        await visit.button("Copy code").click()
        await expect(visit.button("Copied")).to_be_visible()

        copied = await visit.page.evaluate("navigator.clipboard.readText()")

    assert copied == "def answer() -> int:\n    return 42"


async def test_stop(visits: Visits) -> None:
    held = Held()
    async with visits.opened(held.answer) as visit:
        await visit.ask("Talk")
        await expect(visit.last_answer).to_have_text(held.first)
        await visit.button("Stop").click()
        await visit.answered()

        await expect(visit.page.get_by_text("You stopped this answer.")).to_be_visible()
        await expect(visit.last_answer).to_have_text(held.first)
        await expect(visit.message).to_be_focused()
        await visit.running.script.disconnected(0)


async def test_regenerate_keeps_both_answers(visits: Visits) -> None:
    async with visits.opened(said("First"), said("Second")) as visit:
        await visit.ask("Say a number")
        await visit.answered()
        await visit.button("Regenerate").click()
        await expect(visit.last_answer).to_have_text("Second")
        await visit.answered()
        await versions(visit, "answer", "2 / 2")

        await visit.button("Previous version").click()
        await expect(visit.last_answer).to_have_text("First")
        await versions(visit, "answer", "1 / 2")
        await expect(visit.button("Next version")).to_be_focused()
        await visit.page.reload()
        await expect(visit.last_answer).to_have_text("First")
        await visit.button("Next version").click()
        await expect(visit.last_answer).to_have_text("Second")


async def test_an_edited_question_is_a_branch(visits: Visits) -> None:
    async with visits.opened(said("Hi"), said("Older"), said("Newer")) as visit:
        await visit.ask("Hello")
        await visit.answered()
        await visit.ask("And then?")
        await expect(visit.last_answer).to_have_text("Older")
        await visit.answered()

        await visit.button("Edit").last.click()
        editor = visit.page.get_by_role("textbox", name="Edited question")
        await expect(editor).to_have_value("And then?")
        await editor.fill("And now?")
        await visit.button("Send edit").click()
        await expect(visit.last_answer).to_have_text("Newer")
        await visit.answered()
        await versions(visit, "question", "2 / 2")
        await expect(visit.page.locator(".bubble")).to_have_text(["Hello", "And now?"])

        await visit.button("Previous version").click()
        await expect(visit.answers).to_have_text(["Hi", "Older"])
        await expect(visit.page.locator(".bubble")).to_have_text(["Hello", "And then?"])
        bodies = [request.body["messages"] for request in visit.running.script.requests]

    assert [message["content"] for message in bodies[2]] == ["Hello", "Hi", "And now?"]  # type: ignore[attr-defined]


async def test_the_first_question_can_be_edited(visits: Visits) -> None:
    async with visits.opened(said("One"), said("Two")) as visit:
        await visit.ask("First")
        await visit.answered()
        await visit.button("Edit").click()
        await visit.page.get_by_role("textbox", name="Edited question").fill("Zeroth")
        await visit.page.keyboard.press("Enter")
        await expect(visit.last_answer).to_have_text("Two")
        await visit.answered()

        await versions(visit, "question", "2 / 2")
        await expect(visit.page.locator(".bubble")).to_have_text(["Zeroth"])


async def test_what_is_refused_is_not_lost(visits: Visits) -> None:
    refusal = Refusal(429, error_data("Slow down"), {"retry-after": "60"})
    async with visits.opened(refusal) as visit:
        visit.watch.expect("status of 429")
        await visit.ask("My long question")

        notice = visit.page.get_by_role("alert").filter(has_text="Groq wants us to wait")
        await expect(notice).to_contain_text(re.compile("You can try again in (60|59) s"))
        await expect(notice).to_contain_text("Request ")
        await expect(visit.message).to_have_value("My long question")
        await expect(visit.answers).to_have_count(0)
        await expect(visit.button("Try again")).to_be_disabled()


async def test_a_failed_answer_can_be_tried_again(visits: Visits) -> None:
    broken = Text("x" * 20, tokens_per_second=0, finish_reason="length")
    async with visits.opened(broken, said("Whole")) as visit:
        await visit.ask("Go on")
        await visit.answered()
        await expect(visit.page.get_by_text("reached the limit of tokens")).to_be_visible()
        await visit.button("Try again").click()

        await expect(visit.last_answer).to_have_text("Whole")
        await visit.answered()


async def test_a_temporary_chat_is_not_kept(visits: Visits) -> None:
    async with visits.opened(said("Secret")) as visit:
        await visit.page.get_by_role("checkbox", name="Temporary chat").check()
        await visit.ask("Psst")
        await expect(visit.last_answer).to_have_text("Secret")
        await visit.answered()
        async with visit.running.client.get("/api/conversations") as response:
            listed = await response.json()

    assert listed["items"] == []


async def test_back_and_forward_lead_through_conversations(visits: Visits) -> None:
    async with visits.opened(said("One"), said("Two")) as visit:
        await visit.ask("First")
        await visit.answered()
        await visit.button("New chat").click()
        await expect(visit.answers).to_have_count(0)
        await visit.ask("Second")
        await visit.answered()
        await expect(visit.last_answer).to_have_text("Two")

        await visit.page.go_back()
        await expect(visit.last_answer).to_have_text("One", timeout=PATIENCE_MS)
        await visit.page.go_forward()
        await expect(visit.last_answer).to_have_text("Two")


async def test_scrolling_up_lets_go_of_the_end(visits: Visits) -> None:
    held = Held("a line\n\n" * 80, "\n\n".join("more" for _ in range(50)))
    async with visits.opened(held.answer) as visit:
        await visit.ask("Much")
        await expect(visit.last_answer.locator("p")).to_have_count(80)
        scroller = visit.page.get_by_role("region", name="Messages")
        await expect(visit.button("Jump to the newest")).to_be_hidden()
        await scroller.hover()
        await visit.page.mouse.wheel(0, -900)
        await expect(visit.button("Jump to the newest")).to_be_visible()
        before = await scroller.evaluate("it => it.scrollTop")
        held.let_go()
        await visit.answered()

        assert await scroller.evaluate("it => it.scrollTop") == before
        await visit.button("Jump to the newest").click()
        await expect(visit.button("Jump to the newest")).to_be_hidden()
        await expect(visit.page.get_by_text("more").last).to_be_in_viewport()
