"""Is it so, what README.md says? What it prints is run, what it lists is compared.

What is printed is run as it stands, but for one substitution: http://localhost:8000, the address
of the service, becomes that of the service under test.
"""

import asyncio
import hashlib
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import attrs
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import frozen
from playwright.async_api import Browser, async_playwright

from cutting import cutting
from service.core.catalogue import PARAMETER_TYPES
from service.core.errors import Kind
from service.core.request import ChatRequest
from service.settings import Settings
from service.simulator import Answer, Refusal, Script, Text, error_data
from service.web.routes import ROUTES
from support import MODEL, Running, all_frames, catalogue, running

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
ENV_EXAMPLE = (ROOT / "config" / ".env.example").read_text(encoding="utf-8")

PRINTED_URL = "http://localhost:8000"
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
QUESTION = {"model": MODEL, "user_prompt": "Explain quantum computing"}

# Problems that only what a later version has can answer.
LATER = {Kind.UNAUTHORIZED, Kind.RATE_LIMITED}

# An answer that shows every mistake of a reader: many scripts, line ends, markup, what looks like
# a frame. It is slow enough not to arrive at once, and long enough for all cuts.
CONTENT = "".join(
    f"{number}. Zażółć “ὥρα” 天地玄黃 👩🏽‍💻 <b>&amp;</b>\r\n\n\tdata: {{}}\nid: 7:{number}\u2028"
    for number in range(100)
)
ANSWER = Text(CONTENT, reasoning="Let me see.", tokens_per_second=3000)
CUTS = (0, 3001, 1013, 2513)


def by_heading() -> dict[str, str]:
    """What stands below each heading, up to the next one of any level; `#` in code is none."""
    parts = re.split(r"^(```.*?^```)$", README, flags=re.MULTILINE | re.DOTALL)
    texts, heading = {"": ""}, ""
    for number, part in enumerate(parts):
        pieces = [part] if number % 2 else re.split(r"^#+ (.+)\n", part, flags=re.MULTILINE)
        texts[heading] += pieces[0]
        for heading, text in zip(pieces[1::2], pieces[2::2], strict=True):
            assert heading not in texts, f"two headings {heading!r}"
            texts[heading] = text
    return texts


def section(heading: str) -> str:
    """What stands below a heading."""
    return by_heading()[heading]


def blocks(language: str, text: str = README) -> list[str]:
    """What is printed in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def only(language: str, heading: str) -> str:
    """The only block in that language below a heading."""
    [block] = blocks(language, section(heading))
    return block


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    lines = re.findall(r"^\| (.*) ?\|$", section(heading), re.MULTILINE)
    return [[cell.strip() for cell in line.split(" |")] for line in lines[2:]]


# The shell.


async def shell(block: str, running_service: Running, directory: Path) -> str:
    """What a block prints, run in that directory by a shell that stops at the first failure."""
    url = str(running_service.client.make_url("")).rstrip("/")
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euc",
        block.replace(PRINTED_URL, url),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, faults = await process.communicate()
    assert process.returncode == 0, faults.decode()
    return printed.decode()


def events_of(stream: str) -> list[dict[str, object]]:
    return [json.loads(line[6:]) for line in stream.split("\n") if line.startswith("data: ")]


def answer_of(events: Sequence[dict[str, object]]) -> str:
    return "".join(str(event.get("content", "")) for event in events)


@pytest.mark.parametrize("block", [block for block in blocks("sh") if "curl" in block])
async def test_a_printed_curl_runs_and_is_answered(block: str, tmp_path: Path) -> None:
    async with running() as service:
        printed = await shell(block, service, tmp_path)

    assert printed
    assert ("/problems/" in printed) == ("3.5" in block)


async def test_the_printed_curl_streams_the_answer(tmp_path: Path) -> None:
    [ask] = [block for block in blocks("sh", section("Quick start")) if "curl -N" in block]
    script = Script()
    script.next(ANSWER)
    async with running(script) as service:
        printed = await shell(ask, service, tmp_path)

    assert answer_of(events_of(printed)) == CONTENT


async def test_the_printed_curls_resume_after_a_cut(tmp_path: Path) -> None:
    [resume] = [block for block in blocks("sh", section("Quick start")) if "begin.txt" in block]
    script = Script()
    script.next(ANSWER)
    async with running(script) as service:
        printed = await shell(resume, service, tmp_path)

    begin = (tmp_path / "begin.txt").read_text(encoding="utf-8")
    assert len(events_of(begin)) == 10
    assert answer_of(events_of(begin)) != CONTENT
    assert answer_of(events_of(printed)) == CONTENT
    assert len(script.requests) == 1


async def test_the_printed_curl_for_a_bad_request_is_told_its_fault(tmp_path: Path) -> None:
    async with running() as service:
        printed = await shell(only("sh", "Problems"), service, tmp_path)

    problem = json.loads(printed)
    assert problem["type"] == "/problems/validation-error"
    assert [fault["pointer"] for fault in problem["errors"]] == ["#/hyperparameters/temperature"]


async def test_the_printed_backup_holds_the_conversations(tmp_path: Path) -> None:
    [backup] = [block for block in blocks("sh") if "backup" in block]
    store = f"sqlite:///{tmp_path}/data/conversations.db"
    async with running(CONVERSATION_STORE=store) as service:
        await service.client.post("/api/chat", json=QUESTION)
        await shell(backup, service, tmp_path)

    copy = sqlite3.connect(tmp_path / "backup.db")
    [count] = copy.execute("SELECT count(*) FROM messages").fetchone()
    copy.close()
    assert count == 2


def test_every_block_is_of_a_language_that_is_run_or_compared() -> None:
    languages = re.findall(r"^```(\w+)$", README, re.MULTILINE)

    assert len(languages) * 2 == len(re.findall(r"^```", README, re.MULTILINE))
    assert set(languages) == {"sh", "js", "html", "json", "text"}


# Browsers.


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
class Visitor:
    """Opens the printed page with a printed script, from another origin than the service's."""

    browser: Browser
    port: int

    async def visit(
        self, source: str, answers: Sequence[Answer], cuts: Sequence[int] = ()
    ) -> Visit:
        """Wait until the page says that it is done, over a network that breaks off."""
        script = Script()
        script.next(*answers)
        origin = f"http://127.0.0.1:{self.port}"
        async with (
            running(script, CORS_ORIGINS=origin, UPSTREAM_MAX_RETRIES="0") as service,
            cutting(service.client.port or 0, cuts) as network,
            TestServer(site_of(source.replace(PRINTED_URL, network.url)), port=self.port),
        ):
            page = await self.browser.new_page()
            await page.add_init_script(
                "window.EventSource = class extends EventSource {"
                "  constructor(...given) { super(...given); window.opened = this; }"
                "};"
            )
            await page.goto(origin)
            await page.wait_for_function("document.querySelector('#state').textContent")
            visit = Visit(
                await page.text_content("#answer") or "",
                await page.text_content("#state") or "",
                len(script.requests),
                len(network.cuts),
                await page.evaluate("window.opened?.readyState ?? null"),
            )
            await page.close()
        return visit


@pytest.fixture
def visitor(browser: Browser, unused_tcp_port: int) -> Visitor:
    return Visitor(browser, unused_tcp_port)


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("heading", ["Simple", "Resuming", "EventSource"])
async def test_a_printed_script_shows_the_answer(visitor: Visitor, heading: str) -> None:
    visit = await visitor.visit(only("js", heading), [ANSWER])

    assert visit.answer == CONTENT
    assert visit.state == "stop"


def test_no_other_script_is_printed() -> None:
    assert len(blocks("js")) == 3


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_the_resuming_script_is_exact_however_often_it_is_cut_off(visitor: Visitor) -> None:
    visit = await visitor.visit(only("js", "Resuming"), [ANSWER], CUTS)

    assert visit.answer == CONTENT
    assert visit.state == "stop"
    assert visit.cuts_left == 0
    assert visit.requests_to_groq == 1


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_the_event_source_resumes_by_itself_and_stops_at_the_end(visitor: Visitor) -> None:
    visit = await visitor.visit(only("js", "EventSource"), [ANSWER], [3001])

    closed = 2
    assert visit.answer == CONTENT
    assert visit.state == "stop"
    assert visit.cuts_left == 0
    assert visit.requests_to_groq == 1
    assert visit.event_source_state == closed


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_the_resuming_script_waits_for_what_can_pass(visitor: Visitor) -> None:
    busy = Refusal(429, error_data("Too many requests"), {"retry-after": "0.1"})
    visit = await visitor.visit(only("js", "Resuming"), [busy, ANSWER])

    assert visit.answer == CONTENT
    assert visit.state == "stop"
    assert visit.requests_to_groq == 2


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_the_resuming_script_tells_what_cannot_be_helped(visitor: Visitor) -> None:
    source = only("js", "Resuming").replace(MODEL, "no-such-model")
    visit = await visitor.visit(source, [ANSWER])

    assert visit.answer == ""
    assert '"no-such-model" is not in the catalogue' in visit.state
    assert visit.requests_to_groq == 0


# The API.


def test_the_api_table_has_every_route_and_no_other() -> None:
    cells = " ".join(row[0] for row in rows("API"))
    listed = re.findall(r"`([A-Z]+) (/[^`]*)`", cells)

    assert sorted(listed) == sorted((route.method, route.path) for route in ROUTES)


async def test_the_printed_request_has_every_field_and_is_accepted() -> None:
    request = json.loads(only("json", "The request"))
    model = catalogue().find(MODEL)
    assert model

    async with running() as service:
        response = await service.client.post("/api/chat", json=request)
        answer = await response.json()

    assert response.status == 200, answer
    assert list(request) == list(attrs.fields_dict(ChatRequest))
    assert list(request["hyperparameters"]) == [
        name for name, parameter in model.parameters.items() if parameter.supported
    ]


def test_every_hyperparameter_is_named() -> None:
    assert not [name for name in PARAMETER_TYPES if name not in section("The request")]


async def test_the_printed_events_have_the_fields_of_real_ones() -> None:
    printed = events_of(only("text", "The events of a stream"))
    script = Script()
    script.next(Text("Quantum"))
    async with running(script) as service:
        response = await service.client.post("/api/chat/stream", json=QUESTION)
        real = [frame.data for frame in await all_frames(response)]

    assert [list(event) for event in printed] == [list(event) for event in real]
    assert {name for row in rows("The events of a stream") for name in row[0].split("`")[1::2]} == {
        "started",
        "delta",
        "snapshot",
        "finished",
        "failed",
    }


def test_the_printed_events_prove_their_text() -> None:
    events = events_of(only("text", "The events of a stream"))
    content = answer_of(events).encode()

    assert events[-1]["content_length"] == len(content)
    assert events[-1]["content_sha256"] == hashlib.sha256(content).hexdigest()


def test_the_table_of_problems_has_every_problem_of_this_version_and_no_other() -> None:
    listed = [(row[0].strip("`"), int(row[1])) for row in rows("Problems")]

    assert sorted(listed) == sorted((kind.slug, kind.status) for kind in Kind if kind not in LATER)


# Configuration, make and links.


def shown(value: object) -> str:
    """A default as the environment would give it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def test_the_table_of_settings_is_what_the_settings_are() -> None:
    listed = [
        (name.strip("`"), default.strip("`–"), help_)
        for name, default, help_ in rows("Configuration")
    ]

    assert listed == [
        (field.name.upper(), shown(field.default), field.metadata["help"])
        for field in attrs.fields(Settings)
    ]


def test_the_example_of_a_dot_env_has_every_setting_and_its_default() -> None:
    now, _, later = ENV_EXAMPLE.partition("# --- For a later version")
    settings = {field.name.upper(): shown(field.default) for field in attrs.fields(Settings)}

    assert dict(re.findall(r"^#?([A-Z_]+)=(.*)$", now, re.MULTILINE)) == settings
    assert not set(re.findall(r"^#?([A-Z_]+)=", later, re.MULTILINE)) & settings.keys()


def test_every_target_of_make_that_is_named_exists() -> None:
    code = " ".join([*blocks("sh"), *re.findall(r"`([^`\n]+)`", README)])
    named = set(re.findall(r"\bmake ([a-z]+)", code))

    assert {"run", "test"} <= named
    assert named <= set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))


def test_relative_links_lead_somewhere() -> None:
    headings = [heading for heading in by_heading() if heading]
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(([^)]+)\)", README)
    relative = [link for link in links if not link.startswith("https://")]

    assert relative
    assert not [link for link in relative if link[0] == "#" and link[1:] not in anchors]
    assert not [link for link in relative if link[0] != "#" and not (ROOT / link).exists()]


def test_every_path_of_the_layout_exists() -> None:
    layout = only("text", "Development")

    assert not [line for line in layout.splitlines() if not (ROOT / line.split()[0]).exists()]
