"""Are the files of the package sent to browsers, and nothing else?"""

import gzip
import json
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import hdrs
from attrs import frozen
from multidict import CIMultiDictProxy
from web.outside import exchange, request_bytes

from credentials import entries
from service.web.files import PACKAGED, Files
from support import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENT = "/static/chat-client.js"
LARGE = "/static/vendor/swagger-ui.js"
PLAIN = {"Accept-Encoding": "identity"}
CLOSE = "Connection: close"
OURS = {"Origin": "http://localhost:3000"}
PAGES = {".html"}
NOT_SENT = {".ts", *PAGES}
"""Types are for who works on the pages; pages are at paths of their own."""
SENT = sorted(
    file.relative_to(PACKAGED).as_posix()
    for file in PACKAGED.rglob("*")
    if file.is_file() and file.suffix not in NOT_SENT
)
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Running]:
    async with running() as service:
        yield service


@frozen
class Got:
    """A response."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


async def got(
    service: Running, path: str, headers: Mapping[str, str] = PLAIN, method: str = hdrs.METH_GET
) -> Got:
    """What is answered."""
    async with service.client.request(method, path, headers=headers) as response:
        return Got(response.status, response.headers, await response.read())


@pytest.mark.parametrize("name", SENT)
async def test_a_file_is_sent_as_it_is_and_as_what_it_is(here: Running, name: str) -> None:
    response = await got(here, f"/static/{name}")

    assert response.status == 200
    assert response.body == (PACKAGED / name).read_bytes()
    assert response.headers[hdrs.CONTENT_TYPE] == CONTENT_TYPES[Path(name).suffix]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert hdrs.CONTENT_ENCODING not in response.headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/vendor",
        "/static/vendor/",
        "/static/nothing.js",
        "/static/chat-client.js/",
        "/static/playground/index.html",
        "/static/docs/index.html",
        "/static/vendor/marked.d.ts",
    ],
)
async def test_what_is_no_file_to_be_sent_is_not_found(here: Running, path: str) -> None:
    async with here.client.get(path) as response:
        problem = await response.json(content_type="application/problem+json")

    assert (response.status, problem["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../settings.py",
        "/static/../web/static.py",
        "/static/%2e%2e/settings.py",
        "/static/..%2fsettings.py",
        "/static/docs/..%2f..%2f..%2fsetup.cfg",
        "/static/docs/../../../LICENSE",
        "/static//etc/hostname",
        "/static/%2fetc%2fhostname",
        "/static/..%5csettings.py",
        "/static/chat-client.js%00",
        "/static/chat-client.js%00.css",
        f"/static/{'a' * 300}.js",
        f"/static/{'a/' * 3000}b.js",
    ],
)
async def test_no_path_leads_out(here: Running, path: str) -> None:
    # As bytes: a client would tidy the path.
    status, _, body = await exchange(here.client, request_bytes("GET", path, b"", CLOSE))

    assert (status, json.loads(body)["type"]) == (404, "/problems/not-found")


async def test_no_link_leads_out(tmp_path: Path) -> None:
    outside = tmp_path / "secret.txt"
    outside.write_text("secret", encoding="utf-8")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.txt").symlink_to(outside)
    (root / "up").symlink_to(tmp_path)
    (root / "round.txt").symlink_to(root / "round.txt")
    (root / "in.txt").write_text("in", encoding="utf-8")
    os.mkfifo(root / "pipe.txt")
    files = Files(root)

    found = {name: await files.find(name) for name in ("link.txt", "up/secret.txt", "round.txt")}
    inside = await files.find("in.txt")

    assert found == dict.fromkeys(found)
    assert await files.find("pipe.txt") is None
    assert inside is not None
    assert inside.body == b"in"


async def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.css"
    file.write_text("a {}", encoding="utf-8")
    files = Files(tmp_path)
    before = await files.find("a.css")
    again = await files.find("a.css")
    file.write_text("a { color: red }", encoding="utf-8")
    after = await files.find("a.css")

    assert before
    assert after
    assert again is before
    assert after.body == b"a { color: red }"
    assert after.tag != before.tag


# Caching.


async def test_who_has_the_file_is_told_so(here: Running) -> None:
    first = await got(here, CLIENT)
    tag = first.headers[hdrs.ETAG]
    again = await got(here, CLIENT, PLAIN | {"If-None-Match": f'"other", W/{tag}'})
    other = await got(here, CLIENT, PLAIN | {"If-None-Match": '"other"'})

    assert first.headers[hdrs.CACHE_CONTROL] == "no-cache"
    assert (again.status, again.body) == (304, b"")
    assert (again.headers[hdrs.ETAG], again.headers[hdrs.CACHE_CONTROL]) == (tag, "no-cache")
    assert set(again.headers.getall(hdrs.VARY)) == {"Accept-Encoding", "Origin"}
    assert hdrs.CONTENT_TYPE not in again.headers
    assert other.status == 200


async def test_head_tells_the_same_without_the_file(here: Running) -> None:
    whole = await got(here, CLIENT)
    head = await got(here, CLIENT, PLAIN, hdrs.METH_HEAD)

    same = (hdrs.ETAG, hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH, hdrs.CACHE_CONTROL)
    assert (head.status, head.body) == (200, b"")
    assert [head.headers[name] for name in same] == [whole.headers[name] for name in same]


async def test_it_cannot_be_written(here: Running) -> None:
    assert (await got(here, CLIENT, PLAIN, hdrs.METH_PUT)).status == 405


# Compression.


async def test_a_large_file_comes_compressed_to_who_can_take_it(here: Running) -> None:
    plain = await got(here, LARGE)
    # As bytes: a client would unpack it.
    request = request_bytes("GET", LARGE, b"", CLOSE, "Accept-Encoding: br, gzip;q=0.8")
    status, headers, body = await exchange(here.client, request)

    assert status == 200
    assert b"\r\nContent-Encoding: gzip\r\n" in headers
    assert plain.headers[hdrs.ETAG].encode() not in headers
    assert gzip.decompress(body) == plain.body
    assert len(body) * 3 < len(plain.body)


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "gzip; q=0.0", "x-gzip"])
async def test_who_cannot_take_it_gets_it_plain(here: Running, accepted: str) -> None:
    response = await got(here, LARGE, {"Accept-Encoding": accepted})

    assert hdrs.CONTENT_ENCODING not in response.headers
    assert "Accept-Encoding" in response.headers.getall(hdrs.VARY)


# Who may load it.


async def test_pages_of_our_origins_may_import_the_client(here: Running) -> None:
    ours = await got(here, CLIENT, PLAIN | OURS)
    unchanged = await got(here, CLIENT, PLAIN | OURS | {"If-None-Match": ours.headers[hdrs.ETAG]})
    others = await got(here, CLIENT, PLAIN | {"Origin": "https://evil.example"})

    assert ours.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] == OURS["Origin"]
    assert unchanged.status == 304
    assert unchanged.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] == OURS["Origin"]
    assert hdrs.ACCESS_CONTROL_ALLOW_ORIGIN not in others.headers
    assert others.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize("path", [CLIENT, LARGE, "/", "/docs"])
async def test_nobody_is_asked_who_they_are(path: str) -> None:
    async with running(API_KEYS=entries("ann")) as service:
        response = await got(service, path)

    assert response.status == 200


@pytest.mark.parametrize("path", [CLIENT, "/", "/docs"])
async def test_names_that_a_page_led_here_are_refused(here: Running, path: str) -> None:
    led_here = {"Host": f"rebound.example:{here.client.port}"}

    response = await got(here, path, led_here)

    assert response.status == 403


def every(directory: Path) -> Iterable[str]:
    return (file.suffix for file in directory.rglob("*") if file.is_file())


async def test_every_kind_of_file_in_the_package_is_known() -> None:
    assert set(every(PACKAGED)) <= CONTENT_TYPES.keys() | NOT_SENT
