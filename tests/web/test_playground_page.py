"""Is the playground where it shall be, and nothing loaded on a page but what the package has?"""

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest
from aiohttp import hdrs
from web.outside import problem_of

from service.web import docs, playground
from service.web.files import PACKAGED
from support import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICIES = {"/": playground.POLICY, "/docs": docs.POLICY}
PAGES = {"/": playground.PAGE, "/docs": docs.PAGE}
BEYOND = {"HOST": "0.0.0.0", "ALLOW_ANONYMOUS": "true"}
SCRIPTS = sorted(
    file for file in PACKAGED.rglob("*.js") if "vendor" not in file.relative_to(PACKAGED).parts
)


def directives(policy: str) -> Mapping[str, list[str]]:
    """The sources of each directive."""
    return {name: sources for name, *sources in (part.split() for part in policy.split(";"))}


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_sent_under_its_policy(shared: Running, path: str) -> None:
    async with shared.client.get(path) as response:
        body, headers = await response.read(), response.headers

    assert response.status == 200
    assert body == (PACKAGED / PAGES[path]).read_bytes()
    assert headers[hdrs.CONTENT_TYPE] == "text/html; charset=utf-8"
    assert headers.getall(hdrs.CONTENT_SECURITY_POLICY) == [POLICIES[path]]
    assert headers[hdrs.CACHE_CONTROL] == "no-cache"
    assert headers[hdrs.X_FRAME_OPTIONS] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", PAGES)
async def test_what_is_still_the_same_comes_under_its_policy_too(
    shared: Running, path: str
) -> None:
    async with shared.client.get(path) as response:
        tag = {hdrs.IF_NONE_MATCH: response.headers[hdrs.ETAG]}
    async with shared.client.get(path, headers=tag) as response:
        assert response.status == 304
        assert response.headers[hdrs.CONTENT_SECURITY_POLICY] == POLICIES[path]


@pytest.mark.parametrize("path", PAGES)
async def test_a_policy_lets_nothing_run_that_is_not_a_file_of_the_service(path: str) -> None:
    policy = directives(POLICIES[path])

    assert "unsafe" not in POLICIES[path]
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["connect-src"] == ["'self'"]
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert policy[name] == ["'none'"]
    sources = {source for given in policy.values() for source in given}
    assert not [source for source in sources if "." in source or "*" in source or "//" in source]


async def test_on_the_playground_no_text_becomes_a_page_by_another_way_than_dompurify() -> None:
    policy = directives(playground.POLICY)

    assert policy["require-trusted-types-for"] == ["'script'"]
    assert policy["trusted-types"] == ["dompurify"]
    assert policy["style-src"] == ["'self'"]


# Where there is one.


@pytest.mark.parametrize(
    ("variables", "status"),
    [
        ({}, 200),
        ({"HOST": "localhost"}, 200),
        ({"HOST": "::1"}, 200),
        ({"PLAYGROUND": "false"}, 404),
        (BEYOND, 404),
        (BEYOND | {"PLAYGROUND": "true"}, 200),
    ],
)
async def test_there_is_one_where_it_is_asked_for_and_on_loopback(
    variables: dict[str, str], status: int
) -> None:
    async with running(None, groq_url=None, tracing=None, **variables) as service:
        async with service.client.get("/") as response:
            assert response.status == status
        async with service.client.get("/docs") as response:
            assert response.status == 200
        async with service.client.get("/static/chat-client.js") as response:
            assert response.status == 200


async def test_without_it_there_is_nothing() -> None:
    async with running(PLAYGROUND="false") as service, service.client.get("/") as response:
        await problem_of(response, 404, "not-found")
        assert "default-src 'none'" in response.headers[hdrs.CONTENT_SECURITY_POLICY]


# What they load.


class Loaded(HTMLParser):
    """What a page names, and what a policy would stop in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.stopped: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.stopped += [name for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.stopped.append(tag)
        if tag in {"link", "script", "img"}:
            self.addresses += [given.get("src") or given.get("href") or ""]


@pytest.mark.parametrize("path", PAGES)
async def test_what_a_page_names_is_there_and_is_ours(shared: Running, path: str) -> None:
    loaded = Loaded((PACKAGED / PAGES[path]).read_text(encoding="utf-8"))

    assert loaded.stopped == []
    assert loaded.addresses
    for address in loaded.addresses:
        assert re.fullmatch(r"static/[\w./-]+", address), "relative, for a proxy on a sub-path"
        async with shared.client.get(f"/{address}") as response:
            assert response.status == 200, address


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda it: it.relative_to(PACKAGED).as_posix())
async def test_a_script_of_ours_imports_what_is_there(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    imported = re.findall(r"""^(?:import |.* from )["'](.+)["'];$""", text, re.MULTILINE)

    assert [it for it in imported if not it.startswith(("./", "../"))] == []
    assert [it for it in imported if not (script.parent / it).is_file()] == []
