"""Do the scripts that README.md prints work? Each is run by Chromium, as it stands."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import frozen
from playwright.async_api import Browser, Page, WebSocket, async_playwright, expect
from web.outside import Held, said

from cutting import Network, cutting
from printed import ANSWER, CONTENT, PRINTED_URL, blocks, only
from service.simulator import Answer, Refusal, Script, error_data
from support import MODEL, Running, all_frames, running, text_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 15_000
CUTS = (0, 3001, 1013, 2513)


@frozen
class Visit:
    """What a page shows in the end, and what it took."""

    answer: str
    state: str
    requests_to_groq: int
    cuts_left: int
    event_source_state: int | None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS
        )
        yield browser
        await browser.close()


def site_of(source: str) -> web.Application:
    """The printed page, with a script."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=only("html", "Browsers"), content_type="text/html")

    async def script(_request: web.Request) -> web.Response:
        return web.Response(text=source, content_type="text/javascript")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/chat.js", script)
    return app


@frozen
class Opened:
    """A page that is open, and what is behind it."""

    page: Page
    service: Running
    network: Network
    sockets: list[WebSocket]

    async def shows(self, selector: str, text: str) -> None:
        """Wait until it does."""
        await expect(self.page.locator(selector)).to_have_text(text, timeout=PATIENCE_MS)


@frozen
class Visitor:
    """Opens the printed page with a printed script, from another origin than the service's."""

    browser: Browser
    port: int

    @asynccontextmanager
    async def opened(
        self, source: str, answers: Sequence[Answer], cuts: Sequence[int] = ()
    ) -> AsyncIterator[Opened]:
        """The page, over a network that breaks off."""
        script = Script()
        script.next(*answers)
        origin = f"http://127.0.0.1:{self.port}"
        async with (
            running(script, CORS_ORIGINS=origin, UPSTREAM_MAX_RETRIES="0") as service,
            cutting(service.client.port or 0, cuts) as network,
            TestServer(site_of(source.replace(PRINTED_URL, network.url)), port=self.port),
        ):
            page = await self.browser.new_page()
            sockets: list[WebSocket] = []
            # Playwright writes an attribute on what it is given: not the method itself.
            page.on("websocket", lambda socket: sockets.append(socket))  # noqa: PLW0108
            await page.add_init_script(
                "window.EventSource = class extends EventSource {"
                "  constructor(...given) { super(...given); window.opened = this; }"
                "};"
            )
            await page.goto(origin)
            yield Opened(page, service, network, sockets)
            await page.close()

    async def visit(
        self, source: str, answers: Sequence[Answer], cuts: Sequence[int] = ()
    ) -> Visit:
        """Wait until the page says that it is done."""
        async with self.opened(source, answers, cuts) as opened:
            page = opened.page
            await page.wait_for_function("document.querySelector('#state').textContent")
            return Visit(
                await page.text_content("#answer") or "",
                await page.text_content("#state") or "",
                len(opened.service.script.requests),
                len(opened.network.cuts),
                await page.evaluate("window.opened?.readyState ?? null"),
            )


@pytest.fixture
def visitor(browser: Browser, unused_tcp_port: int) -> Visitor:
    return Visitor(browser, unused_tcp_port)


@pytest.mark.parametrize("heading", ["Simple", "Resuming", "EventSource", "WebSocket"])
async def test_a_printed_script_shows_the_answer(visitor: Visitor, heading: str) -> None:
    visit = await visitor.visit(only("js", heading), [ANSWER])

    assert visit.answer == CONTENT
    assert visit.state == "stop"


async def test_no_other_script_is_printed() -> None:
    assert len(blocks("js")) == 4


@pytest.mark.parametrize("heading", ["Resuming", "WebSocket"])
async def test_a_resuming_script_is_exact_however_often_it_is_cut_off(
    visitor: Visitor, heading: str
) -> None:
    visit = await visitor.visit(only("js", heading), [ANSWER], CUTS)

    assert visit.answer == CONTENT
    assert visit.state == "stop"
    assert visit.cuts_left == 0
    assert visit.requests_to_groq == 1


async def test_the_event_source_resumes_by_itself_and_stops_at_the_end(visitor: Visitor) -> None:
    visit = await visitor.visit(only("js", "EventSource"), [ANSWER], [3001])

    closed = 2
    assert visit.answer == CONTENT
    assert visit.state == "stop"
    assert visit.cuts_left == 0
    assert visit.requests_to_groq == 1
    assert visit.event_source_state == closed


@pytest.mark.parametrize("heading", ["Resuming", "WebSocket"])
async def test_a_resuming_script_waits_for_what_can_pass(visitor: Visitor, heading: str) -> None:
    busy = Refusal(429, error_data("Too many requests"), {"retry-after": "0.1"})
    visit = await visitor.visit(only("js", heading), [busy, ANSWER])

    assert visit.answer == CONTENT
    assert visit.state == "stop"
    assert visit.requests_to_groq == 2


@pytest.mark.parametrize("heading", ["Resuming", "WebSocket"])
async def test_a_resuming_script_tells_what_cannot_be_helped(
    visitor: Visitor, heading: str
) -> None:
    source = only("js", heading).replace(MODEL, "no-such-model")
    visit = await visitor.visit(source, [ANSWER])

    assert visit.answer == ""
    assert '"no-such-model" is not in the catalogue' in visit.state
    assert visit.requests_to_groq == 0


# What only the socket can. Each test adds to the printed script what it needs of it.


SECOND = """
const second = document.body.appendChild(document.createElement("pre"));
const secondState = document.body.appendChild(document.createElement("p"));
[second.id, secondState.id] = ["second", "second-state"];
ask(request, (event) => {
  second.textContent += event.content ?? "";
  if (event.error || event.finished) secondState.textContent = event.finish_reason;
});
"""


async def test_a_second_answer_comes_on_the_same_socket_while_the_first_is_held(
    visitor: Visitor,
) -> None:
    held = Held()
    source = only("js", "WebSocket") + SECOND

    async with visitor.opened(source, [held.answer, said("second")]) as opened:
        await opened.shows("#second-state", "stop")
        await opened.shows("#second", "second")
        await opened.shows("#answer", held.first)
        await opened.shows("#state", "")
        held.let_go()
        await opened.shows("#state", "stop")
        await opened.shows("#answer", held.text)

    assert len(opened.sockets) == 1


async def test_every_answer_on_a_socket_goes_on_after_a_cut(visitor: Visitor) -> None:
    source = only("js", "WebSocket") + SECOND

    async with visitor.opened(source, [ANSWER, ANSWER], [0, 5003, 2011]) as opened:
        await opened.shows("#state", "stop")
        await opened.shows("#second-state", "stop")
        answers = [await opened.page.text_content(it) for it in ("#answer", "#second")]

    assert answers == [CONTENT, CONTENT]
    assert opened.network.cuts == []
    assert len(opened.sockets) == 4
    assert len(opened.service.script.requests) == 2


async def test_the_button_stops_the_answer(visitor: Visitor) -> None:
    held = Held()
    async with visitor.opened(only("js", "WebSocket"), [held.answer]) as opened:
        await opened.shows("#answer", held.first)
        await opened.page.get_by_role("button", name="Stop").click()
        await opened.shows("#state", "cancelled")
        await opened.service.script.disconnected(0)

        assert await opened.page.text_content("#answer") == held.first


async def test_the_button_stops_the_answer_when_the_connection_is_back(visitor: Visitor) -> None:
    held = Held()
    source = only("js", "WebSocket") + "globalThis.lose = () => { socket.close(); stop.click(); };"
    async with visitor.opened(source, [held.answer]) as opened:
        await opened.shows("#answer", held.first)
        await opened.page.evaluate("lose()")
        await opened.shows("#state", "cancelled")

    assert len(opened.sockets) == 2
    assert len(opened.service.script.requests) == 1


async def test_an_answer_goes_on_over_sse_with_the_cursor_of_the_socket(visitor: Visitor) -> None:
    held = Held()
    source = only("js", "WebSocket") + "globalThis.cursors = () => [...live.values()];"
    async with visitor.opened(source, [held.answer]) as opened:
        await opened.shows("#answer", held.first)
        [cursor] = await opened.page.evaluate("cursors().map((run) => run.message)")
        held.let_go()
        response = await opened.service.client.get(
            f"/api/runs/{cursor['run_id']}/events?after={cursor['after']}"
        )
        frames = await all_frames(response)

    assert frames[0].seq == cursor["after"] + 1
    assert text_of(frames) == held.rest
