"""What stands beside the chat? The sidebar, the settings and the inspector, as a test uses them."""

import re

from attrs import frozen
from playground.visiting import Visit
from playwright.async_api import Locator, expect
from web.outside import Json, shown

from credentials import key_of

LIST = re.compile("/api/conversations([?]|$)")
CONVERSATION = "location.hash.slice('#c='.length)"
LASTING_PLACES = "JSON.stringify([{ ...localStorage }, document.cookie])"
"""What outlives the tab."""
NO_LOOKS = """
const every = setInterval;
globalThis.setInterval = (look, wait) => (wait < 2000 ? every(look, wait) : 0);
"""
"""For a page that reads anew what it was told of, and does not look by itself."""
TAB_PLACES = "JSON.stringify({ ...sessionStorage })"
"""What lives as long as the tab."""


@frozen
class Sidebar:
    """The list of conversations."""

    visit: Visit

    @property
    def root(self) -> Locator:
        """All of it."""
        return self.visit.page.get_by_role("navigation", name="Conversations")

    @property
    def search(self) -> Locator:
        """Where one looks for words."""
        return self.root.get_by_role("searchbox", name="Search conversations")

    @property
    def links(self) -> Locator:
        """The conversations."""
        return self.root.get_by_role("link")

    def link(self, title: str) -> Locator:
        """The conversation of that title."""
        return self.root.get_by_role("link", name=title, exact=True)

    def new_title_of(self, title: str) -> Locator:
        """The field for it."""
        return self.root.get_by_role("textbox", name=f"New title of {title}", exact=True)

    async def rename(self, title: str, new: str) -> Locator:
        """Write another title; Enter is not pressed yet."""
        await self.choose(title, "Rename")
        field = self.new_title_of(title)
        await expect(field).to_be_focused()
        await field.fill(new)
        return field

    async def read_anew(self) -> None:
        """As after a change in another tab."""
        async with self.visit.page.expect_request(LIST):
            await self.visit.page.evaluate("new BroadcastChannel('ai-library').postMessage('it')")

    async def choose(self, title: str, action: str) -> None:
        """An action from a conversation's menu."""
        await self.link(title).hover()
        await self.root.get_by_role("button", name=f"Actions for {title}", exact=True).click()
        await self.visit.page.get_by_role("menuitem", name=action, exact=True).click()


@frozen
class Settings:
    """The dialog for what is sent beside the question."""

    visit: Visit

    @property
    def root(self) -> Locator:
        """All of it."""
        return self.visit.page.get_by_role("dialog", name="Settings")

    @property
    def model(self) -> Locator:
        """The choice of the model."""
        return self.root.get_by_role("combobox", name="Model", exact=True)

    def text(self, name: str) -> Locator:
        """The field that one types into."""
        return self.root.get_by_role("textbox", name=name, exact=True)

    def choice(self, name: str) -> Locator:
        """The field that one chooses from."""
        return self.root.get_by_role("combobox", name=name, exact=True)

    async def open(self) -> None:
        """Show it."""
        await self.visit.button("Settings").click()
        await expect(self.root).to_be_visible()

    async def done(self) -> None:
        """Hide it."""
        await self.root.get_by_role("button", name="Done").click()
        await expect(self.root).to_be_hidden()

    async def add_stop(self, *texts: str) -> None:
        """Texts before which the answer shall end."""
        for number, text in enumerate(texts, 1):
            await self.root.get_by_role("button", name="Add to stop").click()
            await self.text(f"Stop {number}").fill(text)


@frozen
class Inspector:
    """The panel beside the answer."""

    visit: Visit

    @property
    def root(self) -> Locator:
        """All of it."""
        return self.visit.page.get_by_role("complementary", name="Inspector")

    @property
    def events(self) -> Locator:
        """Those that are in sight."""
        return self.root.get_by_role("listbox", name="Events").get_by_role("option")

    def transport(self, name: str) -> Locator:
        """One of the ways to read."""
        return self.root.get_by_role("radiogroup", name="Transport").get_by_role("radio", name=name)

    async def cut(self) -> None:
        """Lose the network."""
        await self.root.get_by_role("button", name="Cut connection").click()

    async def figures(self) -> dict[str, str]:
        """Every figure by its name, as the exact value that is behind the text."""
        pairs: list[tuple[str, str]] = await self.root.evaluate(
            "root => [...root.querySelectorAll('dl > div')]"
            ".map(pair => [pair.querySelector('dt').textContent, pair.querySelector('data').value])"
        )
        return dict(pairs)


@frozen
class SignIn:
    """The dialog that asks who one is, in a service that knows ada."""

    visit: Visit

    @property
    def root(self) -> Locator:
        """All of it."""
        return self.visit.page.get_by_role("dialog", name="Sign in")

    @property
    def key(self) -> Locator:
        """Where the key goes."""
        return self.root.get_by_label("API key or token")

    @property
    def offers(self) -> Locator:
        """The buttons that open it."""
        return self.visit.button("Sign in").and_(self.visit.page.locator(":not(dialog *)"))

    async def give(self, key: str) -> None:
        """Sign in by that key."""
        await self.key.fill(key)
        await self.root.get_by_role("button", name="Sign in").click()

    async def done(self, name: str = "ada") -> None:
        """Give the right key, and wait until the page is ready."""
        await self.give(key_of(name))
        await expect(self.root).to_be_hidden()
        await expect(self.visit.page.locator("body[data-ready]")).to_be_attached()

    async def revoked(self) -> None:
        """From now on the service does not know the key of this tab."""
        await self.visit.page.evaluate("sessionStorage['ai-library.token'] = 'ail_ada_revoked'")


async def stored(visit: Visit) -> Json:
    """The conversation that is open, as the service keeps it."""
    conversation_id = await visit.page.evaluate(CONVERSATION)
    assert isinstance(conversation_id, str)
    return await shown(visit.running, conversation_id)
