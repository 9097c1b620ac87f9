"""Does the client get its answers where WebSockets do not get through?"""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from client.driving import PATIENCE_SECONDS, check_exact, page, url_of
from client.scripted import scripted
from client.test_malformed import messages
from web.outside import Held, said

from support import Running, running

pytestmark = pytest.mark.servers

# As many are set up: HTTP is passed on at once, and the wish to upgrade is not.
CONFIG = """
daemon off;
pid {directory}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    {paths}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {service};
            proxy_http_version 1.1;
            proxy_buffering off;
        }}
    }}
}}
"""
KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@asynccontextmanager
async def behind_a_proxy(served: Running, directory: Path) -> AsyncIterator[str]:
    """Where the service is, as seen through a proxy that knows no WebSockets."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/bin")
    assert nginx, "nginx is missing: .ci/programs installs it"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    paths = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in KINDS)
    config = directory / "nginx.conf"
    config.write_text(
        CONFIG.format(directory=directory, port=port, paths=paths, service=url_of(served))
    )
    process = await asyncio.create_subprocess_exec(nginx, "-e", "stderr", "-c", config)
    try:
        await listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def listening(port: int) -> None:
    """Wait until somebody listens there."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return await writer.wait_closed()


async def test_behind_a_proxy_that_knows_no_websockets_answers_come_by_streams(
    served: Running, tmp_path: Path
) -> None:
    held = Held()
    served.script.always(held.answer)

    async with behind_a_proxy(served, tmp_path) as url, page(url) as told:
        told.start()
        first = await told.hears("connection", state="open")
        await told.event(0)
        told.do("cut")
        held.let_go()
        await told.end()
        served.script.always(said("Hello"))
        told.start("b")
        await told.end("b")

    check_exact(told, held.text)
    check_exact(told, "Hello", "b")
    assert len(served.script.requests) == 2
    assert first["transport"] == "sse"
    # Once it is known, no socket is tried for the next.
    assert {one["transport"] for one in told.told("connection", state="open")} == {"sse"}
    assert len(told.told("connection", state="waiting", transport="websocket")) == 1


async def test_whoever_chooses_the_websocket_anew_has_it_tried_anew(tmp_path: Path) -> None:
    async with running() as served, behind_a_proxy(served, tmp_path) as url, page(url) as told:
        served.script.always(said("Hello"))
        told.start()
        await told.end()
        told.do("transport", transport="websocket")
        told.start("b")
        await told.end("b")

    check_exact(told, "Hello")
    check_exact(told, "Hello", "b")
    assert len(told.told("connection", state="waiting", transport="websocket")) == 2


async def test_a_refusal_over_a_stream_shows_as_well_that_sockets_do_not_get_through(
    tmp_path: Path,
) -> None:
    async with running() as served, behind_a_proxy(served, tmp_path) as url, page(url) as told:
        served.script.always(said("Hello"))
        told.start("refused", model="unknown")
        refused = await told.end("refused")
        told.start()
        await told.end()

    assert refused["failure"]["slug"] == "unknown-model"
    check_exact(told, "Hello")
    assert len(told.told("connection", state="waiting", transport="websocket")) == 1


async def test_a_stream_that_gets_through_is_read_to_its_end(
    served: Running, tmp_path: Path
) -> None:
    held = Held()
    served.script.always(held.answer)
    async with behind_a_proxy(served, tmp_path) as url, page(url) as told:
        told.start()
        await told.event(0)
        told.do("clock", seconds=20)  # sockets may be tried again, for another run
        told.do("reconnect")
        held.let_go()
        await told.end()

    check_exact(told, held.text)
    assert {one["transport"] for one in told.told("connection", state="open")} == {"sse"}
    assert len(told.told("connection", state="connecting", transport="sse")) == 1


async def test_to_choose_what_is_chosen_already_changes_nothing(
    served: Running, transport: str
) -> None:
    held = Held()
    served.script.always(held.answer)
    async with page(url_of(served), transport) as told:
        told.start()
        await told.event(0)
        told.do("transport", transport=transport)
        held.let_go()
        await told.end()

    check_exact(told, held.text)
    assert len(told.told("connection", state="connecting")) == 1


async def test_a_service_that_was_away_for_both_is_asked_by_a_socket_once_it_is_back() -> None:
    two_sockets_and_a_stream = 3
    async with scripted(sockets=[messages("Hello")], losses=two_sockets_and_a_stream) as service:
        async with page(service.url) as told:
            told.start()
            await told.end()

    check_exact(told, "Hello")
    assert [one.get("type") for one in service.asked] == ["chat"]
