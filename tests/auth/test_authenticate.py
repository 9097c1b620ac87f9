"""API keys and JWTs at one door, the keys that sign from a real server."""

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import Factory, define
from hypothesis import given
from hypothesis import strategies as st

from clock import play
from service.auth.authenticate import MOST_CHARACTERS, BearerAuthenticator, make_authenticator
from service.auth.jwks import Jwks
from service.auth.keys import new_key
from service.core.errors import Kind, Problem, ServiceError
from service.core.ports import Authenticator
from signing import ISSUER, jwks, p256, rsa

KEY, ENTRY = new_key("alice")
ALICE = "jwt:https%3A//id.example:alice"


@define
class Issuer:
    """Serves a set, counts who asks for it, and hears what the service says of it."""

    body: bytes = Factory(lambda: jwks(rsa().jwk()))
    status: int = 200
    count: int = 0
    told: list[tuple[int, str | None]] = Factory(list)

    async def answer(self, _request: web.Request) -> web.Response:
        self.count += 1
        return web.Response(status=self.status, body=self.body)

    def signing_keys_read(self, keys: int, fault: str | None) -> None:
        self.told.append((keys, fault))


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def url(issuer: Issuer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/jwks", issuer.answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/jwks"))


@pytest.fixture
async def door(url: str, issuer: Issuer) -> AsyncIterator[BearerAuthenticator]:
    made = make_authenticator([ENTRY], url, issuer=ISSUER, audience=None, observer=issuer)
    assert made
    async with made.serving():
        yield made


async def refusal(door: Authenticator, credential: str) -> Problem:
    with pytest.raises(ServiceError) as raised:
        await door.owner_of(credential)
    return raised.value.problem


class TestTheDoor:
    async def test_knows_keys_and_tokens_and_never_takes_one_for_the_other(
        self, door: BearerAuthenticator
    ) -> None:
        assert await door.owner_of(KEY) == "key:alice"
        assert await door.owner_of(rsa().token()) == ALICE

    async def test_says_the_same_to_everybody_else(self, door: BearerAuthenticator) -> None:
        refused = [
            await refusal(door, credential)
            for credential in (
                "",
                "x",
                KEY[:-1],
                rsa().token({"sub": None}),
                rsa().token({"exp": 1}),
                rsa().token({"iss": "https://evil.example"}),
                p256().token(),
                "a.b.c",
                KEY * 1000,
                "\ud800",
            )
        ]

        assert set(refused) == {
            Problem(
                Kind.UNAUTHORIZED,
                "an API key of this service or a JWT that is valid here and now is needed:"
                " in the header Authorization, after the word Bearer,"
                " or in the first message of a WebSocket",
            )
        }

    async def test_is_closed_to_what_is_too_long_even_where_it_is_signed(
        self, door: BearerAuthenticator
    ) -> None:
        fits = rsa().token({"more": "x" * 5000})
        long = rsa().token({"more": "x" * 7000})

        assert len(fits) < MOST_CHARACTERS < len(long)
        assert await door.owner_of(fits) == ALICE
        assert (await refusal(door, long)).kind is Kind.UNAUTHORIZED

    async def test_knows_new_signing_keys_at_once_and_forgets_old_ones(
        self, door: BearerAuthenticator, issuer: Issuer
    ) -> None:
        issuer.body = jwks(p256().jwk())

        assert await door.owner_of(p256().token()) == ALICE
        assert (await refusal(door, rsa().token())).kind is Kind.UNAUTHORIZED

    async def test_asks_the_issuer_once_for_a_flood_of_made_up_key_ids(
        self, door: BearerAuthenticator, issuer: Issuer
    ) -> None:
        for number in range(200):
            await refusal(door, p256().token(header={"kid": f"made-up-{number}"}))

        assert issuer.count == 2

    async def test_still_knows_tokens_while_the_issuer_fails(
        self, door: BearerAuthenticator, issuer: Issuer
    ) -> None:
        issuer.status = 500
        await refusal(door, p256().token())

        assert await door.owner_of(rsa().token()) == ALICE
        assert issuer.told == [(1, None), (1, "the server answered with status 500")]

    async def test_tells_what_it_takes(self, url: str, issuer: Issuer) -> None:
        make: Callable[..., BearerAuthenticator | None] = make_authenticator
        keys = make([ENTRY], None, issuer=None, audience=None, observer=issuer)
        tokens = make([], url, issuer=None, audience=None, observer=issuer)
        assert keys
        assert tokens

        async with tokens.serving(), keys.serving():
            said = [(await refusal(door, "x")).detail for door in (keys, tokens)]

        assert said[0].startswith("an API key of this service is needed:")
        assert said[1].startswith("a JWT that is valid here and now is needed:")

    def test_is_none_where_nothing_is_configured(self, issuer: Issuer) -> None:
        assert make_authenticator([], None, issuer=None, audience=None, observer=issuer) is None


class TestReadiness:
    @pytest.mark.parametrize(("with_key", "ready"), [(True, True), (False, False)])
    async def test_wants_somebody_who_can_be_recognised(
        self, url: str, issuer: Issuer, *, with_key: bool, ready: bool
    ) -> None:
        issuer.status = 500
        entries = [ENTRY] if with_key else []
        door = make_authenticator(entries, url, issuer=None, audience=None, observer=issuer)
        assert door

        async with door.serving():
            if ready:
                await door.check()
            else:
                with pytest.raises(ServiceError, match="could not be read"):
                    await door.check()

    async def test_is_there_once_the_set_was_read(self, door: BearerAuthenticator) -> None:
        await door.check()


@given(st.text(st.characters(exclude_categories=[])) | st.text("aA0._-=", max_size=60))
def test_whatever_is_sent_is_refused_as_unauthorized(credential: str) -> None:
    async def fetch() -> bytes:
        return jwks(rsa().jwk())

    async def knock() -> Problem:
        return await refusal(BearerAuthenticator([ENTRY], Jwks(fetch, Issuer())), credential)

    assert play(knock()).kind is Kind.UNAUTHORIZED
