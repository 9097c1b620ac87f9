"""Do the examples in docs/chat-client.md work as they stand?"""

import asyncio
import re
import shutil
from pathlib import Path

import pytest
from client.driving import NODE, url_of
from client.hosting import browsing
from playwright.async_api import expect
from web.outside import said

from service.simulator import Refusal, error_data
from support import running

ROOT = NODE.parent.parent
DOCS = (ROOT / "docs" / "chat-client.md").read_text(encoding="utf-8")
SERVICE = "http://127.0.0.1:8000"


def example(language: str) -> str:
    """The first one in that language."""
    match = re.search(rf"^```{language}\n(.*?)^```$", DOCS, re.DOTALL | re.MULTILINE)
    assert match
    return match[1]


@pytest.mark.browser
async def test_the_page_of_the_quick_start_works_from_another_origin() -> None:
    async with browsing() as (context, site), running(CORS_ORIGINS=site.origin) as served:
        served.script.next(said("Because ", "of Rayleigh."), Refusal(400, error_data("No.")))
        site.html = example("html").replace(SERVICE, url_of(served))
        page = await context.new_page()
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        await page.goto(site.origin)
        await page.get_by_role("button", name="Ask").click()
        await expect(page.locator("pre")).to_have_text("Because of Rayleigh.")
        await page.get_by_role("button", name="Ask").click()
        await expect(page.locator("pre")).to_contain_text("No.")

    assert faults == []
    assert served.script.requests[0].body["model"] == "openai/gpt-oss-20b"


@pytest.mark.servers
async def test_the_program_for_node_works(tmp_path: Path) -> None:
    shutil.copy(ROOT / "service" / "static" / "chat-client.js", tmp_path / "chat-client.js")
    (tmp_path / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    node = shutil.which("node")
    assert node, "Node is missing: .ci/programs installs it"
    async with running() as served:
        served.script.next(said("Hel", "lo"))
        program = tmp_path / "ask.js"
        program.write_text(example("js").replace(SERVICE, url_of(served)), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            node, program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(20):
            out, errors = await process.communicate()

    assert (out, errors) == (b"Hello", b"")
