"""A set that is read again and again, on a clock that jumps."""

import asyncio
import json

import pytest
from attrs import Factory, define
from hypothesis import given
from hypothesis import strategies as st

from clock import play, steps
from service.auth.jwks import (
    INTERVAL_SECONDS,
    MOST_KEYS,
    PATIENCE_SECONDS,
    RETRY_SECONDS,
    UNKNOWN_KID_SECONDS,
    FetchError,
    Jwks,
    parse_set,
)
from signing import Signer, ed25519, jwks, p256, rsa


@define
class Source:
    """Gives what it holds now, and counts; also an observer of what became of it."""

    answer: bytes | Exception = Factory(lambda: jwks(rsa().jwk()))
    count: int = 0
    holding: asyncio.Event | None = None
    told: list[tuple[int, str | None]] = Factory(list)

    async def fetch(self) -> bytes:
        self.count += 1
        if self.holding:
            await self.holding.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def signing_keys_read(self, keys: int, fault: str | None) -> None:
        self.told.append((keys, fault))


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def held(source: Source) -> Jwks:
    return Jwks(source.fetch, source)


async def has(held: Jwks, signer: Signer) -> bool:
    return await held.key(signer.kid, signer.algorithm) is not None


class TestReading:
    def test_happens_at_the_start_and_at_every_interval(self, held: Jwks, source: Source) -> None:
        async def follow() -> list[int]:
            counts = []
            async with held.following():
                counts.append(source.count)
                for _ in range(2):
                    await asyncio.sleep(INTERVAL_SECONDS - 1)
                    counts.append(source.count)
                    await asyncio.sleep(1.5)
                    counts.append(source.count)
            return counts

        assert play(follow()) == [1, 1, 2, 2, 3]

    def test_that_failed_is_repeated_soon_and_keeps_the_old_keys(
        self, held: Jwks, source: Source
    ) -> None:
        async def follow() -> tuple[int, bool, bool]:
            async with held.following():
                source.answer = FetchError("gone")
                await asyncio.sleep(INTERVAL_SECONDS + 5 * RETRY_SECONDS + 1)
                return source.count, held.known, await has(held, rsa())

        assert play(follow()) == (7, True, True)
        assert source.told == [(1, None), *[(1, "gone")] * 6]

    def test_that_takes_too_long_is_given_up(self, held: Jwks, source: Source) -> None:
        async def follow() -> tuple[bool, float]:
            source.holding = asyncio.Event()
            good = await held.refresh()
            return good, asyncio.get_running_loop().time()

        good, seconds = play(follow())

        assert not good
        assert seconds == pytest.approx(PATIENCE_SECONDS, abs=0.1)
        assert source.told == [(0, "no answer within 5 s")]

    def test_of_something_else_keeps_the_old_keys(self, held: Jwks, source: Source) -> None:
        async def follow() -> bool:
            await held.refresh()
            source.answer = b"<html>"
            await held.refresh()
            return await has(held, rsa())

        assert play(follow())
        assert source.told[1:] == [(1, "what is there is no JWK Set")]

    def test_that_fails_at_the_start_recovers(self, held: Jwks, source: Source) -> None:
        async def follow() -> tuple[bool, bool]:
            good, source.answer = source.answer, FetchError("not yet")
            async with held.following():
                before = held.known
                source.answer = good
                await asyncio.sleep(RETRY_SECONDS + 1)
                return before, held.known

        assert play(follow()) == (False, True)

    def test_that_is_under_way_ends_with_the_service(self, held: Jwks, source: Source) -> None:
        async def follow() -> None:
            async with held.following():
                source.holding = asyncio.Event()
                asking = asyncio.create_task(held.key("new", "RS256"))
                await steps(5)
            asking.cancel()
            await asyncio.wait({asking})

        play(follow())  # which looks for tasks that are left

        assert source.count == 2


class TestAnUnknownKey:
    def test_is_found_at_once_after_a_rotation(self, held: Jwks, source: Source) -> None:
        async def rotate() -> tuple[bool, bool]:
            async with held.following():
                source.answer = jwks(p256("new").jwk())
                return await has(held, p256("new")), await has(held, rsa())

        assert play(rotate()) == (True, False)
        assert source.count == 2

    def test_makes_no_second_reading_too_soon(self, held: Jwks, source: Source) -> None:
        async def flood() -> list[int]:
            counts = []
            async with held.following():
                for _ in range(2):
                    for number in range(1000):
                        assert await held.key(f"made-up-{number}", "RS256") is None
                    counts.append(source.count)
                    await asyncio.sleep(UNKNOWN_KID_SECONDS)
            return counts

        assert play(flood()) == [2, 3]

    def test_keeps_nothing_of_the_ids_that_were_asked_for(self, held: Jwks, source: Source) -> None:
        async def rotate() -> bool:
            await held.key("new", "ES256")
            source.answer = jwks(p256("new").jwk())
            await asyncio.sleep(UNKNOWN_KID_SECONDS)
            return await has(held, p256("new"))

        assert play(rotate())

    def test_that_many_ask_for_at_once_makes_one_reading(self, held: Jwks, source: Source) -> None:
        async def ask() -> list[bool]:
            source.holding = asyncio.Event()
            asking = [asyncio.create_task(has(held, rsa())) for _ in range(50)]
            await steps(5)
            source.holding.set()
            return await asyncio.gather(*asking)

        assert play(ask()) == [True] * 50
        assert source.count == 1

    def test_is_still_found_when_the_first_who_asked_has_left(
        self, held: Jwks, source: Source
    ) -> None:
        async def ask() -> bool:
            source.holding = asyncio.Event()
            first = asyncio.create_task(has(held, rsa()))
            second = asyncio.create_task(has(held, rsa()))
            await steps(5)
            first.cancel()
            await asyncio.wait({first})
            source.holding.set()
            return await second

        assert play(ask())
        assert source.count == 1

    def test_does_not_stop_known_ones_while_the_set_is_read(
        self, held: Jwks, source: Source
    ) -> None:
        async def ask() -> tuple[bool, bool]:
            async with held.following():
                source.holding = asyncio.Event()
                asking = asyncio.create_task(held.key("made-up", "RS256"))
                await steps(5)
                found = await has(held, rsa())
                waiting = not asking.done()
                source.holding.set()
                await asking
                return found, waiting

        assert play(ask()) == (True, True)


class TestATokenWithoutAKeyId:
    def test_is_verified_by_the_only_key_for_its_algorithm(
        self, held: Jwks, source: Source
    ) -> None:
        source.answer = jwks(rsa().jwk(), p256().jwk(kid=None))

        async def find() -> list[str | None]:
            keys = [await held.key(None, algorithm) for algorithm in ("RS256", "ES256", "EdDSA")]
            return [key.key_type if key else None for key in keys]

        assert play(find()) == ["RSA", "EC", None]

    def test_is_not_verified_where_there_are_two(self, held: Jwks, source: Source) -> None:
        source.answer = jwks(rsa("a").jwk(), rsa("b").jwk())

        async def find() -> bool:
            return await held.key(None, "RS256") is None

        assert play(find())


def ids(*keys: object) -> list[str | None]:
    return [key.key_id for key in parse_set(json.dumps({"keys": keys}).encode())]


GOOD = rsa().jwk()


class TestASet:
    def test_may_hold_rsa_p256_and_ed25519(self) -> None:
        keys = parse_set(jwks(rsa().jwk(), p256().jwk(), ed25519().jwk()))

        assert [key.algorithm_name for key in keys] == ["RS256", "ES256", "EdDSA"]

    @pytest.mark.parametrize(
        "unfit",
        [
            "text",
            None,
            {},
            {"kty": "RSA"},
            {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "alg": "HS256"},
            rsa().jwk(use="enc"),
            rsa().jwk(alg="RS512"),
            rsa().jwk(alg="HS256"),
            rsa().jwk(alg="none"),
            rsa().jwk(key_ops=["encrypt"]),
            rsa().jwk(kid=7),
            rsa().jwk(n=65537),
            rsa().jwk(n="!"),
            rsa().jwk(e=None),
            rsa("short", 1024).jwk(),
            p256().jwk(crv="P-384"),
            p256().jwk(crv="secp256k1"),
            p256().jwk(y="AAAA"),
            p256().jwk(y=p256().jwk()["x"]),
            ed25519().jwk(crv="Ed448"),
            ed25519().jwk(crv="X25519"),
            ed25519().jwk(x="AAAA"),
        ],
    )
    def test_may_hold_what_is_passed_over(self, unfit: object) -> None:
        assert ids(unfit, GOOD, unfit) == ["rsa"]

    def test_that_holds_a_private_key_gives_its_public_one(self) -> None:
        (key,) = parse_set(jwks(ed25519().jwk(d="AAAA")))

        assert not hasattr(key.key, "sign")

    def test_is_read_up_to_a_number_of_keys(self) -> None:
        assert len(ids(*[rsa().jwk()] * (MOST_KEYS + 1))) == MOST_KEYS

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b'{"keys": {}}', b"\xff", b"{}", b"[" * 100_000, b'{"keys": 1}']
    )
    def test_that_is_none_is_refused(self, body: bytes) -> None:
        with pytest.raises(FetchError, match="no JWK Set"):
            parse_set(body)

    @pytest.mark.parametrize("keys", [[], [{"kty": "oct", "k": "AAAA"}]])
    def test_without_a_key_of_use_is_refused(self, keys: list[object]) -> None:
        with pytest.raises(FetchError, match="no key there is RSA"):
            parse_set(json.dumps({"keys": keys}).encode())

    @given(
        st.dictionaries(
            st.sampled_from(["kty", "crv", "n", "e", "x", "y", "d", "alg", "use", "kid"]),
            st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "AQAB", "sig"])
            | st.text(max_size=10)
            | st.none()
            | st.integers()
            | st.sampled_from(["AAAA" * 11, "_" * 43, "A" * 43, "_" * 342]),
        )
    )
    def test_with_whatever_key_is_read_or_refused(self, jwk: dict[str, object]) -> None:
        assert "rsa" in ids(jwk, GOOD)
