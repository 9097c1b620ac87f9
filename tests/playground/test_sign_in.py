"""Is a key or token asked for where it is needed, kept for the tab only, and plainly refused?"""

import pytest
from playground.panels import LASTING_PLACES, Inspector, Sidebar
from playground.visiting import Visit, Visits
from playwright.async_api import Locator, expect
from web.outside import said

from credentials import asked_by, entries, key_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

ADA = entries("ada")
REFUSED = "status of 401"
TAB_PLACES = "JSON.stringify({ ...sessionStorage })"


def dialog_of(visit: Visit) -> Locator:
    """Where one signs in."""
    return visit.page.get_by_role("dialog", name="Sign in")


async def sign_in(visit: Visit, key: str) -> None:
    """Give a key."""
    dialog = dialog_of(visit)
    await dialog.get_by_label("API key or token").fill(key)
    await dialog.get_by_role("button", name="Sign in").click()


async def signed_in(visit: Visit) -> None:
    """Give the right key, and wait until the page is ready."""
    await sign_in(visit, key_of("ada"))
    await expect(dialog_of(visit)).to_be_hidden()
    await expect(visit.page.locator("body[data-ready]")).to_be_attached()


@pytest.mark.parametrize("transport", ["WebSocket", "SSE"])
async def test_with_a_key_one_is_answered(visits: Visits, transport: str) -> None:
    async with visits.opened(said("Welcome"), API_KEYS=ADA) as visit:
        visit.watch.expect(REFUSED)
        await expect(dialog_of(visit)).to_be_visible()
        await expect(dialog_of(visit).get_by_label("API key or token")).to_be_focused()
        await signed_in(visit)

        await Inspector(visit).transport(transport).check()
        await visit.ask("Hello")

        await expect(visit.last_answer).to_have_text("Welcome")
        await expect(Sidebar(visit).link("Hello")).to_be_visible()
        listed = await visit.running.client.get("/api/conversations", headers=asked_by("ada"))
        assert [it["title"] for it in (await listed.json())["items"]] == ["Hello"]


async def test_a_wrong_key_is_plainly_refused(visits: Visits) -> None:
    async with visits.opened(API_KEYS=ADA) as visit:
        visit.watch.expect(REFUSED)

        await sign_in(visit, "ail_ada_wrong")

        dialog = dialog_of(visit)
        await expect(dialog.get_by_text("The service refused this key or token")).to_be_visible()
        await expect(dialog.get_by_label("API key or token")).to_have_attribute(
            "aria-invalid", "true"
        )
        await expect(dialog.get_by_label("API key or token")).to_be_focused()
        await expect(dialog.get_by_label("API key or token")).to_have_value("")
        await signed_in(visit)
        await expect(Sidebar(visit).root).to_contain_text("No conversations yet.")


@pytest.mark.parametrize("typed", ["", " ", "schlüssel", "two words"])
async def test_what_can_be_no_key_is_not_sent(visits: Visits, typed: str) -> None:
    async with visits.opened(API_KEYS=ADA) as visit:
        visit.watch.expect(REFUSED)

        await sign_in(visit, typed)

        await expect(dialog_of(visit).get_by_text("no key or token")).to_be_visible()
        await expect(dialog_of(visit).get_by_label("API key or token")).to_be_focused()


async def test_a_key_is_kept_for_the_tab_only(visits: Visits) -> None:
    async with visits.opened(API_KEYS=ADA) as visit:
        visit.watch.expect(REFUSED)
        await signed_in(visit)

        await visit.page.reload()
        await expect(Sidebar(visit).root).to_contain_text("No conversations yet.")
        await expect(dialog_of(visit)).to_be_hidden()
        assert key_of("ada") in await visit.page.evaluate(TAB_PLACES)
        assert key_of("ada") not in await visit.page.evaluate(LASTING_PLACES)
        assert key_of("ada") not in visit.page.url
        other = await visit.another_tab()
        await expect(dialog_of(other)).to_be_visible()


async def test_signing_out_forgets_the_key_and_what_it_showed(visits: Visits) -> None:
    async with visits.opened(said("Welcome"), API_KEYS=ADA) as visit:
        visit.watch.expect(REFUSED)
        await signed_in(visit)
        await visit.ask("Hello")
        await expect(visit.last_answer).to_have_text("Welcome")

        await visit.button("Sign out").click()

        await expect(dialog_of(visit)).to_be_visible()
        await expect(visit.answers).to_have_count(0)
        await expect(Sidebar(visit).links).to_have_count(0)
        assert key_of("ada") not in await visit.page.evaluate(TAB_PLACES)


async def test_signing_in_can_be_put_off(visits: Visits) -> None:
    async with visits.opened(said("Welcome"), API_KEYS=ADA) as visit:
        visit.watch.expect(REFUSED)
        await dialog_of(visit).get_by_role("button", name="Cancel").click()
        await expect(dialog_of(visit)).to_be_hidden()

        await visit.button("Sign in").click()
        await signed_in(visit)

        await visit.ask("Hello")
        await expect(visit.last_answer).to_have_text("Welcome")


async def test_where_nobody_need_sign_in_nothing_is_asked(visits: Visits) -> None:
    async with visits.opened() as visit:
        await expect(dialog_of(visit)).to_be_hidden()
        await expect(visit.button("Sign out")).to_be_hidden()
