"""Who is let in over HTTP where authentication is on?"""

import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientResponse, hdrs
from web.described import SECURED
from web.outside import JSON_TYPE, Json, asked, exchange, problem_of, request_bytes

from credentials import asked_by, bearer, entries, hash_of, key_of
from service.web.authentication import SOCKET_PATH
from service.web.routes import ROUTES
from signing import Signer, ed25519, jwks, p256, rsa, segment
from support import Running, path_of, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS = {"Origin": "http://localhost:3000"}
NAMES = {"conversation_id": "c-1", "message_id": "m-1", "run_id": "r-1", "path": "docs/docs.css"}
ALL = [(route.method, path_of(route).format_map(NAMES)) for route in ROUTES]
PRIVATE = [
    (method, path) for method, path in ALL if path.startswith("/api/") and path != SOCKET_PATH
]
PUBLIC = [(method, path) for method, path in ALL if not path.startswith("/api/")]
KEY = key_of("ann")


def unsigned(**claims: object) -> str:
    """A JWT that claims to need no signature."""
    told = {"sub": "ann", "exp": time.time() + 600} | claims
    return f"{segment({'alg': 'none'})}.{segment(told)}."


def other(signer: Signer) -> Signer:
    """Another key under the same id."""
    return Signer(signer.algorithm, signer.kid, ed25519("other").private)


MALFORMED = [
    None,
    "",
    "Bearer",
    "Bearer ",
    "Bearer nobody-has-this-key",
    KEY,
    f"Basic {base64.b64encode(f'ann:{KEY}'.encode()).decode()}",
    f"Basic {KEY}",
    f"Token {KEY}",
    f"Bearer{KEY}",
    f"Bearer\t{KEY}",
    f"Bearer: {KEY}",
    f'Bearer "{KEY}"',
    f"Bearer {KEY}, Bearer {KEY}",
    f"Bearer {KEY} {KEY}",
    f"Bearer {KEY[:-1]}",
    f"Bearer {KEY}x",
    f"Bearer {KEY.upper()}",
    f"Bearer {hash_of('ann')}",
    "Bearer ann",
    f"Bearer {entries('ann')}",
    f"Bearer {'x' * 8000}",
    "Bearer \xff\xfe",
    "Bearer a.b.c",
]
EXPIRED = {"exp": 1}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A service that ann has a key of, and bob, and that takes JWTs."""
    known = tmp_path_factory.mktemp("known") / "jwks.json"
    known.write_bytes(jwks(p256().jwk(), ed25519().jwk()))
    async with running(API_KEYS=entries("ann", "bob"), JWT_JWKS=str(known)) as service:
        yield service


async def told_nobody(response: ClientResponse) -> Json:
    """The problem of a request without a credential that counts, but for its id."""
    problem = await problem_of(response, 401, "unauthorized")
    assert response.headers.getall(hdrs.WWW_AUTHENTICATE) == ["Bearer"]
    del problem["request_id"]
    return problem


# Who is not let in.


@pytest.mark.parametrize(("method", "path"), PRIVATE)
async def test_what_is_private_is_told_to_nobody(guarded: Running, method: str, path: str) -> None:
    for headers in ({}, bearer("nobody-has-this-key"), bearer("a.b.c"), {"Authorization": KEY}):
        async with guarded.client.request(method, path, headers=headers | OURS) as response:
            problem = await told_nobody(response)

        assert "API key" in problem["detail"]
        assert "JWT" in problem["detail"]
        assert response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] == OURS["Origin"]
        assert response.headers.getall(hdrs.VARY) == ["Origin"]
        assert response.headers[hdrs.CACHE_CONTROL] == "no-store"
        assert "nobody-has-this-key" not in str(response.headers) + json.dumps(problem)


@pytest.mark.parametrize("sent", MALFORMED)
async def test_every_bad_credential_gets_the_same_answer(
    guarded: Running, sent: str | None
) -> None:
    lines = () if sent is None else (f"Authorization: {sent}",)
    close = "Connection: close"
    status, head, body = await exchange(
        guarded.client, request_bytes("GET", "/api/models", b"", close, *lines)
    )
    async with guarded.client.get("/api/models") as response:
        usual = await told_nobody(response)

    problem = json.loads(body)
    assert problem.pop("request_id").encode() in head
    assert (status, problem) == (401, usual)


@pytest.mark.parametrize(
    "token",
    [
        p256().token(EXPIRED),
        p256().token({"exp": None}),
        p256().token({"sub": None}),
        p256().token({"sub": ""}),
        p256().token({"nbf": time.time() + 600}),
        p256().token({"aud": "another-service"}),
        p256().token(header={"kid": "unknown"}),
        p256().token()[:-8],
        other(ed25519()).token(),
        rsa().token(),
        unsigned(),
        unsigned(sub="key:ann"),
    ],
)
async def test_a_bad_jwt_gets_that_answer_too(guarded: Running, token: str) -> None:
    async with guarded.client.get("/api/models") as response:
        usual = await told_nobody(response)
    async with guarded.client.get("/api/models", headers=bearer(token)) as response:
        assert await told_nobody(response) == usual


@pytest.mark.parametrize("name", ["token", "api_key", "access_token", "key", "authorization"])
@pytest.mark.parametrize(("method", "path"), PRIVATE[:4])
async def test_the_query_is_no_place_for_a_credential(
    guarded: Running, method: str, path: str, name: str
) -> None:
    for value in (KEY, f"Bearer {KEY}"):
        async with guarded.client.request(method, path, params={name: value}) as response:
            problem = await told_nobody(response)

        assert KEY not in str(response.headers) + json.dumps(problem)


async def test_nor_are_a_cookie_and_a_body(guarded: Running) -> None:
    body = asked(token=KEY, access_token=KEY)
    headers = {"Cookie": f"token={KEY}; Authorization=Bearer {KEY}", "X-Api-Key": KEY}
    async with guarded.client.post("/api/chat", json=body, headers=headers) as response:
        await told_nobody(response)


@pytest.mark.parametrize("body", [b"{", b" " * 500_000, b"[]"])
async def test_who_is_asked_before_what(guarded: Running, body: bytes) -> None:
    async with guarded.client.post("/api/chat", data=body, headers=JSON_TYPE) as response:
        await told_nobody(response)


async def test_nothing_was_asked_of_groq_for_nobody(guarded: Running) -> None:
    before = len(guarded.script.requests)
    for path in ("/api/chat", "/api/chat/stream", "/api/runs"):
        async with guarded.client.post(path, json=asked()) as response:
            await told_nobody(response)

    assert len(guarded.script.requests) == before


# Who is.


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_a_key_is_let_in(guarded: Running, word: str) -> None:
    headers = {"Authorization": f"{word} {KEY}"}
    async with guarded.client.get("/api/conversations", headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize("signer", [p256(), ed25519()])
async def test_a_jwt_is_let_in(guarded: Running, signer: Signer) -> None:
    headers = bearer(signer.token())
    async with guarded.client.get("/api/conversations", headers=headers) as response:
        assert response.status == 200


async def test_a_name_is_not_an_owner(guarded: Running) -> None:
    everybody = {
        "key": asked_by("ann"),
        "jwt": bearer(p256().token({"sub": "ann"})),
        "another issuer": bearer(p256().token({"sub": "ann", "iss": "https://other.example"})),
        "no issuer": bearer(p256().token({"sub": "ann", "iss": None})),
        "a key's owner": bearer(p256().token({"sub": "key:ann", "iss": None})),
    }
    async with guarded.client.post("/api/chat", json=asked(), headers=everybody["key"]) as made:
        path = f"/api/conversations/{(await made.json())['conversation_id']}"

    statuses = {}
    for who, headers in everybody.items():
        async with guarded.client.get(path, headers=headers) as response:
            statuses[who] = response.status
    assert statuses == dict.fromkeys(everybody, 404) | {"key": 200}


async def test_the_same_jwt_renewed_is_the_same_owner(guarded: Running) -> None:
    first, second = (
        bearer(signer.token({"sub": "eve", "exp": time.time() + seconds}))
        for signer, seconds in ((p256(), 100), (ed25519(), 200))
    )
    async with guarded.client.post("/api/chat", json=asked(), headers=first) as made:
        path = f"/api/conversations/{(await made.json())['conversation_id']}"

    async with guarded.client.get(path, headers=second) as response:
        assert response.status == 200


async def test_where_there_are_keys_only_no_jwt_is_taken() -> None:
    async with running(API_KEYS=entries("ann")) as served:
        async with served.client.get("/api/models", headers=bearer(p256().token())) as response:
            problem = await told_nobody(response)
        async with served.client.get("/api/models", headers=asked_by("ann")) as response:
            assert response.status == 200

    assert "JWT" not in problem["detail"]


async def test_while_no_jwt_can_be_verified_that_is_told(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.json")
    async with running(API_KEYS=entries("ann"), JWT_JWKS=missing) as served:
        async with served.client.get("/api/models", headers=bearer(p256().token())) as refused:
            problem = await told_nobody(refused)
        async with served.client.get("/api/models", headers=asked_by("ann")) as response:
            assert response.status == 200

    assert int(refused.headers["Retry-After"]) == problem["retry_after"] >= 1
    assert missing not in json.dumps(problem)


async def test_nobody_is_asked_where_authentication_is_off() -> None:
    async with running() as served:
        for headers in ({}, bearer("nobody-has-this-key"), {"Authorization": "x"}):
            async with served.client.get("/api/models", headers=headers) as response:
                assert response.status == 200


# What is for everybody.


@pytest.mark.parametrize(("method", "path"), PUBLIC)
async def test_what_is_public_is_told_to_anybody(guarded: Running, method: str, path: str) -> None:
    for headers in ({}, bearer("nobody-has-this-key"), asked_by("ann")):
        async with guarded.client.request(method, path, headers=headers) as response:
            await response.read()

            assert response.status == 200
            assert hdrs.WWW_AUTHENTICATE not in response.headers


async def test_what_is_private_is_all_below_api(guarded: Running) -> None:
    assert {path for _, path in PUBLIC} == {
        "/",
        "/docs",
        "/static/docs/docs.css",
        "/openapi.json",
        "/asyncapi.json",
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
    }


async def test_the_description_says_who_is_asked(guarded: Running) -> None:
    async with guarded.client.get("/openapi.json") as response:
        document: Json = await response.json()

    assert document["security"] == SECURED["security"] == [{"bearer": []}]
    for method, path in PRIVATE:
        described = document["paths"][template(path)][method.lower()]
        assert "security" not in described, (method, path)
        assert "401" in described["responses"], (method, path)
    assert document["paths"]["/health"]["get"]["security"] == []


def template(path: str) -> str:
    """The path as it is described."""
    for name, value in NAMES.items():
        path = path.replace(value, f"{{{name}}}")
    return path


@pytest.mark.parametrize(("method", "path"), PRIVATE)
async def test_a_preflight_needs_no_credential(guarded: Running, method: str, path: str) -> None:
    headers = OURS | {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization",
    }
    async with guarded.client.options(path, headers=headers) as response:
        allowed = response.headers["Access-Control-Allow-Headers"].lower()

    assert response.status == 200
    assert "authorization" in allowed
    assert response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] == OURS["Origin"]


@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/", "/api/nothing", "/api/chat/ws/x"])
async def test_where_there_is_nothing_nobody_is_asked(guarded: Running, path: str) -> None:
    for headers in ({}, asked_by("ann")):
        async with guarded.client.get(path, headers=headers) as response:
            await problem_of(response, 404, "not-found")


@pytest.mark.parametrize("path", ["/api//models", "/API/models", "/api/models/"])
async def test_no_other_spelling_of_a_path_leads_in(guarded: Running, path: str) -> None:
    async with guarded.client.get(path) as response:
        assert response.status in (401, 404)


@pytest.mark.parametrize(
    "path", ["//api/models", "/%61pi/models", "/api/%6dodels", "/api/./models", "/x/../api/models"]
)
async def test_nor_does_an_escaped_one(guarded: Running, path: str) -> None:
    status, _, _ = await exchange(
        guarded.client, request_bytes("GET", path, b"", "Connection: close")
    )

    assert status in (401, 404)


async def test_a_method_that_is_not_there_needs_no_credential(guarded: Running) -> None:
    async with guarded.client.put("/api/models") as response:
        await problem_of(response, 405, "method-not-allowed")
