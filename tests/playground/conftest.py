"""A browser for the playground's tests, and visits to a service of their own.

A test needs nothing but the fixture `visits`:

    pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

    async def test_…(visits: Visits) -> None:
        async with visits.opened(said("Hello")) as visit:      # answers of the Groq look-alike
            await visit.ask("Hi")
            await expect(visit.last_answer).to_have_text("Hello")

`visit.page` is Playwright's page, `visit.running` the service behind it (see `support.Running`),
`visit.network` the network between them, which may be cut (see `cutting.Network`). When the visit
ends, whatever went wrong in the page fails the test: see `playground.visiting.Watch`.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playground.visiting import CHROMIUM, CHROMIUM_ARGUMENTS, Visits
from playwright.async_api import Browser, async_playwright


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for the tests of a module."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS
        )
        yield browser
        await browser.close()


@pytest.fixture
def visits(browser: Browser) -> Visits:
    """Opens the playground of a service of its own."""
    return Visits(browser)
