"""Does /docs show all of both descriptions, alone and without a fault, and can they be tried?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playground.visiting import CHROMIUM, CHROMIUM_ARGUMENTS, PATIENCE_MS, REPORTING, Watch
from playwright.async_api import Browser, Locator, Page, Route, async_playwright, expect
from web.described import operations
from web.outside import said

from credentials import entries, key_of
from service.simulator import Answer, Script
from service.web.asyncapi import CLOSE_CODES
from service.web.messages import CLIENT_MESSAGES
from support import running

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

AXE = Path(__file__).parent.parent / "node" / "node_modules" / "axe-core" / "axe.min.js"
HTTP, WEBSOCKET = "/docs", "/docs?of=websocket"
OF_OTHERS = [".swagger-ui", ".talk + div"]
"""What the viewers draw; but for its contrast, it is theirs to mend."""
KEYS = entries("ann")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, path: str, *answers: Answer, dark: bool = False, keys: str = ""
) -> AsyncIterator[Page]:
    """The page, of a service with these API keys, where no other host can be reached."""
    script = Script()
    script.next(*answers)
    async with running(script, API_KEYS=keys) as service:
        url = str(service.client.make_url("")).rstrip("/")
        watch = Watch(urlsplit(url).netloc)

        async def only_here(route: Route) -> None:
            here = urlsplit(route.request.url).netloc in (watch.host, "")  # none: `data:`
            await (route.continue_() if here else route.abort())

        context = await browser.new_context(
            base_url=url,
            color_scheme="dark" if dark else "light",
        )
        watch.follow(context)
        watch.expect("401 (Unauthorized)")  # which the browser reports, where a test asks for it
        # Redoc tries whether it may make code of text, for a search in a worker; it may not.
        watch.expect("refused by the policy: script-src eval")
        await context.route("**/*", only_here)
        await context.add_init_script(REPORTING)
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        await page.goto(path)
        shown = ".swagger-ui .opblock" if path == HTTP else "#viewer [href='#/channels/chat']"
        await expect(page.locator(shown).first).to_be_attached(timeout=PATIENCE_MS)
        yield page
        await context.close()
        watch.verify()


@pytest.mark.parametrize("dark", [False, True])
async def test_every_operation_is_shown(browser: Browser, dark: bool) -> None:
    async with opened(browser, HTTP, dark=dark) as page:
        shown = await page.locator(".opblock-summary").evaluate_all(
            "all => all.map((one) => one.innerText.split('\\n').slice(0, 2).join(' '))"
        )

    plain = [it.replace("\u200b", "") for it in shown]
    assert sorted(plain) == sorted(f"{it.method} {it.path}" for it in operations())


@pytest.mark.parametrize("dark", [False, True])
async def test_every_message_and_close_code_is_shown(browser: Browser, dark: bool) -> None:
    async with opened(browser, WEBSOCKET, dark=dark) as page:
        await page.locator("#viewer [href='#/channels/chat']").first.click()
        for code, meaning in CLOSE_CODES.items():
            row = page.locator("#viewer li").filter(has_text=f"{code:d}: ")
            await expect(row.first).to_contain_text(meaning.replace("`", ""))
        for name in (*CLIENT_MESSAGES, "tell"):
            await expect(
                page.locator(f"#viewer [href='#/channels/chat/operations/{name}']").first
            ).to_be_attached()


async def test_both_are_reached_by_keys(browser: Browser) -> None:
    async with opened(browser, HTTP) as page:
        link = page.get_by_role("link", name="WebSocket", exact=True)
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await expect(link).to_be_focused()
        await page.keyboard.press("Enter")

        await expect(page.get_by_role("heading", name="Try it")).to_be_visible()
        await expect(link).to_have_attribute("aria-current", "page")


async def violations(page: Page, *, dark: bool, width: int) -> list[object]:
    """What axe finds in what is ours, as it looks then."""
    await page.emulate_media(color_scheme="dark" if dark else "light")
    await page.set_viewport_size({"width": width, "height": 900})
    found = await page.evaluate("of => axe.run({exclude: of})", OF_OTHERS)
    assert found["passes"]
    return [(it["id"], it["nodes"][0]["html"]) for it in found["violations"]]


@pytest.mark.parametrize("path", [HTTP, WEBSOCKET])
async def test_axe_finds_nothing_in_what_is_ours(browser: Browser, path: str) -> None:
    async with opened(browser, path) as page:
        await page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")

        assert await violations(page, dark=False, width=1280) == []
        assert await violations(page, dark=True, width=1280) == []
        assert await violations(page, dark=False, width=360) == []
        assert await violations(page, dark=True, width=360) == []


@pytest.mark.parametrize("path", [HTTP, WEBSOCKET])
@pytest.mark.parametrize("dark", [False, True])
async def test_all_text_has_the_contrast_that_it_needs(
    browser: Browser, path: str, dark: bool
) -> None:
    async with opened(browser, path, dark=dark) as page:
        await page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
        found = await page.evaluate("axe.run({runOnly: ['color-contrast']})")

    assert found["passes"]
    assert [node["html"] for it in found["violations"] for node in it["nodes"]] == []


@pytest.mark.parametrize("path", [HTTP, WEBSOCKET])
async def test_it_says_what_keeps_it_from_being_shown(browser: Browser, path: str) -> None:
    async with running() as service:
        page = await browser.new_page()
        await page.route("**/*api.json", lambda route: route.fulfill(status=503))
        await page.goto(str(service.client.make_url(path)))
        alert = page.get_by_role("alert")

        await expect(alert).to_contain_text("answered 503", timeout=PATIENCE_MS)
        await page.close()


# Trying HTTP.


async def asked_for(page: Page, name: str) -> Locator:
    """An operation, unfolded."""
    operation = page.locator(f"#operations-{name}")
    await operation.locator(".opblock-summary-control").click()
    return operation


async def executed(operation: Locator) -> tuple[str, str]:
    """Status and body of what is answered."""
    await operation.get_by_role("button", name="Execute").click()
    live = operation.locator(".live-responses-table .response").first
    status = await live.locator(".response-col_status").inner_text()
    return status.split()[0], await live.locator(".response-col_description").inner_text()


@pytest.mark.parametrize("name", ["chat-chat", "chat-stream-chat"])
async def test_an_example_is_answered(browser: Browser, name: str) -> None:
    async with opened(browser, HTTP, said("Hello ", "there")) as page:
        status, body = await executed(await asked_for(page, name))

    assert status == "200"
    assert "there" in body


async def test_a_key_is_taken_and_kept_for_the_page_only(browser: Browser) -> None:
    async with opened(browser, HTTP, keys=KEYS) as page:
        await page.get_by_role("button", name="Authorize", exact=True).first.click()
        await page.locator(".modal-ux input").fill(key_of("ann"))
        await page.get_by_role("button", name="Apply credentials").click()
        await page.get_by_role("button", name="Close").first.click()
        accepted, _ = await executed(await asked_for(page, "models-list-models"))
        kept = await page.evaluate(
            "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        )
        await page.reload()
        refused, _ = await executed(page.locator("#operations-models-list-models"))

    assert (accepted, refused) == ("200", "401")
    assert key_of("ann") not in kept


# Trying the WebSocket.


async def said_in(page: Page, text: str) -> None:
    """Wait until it was said."""
    await expect(page.get_by_role("log")).to_contain_text(text, timeout=PATIENCE_MS)


async def test_a_message_is_answered_and_the_next_example_has_its_ids(browser: Browser) -> None:
    async with opened(browser, WEBSOCKET, said("Hel", "lo"), said("again")) as page:
        send = page.get_by_role("button", name="Send", exact=True)
        await expect(send).to_be_disabled()
        await page.get_by_role("button", name="Connect", exact=True).click()
        await said_in(page, '"welcome"')
        await send.click()
        await said_in(page, '"finished":true')

        resume = page.locator("option", has_text="resume: from the start")
        await page.get_by_label("Example").select_option(await resume.get_attribute("value"))
        await send.click()
        await said_in(page, '"resumed"')
        await page.get_by_role("button", name="Disconnect").click()
        await said_in(page, "closed")
        await expect(page.get_by_role("status")).to_have_text("not connected")


async def test_a_key_goes_first_and_is_not_shown(browser: Browser) -> None:
    async with opened(browser, WEBSOCKET, keys=KEYS) as page:
        await page.get_by_label("API key or token").fill(key_of("ann"))
        await page.get_by_role("button", name="Connect", exact=True).click()
        await said_in(page, '"welcome"')

        assert key_of("ann") not in await page.get_by_role("log").inner_text()


async def test_a_wrong_key_is_told(browser: Browser) -> None:
    async with opened(browser, WEBSOCKET, keys=KEYS) as page:
        await page.get_by_label("API key or token").fill("nobody has this one")
        await page.get_by_role("button", name="Connect", exact=True).click()
        await said_in(page, "unauthorized")
        await said_in(page, "4401")
