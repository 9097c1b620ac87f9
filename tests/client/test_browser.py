"""Does the client do in a browser what only a browser has: going offline, and coming back?"""

import pytest
from client.driving import url_of
from client.hosting import browsing
from playwright.async_api import Page, expect
from web.outside import Held, said

from support import running

pytestmark = pytest.mark.browser

COUNTING = """
globalThis.listening = 0;
for (const target of [window, document]) {
  const { addEventListener, removeEventListener } = target;
  target.addEventListener = function (...given) {
    listening += 1;
    addEventListener.apply(this, given);
  };
  target.removeEventListener = function (...given) {
    listening -= 1;
    removeEventListener.apply(this, given);
  };
}
"""

PAGE = """<!doctype html><title>Page</title><pre></pre><p></p>
<script type="module">
import {{ ChatClient }} from "{url}/static/chat-client.js";
const timing = {{ backoffSeconds: 1e6, backoffMaxSeconds: 1e6 }};
globalThis.client = new ChatClient({{ baseUrl: "{url}", transport: "{transport}", timing }});
client.addEventListener("connection", ({{ detail }}) => {{
  document.querySelector("p").textContent = detail.state;
}});
const run = client.start({{ model: "openai/gpt-oss-20b", user_prompt: "Hello" }});
run.addEventListener("change", () => {{
  document.querySelector("pre").textContent = `${{run.content}} ${{run.status}}`;
}});
run.done.then(({{ content_sha256 }}) => document.title = content_sha256);
</script>"""
OF_HELLO = "185f8db32271fe25f561a6fc938b2e264306ec304eda518007d1764826381969"


async def shows(page: Page, text: str, state: str) -> None:
    await expect(page.locator("pre")).to_have_text(text)
    await expect(page.locator("p")).to_have_text(state)


async def test_it_comes_back_at_once_with_the_network_and_not_before(transport: str) -> None:
    held = Held()
    async with browsing() as (context, site), running(CORS_ORIGINS=site.origin) as served:
        served.script.next(held.answer)
        site.html = PAGE.format(url=url_of(served), transport=transport)
        page = await context.new_page()
        await page.goto(site.origin)
        await shows(page, "Hel running", "open")
        await page.evaluate("client.cut()")
        await shows(page, "Hel running", "waiting")
        held.let_go()

        await context.set_offline(True)
        await context.set_offline(False)

        await expect(page).to_have_title(OF_HELLO)
        await expect(page.locator("pre")).to_have_text("Hello finished")
    assert len(served.script.requests) == 1


async def test_a_switch_in_mid_answer_and_a_close_leave_nothing_behind(transport: str) -> None:
    held = Held()
    async with browsing() as (context, site), running(CORS_ORIGINS=site.origin) as served:
        served.script.next(held.answer, said("Hello"))
        site.html = PAGE.format(url=url_of(served), transport=transport)
        page = await context.new_page()
        await page.add_init_script(COUNTING)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        await page.goto(site.origin)
        await shows(page, "Hel running", "open")
        other = "sse" if transport == "websocket" else "websocket"
        await page.evaluate(f"client.transport = '{other}'")
        held.let_go()
        await expect(page).to_have_title(OF_HELLO)

        listening = await page.evaluate("listening")
        await page.evaluate("client.start({ model: 'm', user_prompt: 'x' }); client.close()")
        await expect(page.locator("p")).to_have_text("idle")
        await context.set_offline(True)
        await context.set_offline(False)
        await expect(page.locator("p")).to_have_text("idle")

        left = await page.evaluate("listening")

    assert faults == []
    assert listening > left == 0
    assert len(served.script.requests) == 1
