import gzip
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.auth.jwks import FetchError
from service.auth.sources import MOST_BYTES, source_of

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def body(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * int(request.match_info["size"]))

    async def redirect(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/size/1")

    async def fail(_request: web.Request) -> web.Response:
        return web.Response(status=503, body=b"{}")

    async def bomb(_request: web.Request) -> web.Response:
        packed = gzip.compress(b"\0" * (64 * MOST_BYTES))
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async def broken(_request: web.Request) -> web.Response:
        return web.Response(body=b"no gzip", headers={"Content-Encoding": "gzip"})

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "10"})
        await response.prepare(request)
        await response.write(b"12345")
        assert request.transport
        request.transport.abort()
        return response

    app = web.Application()
    app.router.add_get("/size/{size}", body)
    handlers: dict[str, Answer] = {
        "redirect": redirect,
        "fail": fail,
        "bomb": bomb,
        "broken": broken,
        "cut": cut,
    }
    for name, handler in handlers.items():
        app.router.add_get(f"/{name}", handler)
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


async def fault_of(where: str) -> str:
    with pytest.raises(FetchError) as raised:
        await source_of(where)()
    assert raised.value.__cause__ is None
    return str(raised.value)


class TestAUrl:
    async def test_gives_what_is_there(self, server: TestServer) -> None:
        assert await source_of(str(server.make_url("/size/3")))() == b"xxx"

    async def test_may_give_so_much_and_no_more(self, server: TestServer) -> None:
        fits = await source_of(str(server.make_url(f"/size/{MOST_BYTES}")))()

        assert len(fits) == MOST_BYTES
        assert "larger than" in await fault_of(str(server.make_url(f"/size/{MOST_BYTES + 1}")))

    async def test_may_give_so_much_when_it_is_unpacked(self, server: TestServer) -> None:
        said = await fault_of(str(server.make_url("/bomb")))

        assert "larger than" in said or "cannot be asked" in said

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("redirect", "the server answered with status 302"),
            ("fail", "the server answered with status 503"),
            ("none", "the server answered with status 404"),
        ],
    )
    async def test_that_answers_otherwise_is_told_by_its_status(
        self, path: str, said: str, server: TestServer
    ) -> None:
        assert await fault_of(str(server.make_url(f"/{path}"))) == said

    @pytest.mark.parametrize("path", ["broken", "cut"])
    async def test_that_breaks_off_is_a_fault(self, path: str, server: TestServer) -> None:
        assert "the server cannot be asked" in await fault_of(str(server.make_url(f"/{path}")))

    async def test_that_nobody_serves_is_told_without_itself(self, unused_tcp_port: int) -> None:
        said = await fault_of(f"http://user:hidden@127.0.0.1:{unused_tcp_port}/jwks?key=hidden")

        assert said.startswith("the server cannot be asked: Client")
        assert "hidden" not in said
        assert str(unused_tcp_port) not in said

    @pytest.mark.parametrize("url", ["http://[", "HTTP://", "http://a b/"])
    async def test_that_is_none_is_a_fault(self, url: str) -> None:
        assert "the server cannot be asked" in await fault_of(url)


class TestAFile:
    async def test_gives_what_is_there_each_time(self, tmp_path: Path) -> None:
        file = tmp_path / "jwks.json"
        source = source_of(str(file))
        given_bytes = []
        for content in (b"1", b"2"):
            file.write_bytes(content)
            given_bytes.append(await source())

        assert given_bytes == [b"1", b"2"]

    async def test_may_give_so_much_and_no_more(self, tmp_path: Path) -> None:
        file = tmp_path / "jwks.json"
        file.write_bytes(b"x" * MOST_BYTES)
        fits = await source_of(str(file))()
        os.truncate(file, MOST_BYTES + 1)

        assert len(fits) == MOST_BYTES
        assert "larger than" in await fault_of(str(file))

    async def test_that_cannot_be_read_is_told_why(self, tmp_path: Path) -> None:
        assert await fault_of(str(tmp_path / "none")) == (
            "the file cannot be read: No such file or directory"
        )
        assert await fault_of(str(tmp_path)) == "the file cannot be read: Is a directory"
        assert await fault_of("a\0b") == "the file cannot be read: not a path"
