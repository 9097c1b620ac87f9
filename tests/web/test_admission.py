"""Which names and pages may a request come by?"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from web.answering import answer_to
from web.outside import JSON_TYPE, asked, problem_of, request_bytes

from support import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHANGES = [
    ("POST", "/api/chat"),
    ("POST", "/api/chat/stream"),
    ("POST", "/api/runs"),
    ("POST", "/api/runs/x/cancel"),
    ("POST", "/api/conversations/x/messages/y/regenerate"),
    ("PATCH", "/api/conversations/x"),
    ("DELETE", "/api/conversations/x"),
    ("POST", "/nothing"),
]
STRANGERS = ["http://evil.example", "null", "", "http://localhost:3001", "https://{host}.example"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def named() -> AsyncIterator[Running]:
    async with running(ALLOWED_HOSTS="chat.example.com,Ai-Library") as service:
        yield service


async def status_for(served: Running, host: str) -> int:
    """The status for a request that names a host; `PORT` in it is the service's own."""
    named = host.replace("PORT", str(served.client.port))
    request = request_bytes("GET", "/health").replace(b"Host: service", f"Host: {named}".encode())
    response = await answer_to(served, request)
    assert response
    assert response.status == 200 or response.problem
    return response.status


# Names.


@pytest.mark.parametrize(
    "host",
    [
        *(
            "localhost",
            "localhost:PORT",
            "LocalHost:PORT",
            "localhost.:PORT",
            "chat.localhost:PORT",
        ),
        *("127.0.0.1:PORT", "127.1.2.3:PORT", "[::1]:PORT", "10.1.2.3:PORT", "[fd00::1]:PORT"),
        # What a proxy on another port passes on.
        *("chat.example.com", "chat.example.com:8443", "ai-library:1", "evil.example"),
        "",
    ],
)
async def test_by_itself_the_service_takes_what_no_page_can_bring_about(
    shared: Running, host: str
) -> None:
    assert await status_for(shared, host) == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example:PORT", "EVIL.example.:PORT", "localhost.evil.example:PORT", "a:PORT"),
        *("127.0.0.1.evil.example:PORT", "2130706433:PORT"),
        "localhost..:PORT",
    ],
)
async def test_a_name_that_was_led_here_is_refused(shared: Running, host: str) -> None:
    assert await status_for(shared, host) == 403


async def test_the_refusal_says_what_to_set(shared: Running) -> None:
    headers = {"Host": f"evil.example:{shared.client.port}"}

    async with shared.client.get("/api/conversations", headers=headers) as response:
        problem = await problem_of(response, 403, "forbidden")

    assert "'evil.example'" in problem["detail"]
    assert "ALLOWED_HOSTS" in problem["detail"]


async def test_a_socket_is_refused_to_such_a_name_though_the_page_has_the_same(
    shared: Running,
) -> None:
    host = f"evil.example:{shared.client.port}"
    headers = {"Host": host, "Origin": f"http://{host}"}

    async with shared.client.get("/api/chat/ws", headers=headers) as response:
        problem = await problem_of(response, 403, "forbidden")

    assert "ALLOWED_HOSTS" in problem["detail"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("chat.example.com", 200),
        ("Chat.Example.com.:8443", 200),
        ("ai-library:PORT", 200),
        ("localhost:PORT", 200),
        ("10.1.2.3:PORT", 200),
        ("evil.example", 403),
        ("evil.example:PORT", 403),
        ("www.chat.example.com", 403),
        ("", 200),
    ],
)
async def test_where_names_are_given_they_alone_count(
    named: Running, host: str, status: int
) -> None:
    assert await status_for(named, host) == status


async def test_all_names_may_be_allowed() -> None:
    async with running(ALLOWED_HOSTS="*") as served:
        assert await status_for(served, "evil.example:PORT") == 200


@pytest.mark.parametrize(
    "host", ["a b", "a/b", "user@a", "a:b", "[::1", "::1", "a:1:2", "a:" + "9" * 5000, "\xff"]
)
async def test_what_is_no_host_is_malformed(shared: Running, host: str) -> None:
    assert await status_for(shared, host) == 400


# Pages.


@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_other_pages_change_nothing(shared: Running, method: str, path: str) -> None:
    for origin in STRANGERS:
        stranger = origin.format(host=f"{shared.client.host}:{shared.client.port}")
        headers = JSON_TYPE | {"Origin": stranger, "Sec-Fetch-Site": "cross-site"}
        async with shared.client.request(method, path, json=asked(), headers=headers) as response:
            await problem_of(response, 403, "forbidden")
            assert "Access-Control-Allow-Origin" not in response.headers

    assert shared.service.chat.runs.active_count == 0
    assert shared.script.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://{host}", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://{host}"},
        # A proxy has changed Host; the browser knows better.
        {"Origin": "https://chat.example.com", "Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_programs_and_our_pages_do(shared: Running, headers: dict[str, str]) -> None:
    host = f"{shared.client.host}:{shared.client.port}"
    sent = {name: value.format(host=host) for name, value in headers.items()}

    async with shared.client.post("/api/runs/x/cancel", headers=sent) as response:
        await problem_of(response, 404, "run-not-found")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_reading_is_for_cors_to_allow(shared: Running, method: str) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}

    async with shared.client.request(method, "/health", headers=headers) as response:
        assert response.status == (403 if method == "OPTIONS" else 200)
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("origin", ["http://evil.example", "null", ""])
async def test_any_page_may_be_allowed(origin: str) -> None:
    async with running(CORS_ORIGINS="*") as served:
        async with served.client.post("/api/runs/x/cancel", headers={"Origin": origin}) as response:
            await problem_of(response, 404, "run-not-found")
