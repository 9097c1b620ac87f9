"""Which origins are let in, and what is agreed on."""

import uuid

import pytest
from aiohttp import WSServerHandshakeError
from web.speaking import PATH, speaking

from support import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALLOWED = [
    "http://localhost:3000",
    "http://{host}",
    "https://{host}",
    "HTTP://{host}",
]
REFUSED = [
    "http://evil.example",
    "null",
    "",
    "http://{host}.evil.example",
    "http://evil.example/{host}",
    "http://localhost:3001",
    "http://localhost",
    "https://localhost:3000",
]


@pytest.mark.parametrize("origin", ALLOWED)
async def test_pages_of_the_service_and_of_cors_are_let_in(shared: Running, origin: str) -> None:
    host = f"{shared.client.host}:{shared.client.port}"

    async with speaking(shared, headers={"Origin": origin.format(host=host)}) as peer:
        await peer.nothing_more()


@pytest.mark.parametrize("origin", REFUSED)
async def test_other_origins_are_refused(shared: Running, origin: str) -> None:
    host = f"{shared.client.host}:{shared.client.port}"
    headers = {"Origin": origin.format(host=host)}

    with pytest.raises(WSServerHandshakeError) as caught:
        await shared.client.ws_connect(PATH, headers=headers)

    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("chat.example", "https://chat.example"),
        ("chat.example", "https://chat.example:443"),
        ("chat.example:80", "http://chat.example"),
        ("Chat.Example", "https://chat.example"),
        ("[::1]:8000", "http://[::1]:8000"),
    ],
)
async def test_behind_a_proxy_the_name_counts(shared: Running, host: str, origin: str) -> None:
    async with speaking(shared, headers={"Host": host, "Origin": origin}) as peer:
        await peer.nothing_more()


@pytest.mark.parametrize("origin", ["null", "", "http://", "http://:80"])
async def test_without_a_host_no_origin_is_its_own(shared: Running, origin: str) -> None:
    with pytest.raises(WSServerHandshakeError) as caught:
        await shared.client.ws_connect(PATH, headers={"Host": "", "Origin": origin})

    assert caught.value.status in (400, 403)


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        (["ai-library.v1"], "ai-library.v1"),
        (["other", "ai-library.v1"], "ai-library.v1"),
        (["other"], None),
        ([], None),
    ],
)
async def test_the_subprotocol_is_selected_when_offered(
    shared: Running, offered: list[str], selected: str | None
) -> None:
    async with speaking(shared, protocols=offered) as peer:
        assert peer.socket.protocol == selected


async def test_the_response_names_the_request(shared: Running) -> None:
    async with speaking(shared, headers={"X-Request-Id": "abc"}) as peer:
        await peer.say("leave", id="a")
        error = await peer.hear()

    assert uuid.UUID(peer.welcome["connection_id"]).version == 7
    assert error["error"]["request_id"] == "abc"


async def test_any_origin_may_be_allowed() -> None:
    async with running(CORS_ORIGINS="*") as served:
        async with speaking(served, headers={"Origin": "http://anywhere.example"}) as peer:
            await peer.nothing_more()
