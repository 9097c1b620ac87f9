"""What comes of any bytes as a credential, or as the keys that sign some?"""

import base64
import json
from functools import cache
from hashlib import sha256

from attrs import frozen
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fuzzing.requests import result_of
from service.auth.authenticate import BearerAuthenticator
from service.auth.jwks import ALGORITHMS, MOST_KEYS, FetchError, Jwks, parse_set
from service.auth.keys import Keys
from service.core.errors import Kind, ServiceError
from service.core.owners import parse_entries
from signing import Signer, jwks

KEY = "ail_of_the_tests"
ENTRY = f"ann:{sha256(KEY.encode()).hexdigest()}"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = Signer("EdDSA", "one", PRIVATE)
"""The same key in every process, so that a token that was found stays a good one."""


@frozen
class Deaf:
    """Is told of the keys, and keeps nothing."""

    def signing_keys_read(self, keys: int, fault: str | None) -> None: ...


@cache
def authenticator() -> BearerAuthenticator:
    """Takes one API key, and the tokens of one signer."""

    async def fetch() -> bytes:
        return jwks(SIGNER.jwk())

    return BearerAuthenticator(parse_entries(ENTRY), Jwks(fetch, Deaf()))


def credential(data: bytes) -> None:
    """Whatever was not made by the signer, or is no key, proves nobody."""
    owner = owner_of(data.decode(errors="surrogateescape"))

    assert owner is None or (owner == "key:ann") == (data == KEY.encode())


def jwt_parts(data: bytes) -> None:
    """A well-signed token (header, and in the next line claims) has a plain owner, or none."""
    header, _, claims = data.partition(b"\n")
    signed = b".".join(map(in_base64, (header, claims)))
    owner = owner_of(b".".join([signed, in_base64(PRIVATE.sign(signed))]).decode())

    if owner is not None:
        assert owner.startswith("jwt:")
        assert owner.isprintable()
        assert owner.count(":") >= 2
        told = json.loads(claims)
        assert owner.endswith(f":{told['sub']}")
        assert told["exp"]


def owner_of(text: str) -> str | None:
    """Who is proved; None for who is refused, in words that hold nothing of what was sent."""
    try:
        return result_of(authenticator().owner_of(text))
    except ServiceError as error:
        assert error.problem.kind is Kind.UNAUTHORIZED
        assert len(text) < 20 or text not in error.problem.detail
        return None


def in_base64(data: bytes) -> bytes:
    """As a part of a token."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def jwk_set(data: bytes) -> None:
    """A set gives keys that verify signatures here, or is refused."""
    try:
        keys = parse_set(data)
    except FetchError:
        return
    assert 0 < len(keys) <= MOST_KEYS
    assert all(key.algorithm_name in ALGORITHMS.values() for key in keys)
    assert not any(hasattr(key.key, "private_bytes") for key in keys)


def api_keys(data: bytes) -> None:
    """Entries are taken as they are written, or refused in words that hold nothing of them."""
    text = data.decode(errors="surrogateescape")
    try:
        entries = parse_entries(text)
    except ValueError as error:
        pieces = text.replace(",", ":").split(":")
        assert not any(piece in str(error) for piece in pieces if len(piece) > 20)
        return
    assert parse_entries(",".join(map(str, entries))) == entries
    assert not any(entry.digest.hex() in repr(entry) for entry in entries)
    assert Keys(entries).owner_of(text) is None
