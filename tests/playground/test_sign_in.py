"""Is a key or token asked for where it is needed, kept for the tab only, and plainly refused?"""

import pytest
from playground.panels import LASTING_PLACES, TAB_PLACES, Inspector, Sidebar, SignIn
from playground.visiting import Visits
from playwright.async_api import expect
from web.outside import Held, said

from credentials import asked_by, entries, key_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

ADA = entries("ada")
REFUSED = "status of 401"


@pytest.mark.parametrize("transport", ["WebSocket", "SSE"])
async def test_with_a_key_one_is_answered(visits: Visits, transport: str) -> None:
    async with visits.opened(said("Welcome"), API_KEYS=ADA) as visit:
        visit.watch.expect(REFUSED)
        await expect(SignIn(visit).root).to_be_visible()
        await expect(SignIn(visit).key).to_be_focused()
        await SignIn(visit).done()

        await Inspector(visit).transport(transport).check()
        await visit.ask("Hello")

        await expect(visit.last_answer).to_have_text("Welcome")
        await expect(Sidebar(visit).link("Hello")).to_be_visible()
        listed = await visit.running.client.get("/api/conversations", headers=asked_by("ada"))
        assert [it["title"] for it in (await listed.json())["items"]] == ["Hello"]


async def test_a_wrong_key_is_plainly_refused(visits: Visits) -> None:
    async with visits.opened(API_KEYS=ADA) as visit:
        visit.watch.expect(REFUSED)

        await SignIn(visit).give("ail_ada_wrong")

        dialog = SignIn(visit)
        refusal = dialog.root.get_by_text("The service refused this key or token")
        await expect(refusal).to_be_visible()
        await expect(dialog.key).to_have_attribute("aria-invalid", "true")
        await expect(dialog.key).to_be_focused()
        await expect(dialog.key).to_have_value("")
        await dialog.done()
        await expect(Sidebar(visit).root).to_contain_text("No conversations yet.")


@pytest.mark.parametrize("typed", ["", " ", "schlüssel", "two words"])
async def test_what_can_be_no_key_is_not_sent(visits: Visits, typed: str) -> None:
    async with visits.opened(API_KEYS=ADA) as visit:
        visit.watch.expect(REFUSED)

        await SignIn(visit).give(typed)

        await expect(SignIn(visit).root.get_by_text("no key or token")).to_be_visible()
        await expect(SignIn(visit).key).to_be_focused()


async def test_a_key_is_kept_for_the_tab_only(visits: Visits) -> None:
    async with visits.opened(API_KEYS=ADA) as visit:
        visit.watch.expect(REFUSED)
        await SignIn(visit).done()

        await visit.page.reload()
        await expect(Sidebar(visit).root).to_contain_text("No conversations yet.")
        await expect(SignIn(visit).root).to_be_hidden()
        assert key_of("ada") in await visit.page.evaluate(TAB_PLACES)
        assert key_of("ada") not in await visit.page.evaluate(LASTING_PLACES)
        assert key_of("ada") not in visit.page.url
        other = await visit.another_tab()
        await expect(SignIn(other).root).to_be_visible()


async def test_signing_out_leaves_nothing_of_its_user_in_the_tab(visits: Visits) -> None:
    held = Held()
    async with visits.opened(held.answer, said("Another"), API_KEYS=entries("ada", "bob")) as visit:
        visit.watch.expect(REFUSED)
        await SignIn(visit).done()
        other = await visit.another_tab()
        await SignIn(other).done("bob")
        await other.message.fill("Bob's draft")
        await visit.ask("Ada's question")
        await expect(visit.last_answer).to_have_text("Hel")
        await visit.message.fill("Ada's draft")

        await visit.button("Sign out").click()
        asked = visit.page.get_by_role("dialog", name="Sign out?")
        await expect(asked).to_contain_text("The settings, system prompt included, stay")
        await asked.get_by_role("button", name="Sign out").click()

        await expect(SignIn(visit).root).to_be_visible()
        await expect(visit.answers).to_have_count(0)
        await expect(Sidebar(visit).links).to_have_count(0)
        assert await visit.page.evaluate(TAB_PLACES) == "{}"
        assert "#" not in visit.page.url
        held.let_go()
        await SignIn(visit).done("bob")
        await expect(visit.message).to_have_value("")
        await expect(other.message).to_have_value("Bob's draft")
        await other.ask("Bob's question")
        await expect(other.last_answer).to_have_text("Another")


async def test_signing_in_can_be_put_off(visits: Visits) -> None:
    async with visits.opened(said("Welcome"), API_KEYS=ADA) as visit:
        visit.watch.expect(REFUSED)
        await SignIn(visit).root.get_by_role("button", name="Cancel").click()
        await expect(SignIn(visit).root).to_be_hidden()

        await visit.button("Sign in").click()
        await SignIn(visit).done()

        await visit.ask("Hello")
        await expect(visit.last_answer).to_have_text("Welcome")


async def test_where_nobody_need_sign_in_nothing_is_asked(visits: Visits) -> None:
    async with visits.opened() as visit:
        await expect(SignIn(visit).root).to_be_hidden()
        await expect(visit.button("Sign out")).to_be_hidden()
