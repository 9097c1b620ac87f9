"""Which JWTs are accepted, and whose they are: real signatures, and forgeries of every kind."""

import hmac
import json
import time
from collections.abc import Mapping

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st

from clock import play
from service.auth.jwks import Jwks
from service.auth.tokens import LEEWAY_SECONDS, MOST_CHARACTERS, Tokens
from service.core.errors import Kind, ServiceError
from signing import ISSUER, Signer, ed25519, jwks, p256, rsa, segment, whole

ALICE = "jwt:https%3A//id.example:alice"
SIGNERS = [rsa(), p256(), ed25519()]
SET = jwks(*[signer.jwk() for signer in SIGNERS])


class Quiet:
    def signing_keys_read(self, keys: int, fault: str | None) -> None:
        """Nobody asks."""


async def fetch() -> bytes:
    return SET


def owner_of(token: str, *, issuer: str | None = None, audience: str | None = None) -> str | None:
    """Whose token it is for a service with these settings."""
    return play(Tokens(Jwks(fetch, Quiet()), issuer=issuer, audience=audience).owner_of(token))


def owner_by(claims: Mapping[str, object], **settings: str) -> str | None:
    return owner_of(p256().token(claims), **settings)


class TestAToken:
    @pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.algorithm)
    def test_that_is_signed_belongs_to_its_subject_at_its_issuer(self, signer: Signer) -> None:
        assert owner_of(signer.token()) == ALICE

    def test_belongs_to_the_same_owner_whether_the_issuer_is_configured_or_not(self) -> None:
        assert owner_by({}, issuer=ISSUER) == owner_by({}) == ALICE

    def test_without_an_issuer_belongs_to_its_subject(self) -> None:
        assert owner_by({"iss": None}) == "jwt::alice"

    def test_without_a_key_id_is_verified_where_one_key_can_be_meant(self) -> None:
        assert owner_of(p256().token(header={"kid": None})) == ALICE

    @pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.algorithm)
    def test_that_was_changed_is_refused(self, signer: Signer) -> None:
        header, _, signature = signer.token().split(".")
        claims = segment(whole({"sub": "bob"}))

        assert owner_of(f"{header}.{claims}.{signature}") is None

    def test_that_another_signed_under_the_same_key_id_is_refused(self) -> None:
        assert owner_of(p256("other").token(header={"kid": "p256"})) is None

    def test_of_an_unknown_key_is_refused(self) -> None:
        assert owner_of(p256("other").token()) is None

    def test_brings_no_key_of_its_own(self) -> None:
        other = p256("other")
        header = {"jwk": other.jwk(), "jku": "https://attacker.example/", "kid": "p256"}

        assert owner_of(other.token(header=header)) is None

    def test_with_a_critical_extension_is_refused(self) -> None:
        header = {"crit": ["exp"], "exp": time.time() + 600}

        assert owner_of(p256().token(header=header)) is None


def forged(algorithm: object, secret: bytes, kid: str) -> str:
    """A token whose HMAC is right, whatever its header says that it is."""
    signed = f"{segment({'alg': algorithm, 'kid': kid})}.{segment(whole({}))}"
    mac = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{jwt.utils.base64url_encode(mac).decode()}"


class TestTheAlgorithm:
    @pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
    @pytest.mark.parametrize(
        "secret",
        [
            rsa()
            .private.public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            rsa()
            .private.public_key()
            .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            json.dumps(rsa().jwk()).encode(),
            b"",
        ],
        ids=["pem", "der", "jwk", "empty"],
    )
    def test_is_not_taken_for_one_with_the_public_key_as_secret(
        self, algorithm: str, secret: bytes
    ) -> None:
        assert owner_of(forged(algorithm, secret, "rsa")) is None

    @pytest.mark.parametrize("none", ["none", "None", "NONE", "nOnE", "", None, [], {}, 0])
    @pytest.mark.parametrize("signature", ["", "AAAA"])
    def test_is_not_none(self, none: object, signature: str) -> None:
        unsigned = f"{segment({'alg': none, 'kid': 'rsa'})}.{segment(whole({}))}.{signature}"

        assert owner_of(unsigned) is None

    @pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
    def test_is_one_of_three_although_the_key_could_do_more(self, algorithm: str) -> None:
        token = jwt.encode(whole({}), rsa().private, algorithm, headers={"kid": "rsa"})

        assert owner_of(token) is None

    def test_is_the_one_of_the_key(self) -> None:
        header, claims, signature = rsa().token().split(".")
        other = segment({"alg": "ES256", "kid": "rsa"})

        assert owner_of(f"{header}.{claims}.{signature}") == ALICE
        assert owner_of(f"{other}.{claims}.{signature}") is None


def ago(seconds: float) -> float:
    return time.time() - seconds


class TestTheTime:
    @pytest.mark.parametrize(
        ("claim", "seconds_ago", "accepted"),
        [
            ("exp", LEEWAY_SECONDS - 10, True),
            ("exp", LEEWAY_SECONDS + 10, False),
            ("nbf", 10 - LEEWAY_SECONDS, True),
            ("nbf", -10 - LEEWAY_SECONDS, False),
            ("iat", 10 - LEEWAY_SECONDS, True),
            ("iat", -10 - LEEWAY_SECONDS, False),
        ],
    )
    def test_is_kept_with_a_little_leeway(
        self, claim: str, seconds_ago: float, *, accepted: bool
    ) -> None:
        assert (owner_by({claim: ago(seconds_ago)}) == ALICE) == accepted

    def test_of_the_end_is_required(self) -> None:
        assert owner_by({"exp": None}) is None

    @pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
    @pytest.mark.parametrize("odd", ["soon", [], {}, float("inf"), float("nan")])
    def test_that_is_none_is_refused(self, claim: str, odd: object) -> None:
        assert owner_by({claim: odd}) is None


class TestIssuerAndAudience:
    @pytest.mark.parametrize(
        "issuer", [None, "", "https://evil.example", f"{ISSUER}/", [ISSUER], 7]
    )
    def test_another_issuer_is_refused_where_one_is_configured(self, issuer: object) -> None:
        assert owner_by({"iss": issuer}, issuer=ISSUER) is None

    @pytest.mark.parametrize("issuer", [[ISSUER], 7, "a\nb", "x" * (MOST_CHARACTERS + 1)])
    def test_an_issuer_that_is_no_name_is_refused_where_none_is_configured(
        self, issuer: object
    ) -> None:
        assert owner_by({"iss": issuer}) is None

    @pytest.mark.parametrize("audience", ["chat", ["other", "chat"]])
    def test_the_configured_audience_is_accepted_alone_or_among_others(
        self, audience: object
    ) -> None:
        assert owner_by({"aud": audience}, audience="chat") == ALICE

    @pytest.mark.parametrize(
        "audience", [None, "", "other", "chatter", ["other"], [], {"chat": 1}, ["chat", 7]]
    )
    def test_another_audience_is_refused_where_one_is_configured(self, audience: object) -> None:
        assert owner_by({"aud": audience}, audience="chat") is None

    def test_an_audience_is_refused_where_none_is_configured(self) -> None:
        assert owner_by({"aud": "other"}) is None


class TestTheSubject:
    @pytest.mark.parametrize("subject", ["alice", "auth0|7:x", "a b", "Zoë 😀", "x" * 255])
    def test_may_be_any_short_text(self, subject: str) -> None:
        assert owner_by({"sub": subject}) == f"jwt:https%3A//id.example:{subject}"

    @pytest.mark.parametrize(
        "subject",
        [None, "", 7, True, ["alice"], {}, "a\nb", "a\0", "\x7f", "\u2028", "\ud800", "x" * 256],
    )
    def test_is_nothing_else(self, subject: object) -> None:
        assert owner_by({"sub": subject}) is None

    def test_null_is_no_subject(self) -> None:
        token = jwt.PyJWS().encode(
            json.dumps(whole({}) | {"sub": None}).encode(),
            p256().private,
            algorithm="ES256",
            headers={"kid": "p256"},
        )

        assert owner_of(token) is None


def test_while_no_key_could_be_read_it_is_said_when_to_try_again() -> None:
    async def nothing() -> bytes:
        return b""

    async def ask(token: str) -> str | None:
        return await Tokens(Jwks(nothing, Quiet()), issuer=None, audience=None).owner_of(token)

    with pytest.raises(ServiceError) as raised:
        play(ask(p256().token()))

    assert raised.value.problem.kind is Kind.UNAUTHORIZED
    assert raised.value.problem.retry_after
    assert play(ask("a.b.c")) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
CLAIMS = st.dictionaries(st.sampled_from(["sub", "iss", "aud", "exp", "nbf", "iat", "jti"]), JSON)
HEADERS = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk"]), JSON)
PARTS = st.text("ABCxyz019-_=.!é\udcff", max_size=20)


class TestWhateverComes:
    @given(st.lists(PARTS, min_size=1, max_size=4).map(".".join))
    @example("..")
    @example("a.b.c.d.e")
    @example(f"{'[' * 3000}.a.a")
    def test_as_text_is_nobodys(self, token: str) -> None:
        assert owner_of(token) is None

    @given(HEADERS, CLAIMS, st.sampled_from(["", "AAAA", "A" * 342]))
    def test_as_parts_is_nobodys(
        self, header: dict[str, object], claims: dict[str, object], signature: str
    ) -> None:
        header = {"alg": "RS256", "kid": "rsa"} | header

        assert owner_of(f"{segment(header)}.{segment(claims)}.{signature}") is None

    @given(CLAIMS)
    def test_signed_as_it_should_be_is_refused_or_has_an_owner_to_keep(
        self, claims: dict[str, object]
    ) -> None:
        owner = owner_of(p256().token({"nbf": None, **claims}))

        assert owner is None or (owner.startswith("jwt:") and owner.encode() and len(owner) < 4000)

    @given(st.sampled_from([b"", b"[]", b"1", b"\xff", b"[" * 3000, b'{"exp":1e999}']))
    def test_signed_that_is_no_object_is_nobodys(self, payload: bytes) -> None:
        token = jwt.PyJWS().encode(payload, p256().private, "ES256", headers={"kid": "p256"})

        assert owner_of(token) is None
