"""Where do pages of somebody else come from? A host of their own, in a Chromium of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from attrs import define
from playground.visiting import CHROMIUM, CHROMIUM_ARGUMENTS
from playwright.async_api import BrowserContext, async_playwright


@define
class Site:
    """A host with one page."""

    html: str = ""
    origin: str = ""

    async def index(self, _: web.Request) -> web.Response:
        """The page."""
        return web.Response(text=self.html, content_type="text/html", charset="utf-8")

    async def icon(self, _: web.Request) -> web.Response:
        """Nothing, so that no browser complains."""
        return web.Response(status=204)


@asynccontextmanager
async def browsing() -> AsyncIterator[tuple[BrowserContext, Site]]:
    """A browser, and a site that it can visit."""
    site = Site()
    app = web.Application()
    app.router.add_get("/", site.index)
    app.router.add_get("/favicon.ico", site.icon)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        site.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS
            )
            yield await browser.new_context(), site
            await browser.close()
    finally:
        await runner.cleanup()
