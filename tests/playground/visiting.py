"""How does a test use the playground? In Chromium, over real HTTP, watching what goes wrong."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from attrs import Factory, frozen
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Route,
    expect,
)

from cutting import Network, cutting
from service.simulator import Answer, Script
from support import Running, running

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
WIDE = (1280, 800)

REPORTING = """
addEventListener("securitypolicyviolation", (event) => {
  const { violatedDirective, blockedURI, sample } = event;
  console.error(`refused by the policy: ${violatedDirective} ${blockedURI} ${sample}`);
});
addEventListener("unhandledrejection", (event) => {
  console.error(`nobody handled: ${event.reason}`);
});
"""


@frozen
class Watch:
    """What went wrong in a page: errors, warnings, what the policy refused, foreign requests."""

    host: str
    faults: list[str] = Factory(list)
    expected: list[str] = Factory(list)
    """Parts of what is a fault elsewhere, and was to be expected here."""

    def follow(self, context: BrowserContext) -> None:
        """Note what happens in every page of this context."""
        # Playwright writes an attribute on what it is given: not the method itself.
        context.on("console", lambda message: self._on_console(message))  # noqa: PLW0108
        context.on("weberror", lambda error: self.faults.append(f"error: {error.error}"))
        context.on("request", lambda request: self._on_request(request))  # noqa: PLW0108

    def expect(self, *parts: str) -> None:
        """A fault that holds one of these is none, such as a status that the browser reports."""
        self.expected.extend(parts)

    def verify(self) -> None:
        """Raises AssertionError where something went wrong that nobody expected."""
        wrong = [it for it in self.faults if not any(part in it for part in self.expected)]
        assert wrong == [], wrong

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self.faults.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != self.host:
            self.faults.append(f"request to another host: {request.url}")


@frozen
class Visit:
    """The playground in a page that is open, and what is behind it."""

    page: Page
    running: Running
    network: Network
    watch: Watch

    @property
    def message(self) -> Locator:
        """Where one writes."""
        return self.page.get_by_role("textbox", name="Message", exact=True)

    @property
    def questions(self) -> Locator:
        """The texts of the questions, oldest first."""
        return self.page.locator(".bubble")

    @property
    def answers(self) -> Locator:
        """The texts of the answers, oldest first."""
        return self.page.locator(".answer .markdown")

    @property
    def last_answer(self) -> Locator:
        """The text of the newest answer."""
        return self.answers.last

    def button(self, name: str) -> Locator:
        """Buttons of that very name."""
        return self.page.get_by_role("button", name=name, exact=True)

    async def reload(self) -> None:
        """Load the page anew, until it is ready."""
        await self.page.reload()
        await expect(self.page.locator("body[data-ready]")).to_be_attached(timeout=PATIENCE_MS)

    async def ask(self, question: str) -> None:
        """Write and send."""
        await self.message.fill(question)
        await self.message.press("Enter")

    async def answered(self) -> None:
        """Wait until no answer is being written."""
        await expect(self.button("Stop")).to_be_hidden(timeout=PATIENCE_MS)
        await expect(self.button("Copy").last).to_be_visible(timeout=PATIENCE_MS)

    async def copied(self) -> str:
        """The Markdown of the newest answer, by its button."""
        await self.button("Copy").last.click()
        await expect(self.button("Copied")).to_be_visible()
        text = await self.page.evaluate("navigator.clipboard.readText()")
        assert isinstance(text, str)
        return text

    async def another_tab(self) -> "Visit":
        """The same page once more in the same browser."""
        page = await self.page.context.new_page()
        await page.goto(self.page.url)
        return Visit(page, self.running, self.network, self.watch)


@frozen
class Visits:
    """Opens the playground, each time of a service of its own."""

    browser: Browser

    @asynccontextmanager
    async def opened(
        self,
        *answers: Answer,
        cuts: Sequence[int] = (),
        size: tuple[int, int] = WIDE,
        dark: bool = False,
        fragment: str = "",
        init_script: str = "",
        touch: bool = False,
        **variables: str,
    ) -> AsyncIterator[Visit]:
        """The page once it is ready; with `cuts`, over a network that breaks streams off there.

        `variables` are settings of the service, such as `RATE_LIMIT_REQUESTS="1/minute"`.
        """
        script = Script()
        script.next(*answers)
        settings = {"PLAYGROUND": "true", "UPSTREAM_MAX_RETRIES": "0"} | variables
        async with (
            running(script, groq_url=None, tracing=None, **settings) as service,
            cutting(service.client.port or 0, cuts) as network,
        ):
            # The network passes on few bytes at once: where nothing is cut, a page need not wait.
            url = network.url if cuts else str(service.client.make_url("")).rstrip("/")
            context = await self.browser.new_context(
                base_url=url,
                viewport={"width": size[0], "height": size[1]},
                color_scheme="dark" if dark else "light",
                has_touch=touch,
                is_mobile=touch,
                permissions=["clipboard-read", "clipboard-write"],
            )
            watch = Watch(urlsplit(url).netloc)
            watch.follow(context)
            await context.add_init_script(REPORTING + init_script)
            page = await context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            await page.goto(f"/{fragment}")
            # Where one must sign in first, that dialog is all there is.
            ready = page.locator("body[data-ready], dialog[open]").first
            await expect(ready).to_be_attached(timeout=PATIENCE_MS)
            try:
                yield Visit(page, service, network, watch)
            finally:
                await context.close()
            watch.verify()


async def refused_by(route: Route, slug: str, status: int = 503) -> None:
    """Answer a request with that problem, as if the service were so."""
    problem = {
        "type": f"/problems/{slug}",
        "title": slug,
        "status": status,
        "detail": f"this is what {slug} says",
        "request_id": "r-1",
    }
    content_type = "application/problem+json"
    await route.fulfill(status=status, content_type=content_type, body=json.dumps(problem))
