"""Does a token that is refused in mid-session cost nothing but signing in again?"""

from collections.abc import Awaitable, Callable

import pytest
from playground.panels import NO_LOOKS, Inspector, Sidebar, SignIn, stored
from playground.visiting import PATIENCE_MS, Visit, Visits
from playwright.async_api import expect
from web.outside import Held, contents, said

from credentials import asked_by, entries, key_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

REFUSED = "status of 401"
KEYS = entries("ada", "bob")


async def rename(visit: Visit) -> None:
    """A conversation, in the list."""
    field = await Sidebar(visit).rename("Tides", "Waves")
    await field.press("Enter")


async def renamed(visit: Visit) -> None:
    """In the list."""
    await expect(Sidebar(visit).link("Waves")).to_be_visible()
    await expect(Sidebar(visit).root.get_by_role("textbox")).to_have_count(0)


async def delete(visit: Visit) -> None:
    """A conversation, and mean it."""
    await Sidebar(visit).choose("Tides", "Delete")
    await visit.page.get_by_role("dialog").get_by_role("button", name="Delete").click()


async def deleted(visit: Visit) -> None:
    """There are no others."""
    await expect(Sidebar(visit).links).to_have_count(0)


async def search(visit: Visit) -> None:
    """What is not there."""
    await Sidebar(visit).search.fill("quarks")


async def searched(visit: Visit) -> None:
    """Nothing is found."""
    await expect(Sidebar(visit).root).to_contain_text("No conversation holds")


async def go(visit: Visit) -> None:
    """To a conversation."""
    await Sidebar(visit).link("Tides").click()


async def gone(visit: Visit) -> None:
    """It is shown."""
    await expect(visit.last_answer).to_have_text("The moon")


async def ask(visit: Visit) -> None:
    """A question."""
    await visit.ask("And bread?")


async def asked(visit: Visit) -> None:
    """It is answered, and was asked once."""
    await expect(visit.last_answer).to_have_text("Flour")
    await expect(visit.message).to_have_value("")
    await visit.answered()
    assert contents(await owned(visit)) == ["And bread?", "Flour"]


async def owned(visit: Visit) -> dict[str, object]:
    """The conversation that is open, as its owner reads it."""
    visit.running.client.session.headers["Authorization"] = f"Bearer {key_of('ada')}"
    return await stored(visit)


Deed = Callable[[Visit], Awaitable[None]]


@pytest.mark.parametrize(
    ("deed", "result"),
    [(rename, renamed), (delete, deleted), (search, searched), (go, gone), (ask, asked)],
    ids=["rename", "delete", "search", "go", "ask"],
)
async def test_whatever_is_refused_is_done_after_signing_in(
    visits: Visits, deed: Deed, result: Deed
) -> None:
    async with visits.opened(said("The moon"), said("Flour"), API_KEYS=KEYS) as visit:
        visit.watch.expect(REFUSED)
        sign_in = SignIn(visit)
        await sign_in.done()
        await visit.ask("Tides")
        await visit.answered()
        await visit.button("New chat").click()
        await sign_in.revoked()

        await deed(visit)
        await sign_in.offers.first.click()
        await sign_in.give("ail_ada_wrong")
        await expect(sign_in.root.get_by_text("The service refused this key")).to_be_visible()
        await sign_in.root.get_by_role("button", name="Cancel").click()
        await sign_in.offers.first.click()
        await sign_in.done()

        await result(visit)
        await expect(sign_in.offers).to_have_count(0)


async def test_what_is_refused_can_be_taken_along_after_signing_in(visits: Visits) -> None:
    async with visits.opened(said("The moon"), API_KEYS=KEYS) as visit:
        visit.watch.expect(REFUSED)
        sign_in = SignIn(visit)
        await sign_in.done()
        await visit.ask("Tides")
        await visit.answered()
        await sign_in.revoked()
        await Sidebar(visit).choose("Tides", "Export as Markdown")

        async with visit.page.expect_download() as coming:
            await sign_in.offers.first.click()
            await sign_in.done()

        assert (await coming.value).suggested_filename.endswith(".md")


@pytest.mark.parametrize("transport", ["WebSocket", "SSE"])
async def test_an_answer_that_could_not_be_read_on_is_read_on(
    visits: Visits, transport: str
) -> None:
    held = Held()
    async with visits.opened(held.answer, API_KEYS=KEYS) as visit:
        visit.watch.expect(REFUSED)
        sign_in = SignIn(visit)
        await sign_in.done()
        await Inspector(visit).transport(transport).check()
        await visit.ask("Tides")
        await expect(visit.last_answer).to_have_text("Hel")
        await sign_in.revoked()
        await Inspector(visit).cut()

        notice = visit.page.get_by_role("alert").filter(has_text="Please sign in")
        await notice.get_by_role("button", name="Sign in").click()
        await sign_in.done()
        held.let_go()

        await expect(visit.last_answer).to_have_text("Hello", timeout=PATIENCE_MS)
        await visit.answered()
        assert contents(await owned(visit)) == ["Tides", "Hello"]
        assert len(visit.running.script.requests) == 1


async def test_who_signs_in_instead_sees_nothing_of_the_other(visits: Visits) -> None:
    async with visits.opened(
        said("The moon"), said("Flour"), init_script=NO_LOOKS, API_KEYS=KEYS
    ) as visit:
        visit.watch.expect(REFUSED, "status of 404")
        sign_in = SignIn(visit)
        await sign_in.done()
        await visit.ask("Tides")
        await visit.answered()
        await sign_in.revoked()
        await search(visit)

        await sign_in.offers.first.click()
        await sign_in.done("bob")

        await expect(visit.answers).to_have_count(0)
        await Sidebar(visit).search.fill("")
        await expect(Sidebar(visit).root).to_contain_text("No conversations yet.")
        await visit.ask("And bread?")
        await visit.answered()
        await expect(Sidebar(visit).links).to_have_text(["And bread?"])
        async with visit.running.client.get("/api/conversations", headers=asked_by("bob")) as it:
            assert [one["title"] for one in (await it.json())["items"]] == ["And bread?"]
