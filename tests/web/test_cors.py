import pytest
from web.outside import JSON_TYPE, Held, asked, chat, start

from service.simulator import Refusal, error_data
from support import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS = {"Origin": "http://localhost:3000"}
READABLE = {
    "X-Run-Id",
    "X-Run-Recovered",
    "X-Request-Id",
    "Retry-After",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
}
SENDABLE = ["Content-Type", "Authorization", "Idempotency-Key", "Last-Event-ID", "X-Request-Id"]
STRANGERS = [
    "http://localhost:3001",
    "https://localhost:3000",
    "http://localhost:3000.evil.example",
    "http://localhost:3000/",
    "null",
    "HTTP://LOCALHOST:3000",
]

REQUESTS = [
    ("GET", "/health", b"", 200),
    ("GET", "/health/live", b"", 200),
    ("GET", "/api/models", b"", 200),
    ("GET", "/api/conversations", b"", 200),
    ("POST", "/api/chat", b'{"model":"openai/gpt-oss-20b","user_prompt":"x"}', 200),
    ("POST", "/api/chat/stream", b'{"model":"openai/gpt-oss-20b","user_prompt":"x"}', 200),
    ("POST", "/api/runs", b'{"model":"openai/gpt-oss-20b","user_prompt":"x"}', 202),
    ("POST", "/api/chat", b"{", 400),
    ("GET", "/nothing", b"", 404),
    ("GET", "/api/runs/x", b"", 404),
    ("GET", "/api/runs/x/events", b"", 404),
    ("DELETE", "/api/conversations/x", b"", 404),
    ("PATCH", "/api/conversations/x", b'{"title":"x"}', 404),
    ("GET", "/api/chat", b"", 405),
    ("PUT", "/api/models", b"", 405),
    ("POST", "/api/chat", b" " * 5000, 413),
    ("POST", "/api/chat", b"{}", 422),
    ("GET", "/api/conversations?limit=0", b"", 422),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), REQUESTS)
async def test_our_origins_may_read_every_answer(
    shared: Running, method: str, path: str, body: bytes, status: int
) -> None:
    async with shared.client.request(
        method, path, data=body or None, headers=OURS | JSON_TYPE
    ) as response:
        headers = response.headers

    assert response.status == status
    assert headers.getall("Access-Control-Allow-Origin") == [OURS["Origin"]]
    assert set(headers["Access-Control-Expose-Headers"].split(",")) >= READABLE
    assert "Access-Control-Allow-Credentials" not in headers
    assert headers.getall("Vary") == ["Origin"]


async def test_so_it_is_with_an_unread_media_type(shared: Running) -> None:
    async with shared.client.post(
        "/api/chat", data=b"x", headers=OURS | {"Content-Type": "text/plain"}
    ) as response:
        assert response.status == 415
        assert response.headers["Access-Control-Allow-Origin"] == OURS["Origin"]


async def test_so_it_is_at_the_end_of_a_run(shared: Running) -> None:
    run_id = (await chat(shared, save_conversation=False))["run_id"]
    async with shared.client.get(f"/api/runs/{run_id}") as state:
        last = (await state.json())["last_seq"]

    async with shared.client.get(
        f"/api/runs/{run_id}/events?after={last}", headers=OURS
    ) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == OURS["Origin"]


async def test_so_it_is_when_groq_refuses(shared: Running) -> None:
    shared.script.next(Refusal(400, error_data("no")))

    async with shared.client.post("/api/chat/stream", json=asked(), headers=OURS) as response:
        assert response.status == 502
        assert response.headers["Access-Control-Allow-Origin"] == OURS["Origin"]


async def test_so_it_is_after_a_deletion(shared: Running) -> None:
    conversation_id = (await chat(shared))["conversation_id"]

    async with shared.client.delete(
        f"/api/conversations/{conversation_id}", headers=OURS
    ) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == OURS["Origin"]


async def test_so_it_is_when_the_service_is_overloaded() -> None:
    async with running(MAX_ACTIVE_RUNS="1") as served:
        served.script.next(Held().answer)
        await start(served)

        async with served.client.post("/api/runs", json=asked(), headers=OURS) as response:
            assert response.status == 503
            assert response.headers["Access-Control-Allow-Origin"] == OURS["Origin"]


@pytest.mark.parametrize("origin", STRANGERS)
@pytest.mark.parametrize("path", ["/api/models", "/nothing", "/api/chat"])
async def test_others_may_not(shared: Running, origin: str, path: str) -> None:
    async with shared.client.get(path, headers={"Origin": origin}) as response:
        headers = response.headers

    assert not [name for name in headers if name.lower().startswith("access-control-")]
    assert headers["Vary"] == "Origin"


@pytest.mark.parametrize("path", ["/api/models", "/nothing", "/api/chat"])
async def test_every_answer_varies_by_origin(shared: Running, path: str) -> None:
    async with shared.client.get(path) as response:
        assert response.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Origin" not in response.headers


# Preflights.


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/chat/stream"),
        ("POST", "/api/chat"),
        ("POST", "/api/runs"),
        ("GET", "/api/runs/x"),
        ("GET", "/api/runs/x/events"),
        ("POST", "/api/runs/x/cancel"),
        ("GET", "/api/conversations"),
        ("GET", "/api/conversations/x"),
        ("PATCH", "/api/conversations/x"),
        ("DELETE", "/api/conversations/x"),
        ("POST", "/api/conversations/x/messages/y/regenerate"),
        ("GET", "/api/conversations/x/export"),
        ("GET", "/api/models"),
        ("GET", "/health"),
    ],
)
async def test_our_origins_may_send_what_is_needed(shared: Running, method: str, path: str) -> None:
    asks = {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": ",".join(name.lower() for name in SENDABLE),
    }

    async with shared.client.options(path, headers=OURS | asks) as response:
        headers = response.headers

    allowed = headers["Access-Control-Allow-Headers"].lower().split(",")
    assert response.status in (200, 204)
    assert headers["Access-Control-Allow-Origin"] == OURS["Origin"]
    assert headers["Access-Control-Allow-Methods"] == method
    assert set(allowed) == {name.lower() for name in SENDABLE}
    assert int(headers["Access-Control-Max-Age"]) > 0
    assert headers["Vary"] == "Origin"
    assert headers["X-Request-Id"]


@pytest.mark.parametrize(
    "asks",
    [
        {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
        OURS | {"Access-Control-Request-Method": "DELETE"},
        OURS
        | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-other"},
        OURS,
        {"Access-Control-Request-Method": "POST"},
    ],
)
async def test_another_preflight_is_not_allowed(shared: Running, asks: dict[str, str]) -> None:
    async with shared.client.options("/api/chat", headers=asks) as response:
        body = await response.json(content_type="application/problem+json")

    assert (response.status, body["type"]) == (403, "/problems/forbidden")
    assert "Access-Control-Allow-Methods" not in response.headers
    assert response.headers["Vary"] == "Origin"


# Settings.


async def test_origins_can_be_set() -> None:
    async with running(CORS_ORIGINS="https://chat.example.com") as served:
        told = [
            (await served.client.get("/api/models", headers={"Origin": origin})).headers
            for origin in ("https://chat.example.com", OURS["Origin"])
        ]

    assert told[0]["Access-Control-Allow-Origin"] == "https://chat.example.com"
    assert "Access-Control-Allow-Origin" not in told[1]


@pytest.mark.parametrize("path", ["/api/models", "/nothing"])
async def test_all_origins_can_be_let_in_but_without_credentials(path: str) -> None:
    async with running(CORS_ORIGINS="*") as served:
        async with served.client.get(path, headers={"Origin": "https://any.example"}) as response:
            headers = response.headers

    assert headers["Access-Control-Allow-Origin"] in ("*", "https://any.example")
    assert "Access-Control-Allow-Credentials" not in headers
