"""What stands beside the chat? The sidebar, the settings and the inspector, as a test uses them."""

from attrs import frozen
from playground.visiting import Visit
from playwright.async_api import Locator, expect
from web.outside import Json, shown

CONVERSATION = "location.hash.slice('#c='.length)"
LASTING_PLACES = "JSON.stringify([{ ...localStorage }, document.cookie])"
"""What outlives the tab."""


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


async def stored(visit: Visit) -> Json:
    """The conversation that is open, as the service keeps it."""
    conversation_id = await visit.page.evaluate(CONVERSATION)
    assert isinstance(conversation_id, str)
    return await shown(visit.running, conversation_id)
