"""What does the page say and keep when a conversation, an answer or the service is not there?"""

import re

import pytest
from playground.panels import Settings, Sidebar
from playground.visiting import Visits, refused_by
from playwright.async_api import Route, expect
from web.outside import Held, chat, contents, conversation_about, said, shown

from service.simulator import Refusal, Text, error_data

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

UNKNOWN = "01000000-0000-7000-8000-000000000000"
NO_GLANCES = "globalThis.setInterval = () => 0;"
"""The page looks for nothing by itself."""
QUICK_GLANCES = """
const slow = setInterval;
globalThis.setInterval = (does, wait, ...given) => slow(does, wait / 40, ...given);
"""
NEWS = re.compile(r"/api/conversations\?limit=1$")
WHOLE = re.compile(r"/api/conversations/[^/?]+\?tree=true$")


@pytest.mark.parametrize(
    ("slug", "words"),
    [
        ("overloaded", "The service is busy"),
        ("store-unavailable", "Conversations cannot be reached right now"),
        ("draining", None),  # another replica takes it, or this one soon, without a word
    ],
)
async def test_a_question_that_cannot_be_taken_now_is_taken_later(
    visits: Visits, slug: str, words: str | None
) -> None:
    async with visits.opened(said("Now")) as visit:
        visit.watch.expect("status of 503")
        await visit.page.get_by_role("radio", name="SSE").check(force=True)
        await visit.page.route("**/api/chat/stream", lambda route: refused_by(route, slug), times=1)
        await visit.ask("Keep me")
        if words:
            await expect(visit.page.get_by_role("alert")).to_contain_text(words)
            await expect(visit.message).to_have_value("Keep me")
            await visit.button("Try again").click()

        await expect(visit.last_answer).to_have_text("Now")
        await visit.answered()
        await expect(visit.questions).to_have_text(["Keep me"])
        assert len(visit.running.script.requests) == 1


@pytest.mark.parametrize(
    ("status", "code"), [(404, "model_not_found"), (400, "model_decommissioned")]
)
async def test_a_question_to_a_model_that_is_gone_stays(
    visits: Visits, status: int, code: str
) -> None:
    gone = Refusal(status, error_data("That model is no more", code=code))
    async with visits.opened(gone, said("Well")) as visit:
        await visit.ask("Keep me")
        settings = Settings(visit)
        await expect(settings.root).to_be_visible()
        await expect(settings.root).to_contain_text("Groq does not serve")
        await settings.done()
        await expect(visit.message).to_have_value("Keep me")
        await visit.reload()
        await expect(visit.message).to_have_value("Keep me")
        await expect(visit.questions).to_have_count(0)
        await visit.message.press("Enter")
        await expect(visit.last_answer).to_have_text("Well")
        await visit.answered()


async def test_what_cannot_be_read_now_is_read_later(visits: Visits) -> None:
    async def refuse(route: Route) -> None:
        await refused_by(route, "store-unavailable")

    async with visits.opened(said("One"), init_script=NO_GLANCES) as visit:
        visit.watch.expect("status of 503")
        await visit.ask("First")
        await visit.answered()
        await visit.page.route("**/api/conversations**", refuse)
        await visit.page.route("**/api/conversations/**", refuse)
        await visit.reload()
        await expect(visit.page.get_by_role("alert")).to_have_count(2)
        await visit.page.unroute_all()

        again = visit.button("Try again")
        await again.last.click()
        await expect(visit.answers).to_have_text(["One"])
        await again.click()
        await expect(Sidebar(visit).link("First")).to_be_visible()


async def test_an_address_of_nothing_says_so(visits: Visits) -> None:
    async with visits.opened(said("Hello"), fragment=f"#c={UNKNOWN}") as visit:
        visit.watch.expect("status of 404")
        await expect(visit.page.get_by_text("There is no such conversation").first).to_be_visible()
        await expect(visit.page.get_by_text("was deleted")).to_have_count(0)
        await visit.ask("Hi")
        await expect(visit.last_answer).to_have_text("Hello")
        await visit.answered()


async def test_a_question_to_a_busy_conversation_waits_in_the_box(visits: Visits) -> None:
    held = Held()
    async with visits.opened(
        said("One"), held.answer, said("Two"), init_script=NO_GLANCES
    ) as visit:
        await visit.ask("First")
        await visit.answered()
        other = await visit.another_tab()
        await expect(other.answers).to_have_text(["One"])
        await visit.page.evaluate("BroadcastChannel.prototype.postMessage = () => {}")
        await visit.ask("Other")
        await expect(visit.last_answer).to_have_text(held.first)
        await other.page.evaluate("document.querySelector('#message').focus()")
        await other.ask("Mine")

        await expect(other.page.get_by_role("alert")).to_contain_text("still being written")
        await expect(other.message).to_have_value("Mine")
        await expect(other.button("Try again")).to_have_count(0)
        await expect(other.message).to_be_focused()
        await expect(other.last_answer).to_have_text(held.first)
        held.let_go()
        await other.answered()
        await other.message.press("Enter")
        await expect(other.last_answer).to_have_text("Two")
        await other.answered()


async def test_a_temporary_question_does_not_come_back(visits: Visits) -> None:
    async with visits.opened(said("Secret")) as visit:
        await visit.page.get_by_role("checkbox", name="Temporary chat").check()
        await visit.ask("Psst")
        await expect(visit.last_answer).to_have_text("Secret")
        await visit.answered()
        await visit.reload()

        await expect(visit.questions).to_have_count(0)
        await expect(visit.message).to_have_value("")
        assert "Psst" not in await visit.page.evaluate("JSON.stringify({ ...sessionStorage })")


async def test_a_temporary_question_whose_answer_is_gone_does_not_come_back(
    visits: Visits,
) -> None:
    held = Held()
    async with visits.opened(held.answer) as visit:
        visit.watch.expect("status of 404")
        await visit.page.get_by_role("checkbox", name="Temporary chat").check()
        await visit.ask("Psst")
        await expect(visit.last_answer).to_have_text(held.first)
        kept = await visit.page.evaluate("({ ...sessionStorage })")
        gone = {
            name: re.sub(r'"runId":"[^"]+"', f'"runId":"{UNKNOWN}"', text)
            for name, text in kept.items()
        }
        assert gone != kept
        await visit.page.evaluate("it => Object.assign(sessionStorage, it)", gone)
        await visit.reload()

        await expect(visit.page.get_by_role("alert")).to_contain_text("can no longer be followed")
        await expect(visit.message).to_have_value("")
        await expect(visit.questions).to_have_count(0)


async def test_a_chat_that_is_not_kept_goes_on_after_a_reload_in_its_second_answer(
    visits: Visits,
) -> None:
    held = Held()
    async with visits.opened(said("One"), held.answer) as visit:
        await visit.page.get_by_role("checkbox", name="Temporary chat").check()
        await visit.ask("First")
        await visit.answered()
        await visit.ask("Second")
        await expect(visit.last_answer).to_have_text(held.first)
        await visit.reload()
        await expect(visit.questions).to_have_text(["Second"])
        held.let_go()
        await expect(visit.last_answer).to_have_text(held.text)
        await visit.answered()


async def test_what_the_service_is_told_holds_no_ids_of_the_page(visits: Visits) -> None:
    sent: list[str] = []
    async with visits.opened(*[said(word) for word in ("One", "Two", "Three")]) as visit:
        visit.page.on("request", lambda request: sent.append(request.post_data or ""))
        await visit.page.get_by_role("radio", name="SSE").check(force=True)
        await visit.page.get_by_role("checkbox", name="Temporary chat").check()
        await visit.ask("First")
        await visit.answered()
        await visit.button("Regenerate").click()
        await expect(visit.last_answer).to_have_text("Two")
        await visit.answered()
        await visit.button("Edit").click()
        await visit.page.get_by_role("textbox", name="Edited question").press("Enter")
        await expect(visit.last_answer).to_have_text("Three")
        await visit.answered()
        unnamed = await visit.page.evaluate(ASK_WITHOUT_NAMES)

    assert len([body for body in sent if "First" in body]) == 3
    assert [body for body in sent if re.search(r"(question|answer)-\d", body)] == []
    places = [asking.get("request", {}) for asking in unnamed]
    assert [place.get("parent_message_id", "none") for place in places] == [None, None, None]
    assert not any("save_conversation" in place for place in places)


ASK_WITHOUT_NAMES = """async () => {
  const asking = await import("./static/playground/asking.js");
  const parent = { message_id: "question-1", content: "Hi", parent_message_id: null };
  const conversation = { id: null, isTemporary: false, end: "answer-1",
    questionOf: () => parent, following: () => [] };
  return [asking.question(conversation, {}, "Hi"),
    asking.editedQuestion(conversation, {}, "question-2", "Hi"),
    asking.anotherAnswer(conversation, {}, "answer-1")];
}"""
"""In a chat to which, and to whose messages, the service has given no names yet."""


async def test_another_title_is_seen_at_once_wherever_it_is_open(visits: Visits) -> None:
    held = Held()
    async with visits.opened(held.answer, init_script=NO_GLANCES) as visit:
        await visit.ask("First")
        await expect(visit.last_answer).to_have_text(held.first)
        path = f"/api/conversations/{visit.page.url.partition('#c=')[2]}"
        async with visit.running.client.patch(path, json={"title": "Elsewhere"}) as response:
            assert response.status == 200
        heading = visit.page.get_by_role("heading", level=1)
        await expect(heading).to_have_text("First")
        held.let_go()
        await visit.answered()
        await expect(heading).to_have_text("Elsewhere")  # an answer that ends has all read anew

        other = await visit.another_tab()
        await expect(other.answers).to_have_text([held.text])
        await visit.page.bring_to_front()
        await (await Sidebar(visit).rename("Elsewhere", "Here")).press("Enter")
        for tab in (visit, other):
            await expect(tab.page.get_by_role("heading", level=1)).to_have_text("Here")
            await expect(tab.page).to_have_title("Here – AI Library")


async def test_what_has_not_changed_is_not_read_again(visits: Visits) -> None:
    async with visits.opened(init_script=QUICK_GLANCES) as visit:
        conversation_id = await conversation_about(visit.running, "First", "One")
        asked: list[str] = []
        visit.page.on("request", lambda request: asked.append(request.url))
        await visit.page.evaluate("id => { location.hash = `c=${id}`; }", conversation_id)
        await expect(visit.answers).to_have_text(["One"])
        for _ in range(30):
            async with visit.page.expect_request(NEWS):
                pass
        whole = len([url for url in asked if WHOLE.search(url)])
        assert 1 <= whole <= 6  # at first, where it is new, and each fifteenth time

        visit.running.script.next(said("Two"))
        await chat(visit.running, user_prompt="Second", conversation_id=conversation_id)
        await expect(visit.answers).to_have_text(["One", "Two"])
        assert contents(await shown(visit.running, conversation_id))[-1] == "Two"


async def test_escape_stops_only_from_the_box(visits: Visits) -> None:
    async with visits.opened(said("One"), Text("w " * 3000, tokens_per_second=60)) as visit:
        await visit.ask("First")
        await visit.answered()
        await visit.button("Edit").click()
        editor = visit.page.get_by_role("textbox", name="Edited question")
        await visit.ask("Second")
        await expect(visit.last_answer).to_contain_text("w")

        await editor.press("Escape")
        await expect(editor).to_have_count(0)
        await visit.button("Settings").click()
        await visit.page.keyboard.press("Escape")
        await expect(visit.page.get_by_role("dialog")).to_be_hidden()
        await visit.page.get_by_role("link", name="Skip to the message box").focus()
        await visit.page.keyboard.press("Escape")
        await visit.page.keyboard.press("Enter")
        await expect(visit.message).to_be_focused()
        await expect(visit.answers).to_have_count(2)
        await expect(visit.button("Stop")).to_be_visible()
        await visit.page.keyboard.press("Escape")

        await expect(visit.page.get_by_text("You stopped this answer.")).to_be_visible()
