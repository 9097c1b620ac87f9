"""Who signs JWTs in tests? Real keys of every kind, and the JWK Set that tells of them."""

import base64
import json
import time
from collections.abc import Mapping
from functools import cache

import jwt
from attrs import frozen
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Private = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

ISSUER = "https://id.example"


@frozen
class Signer:
    """A private key and what a JWK Set tells of it."""

    algorithm: str
    kid: str
    private: Private

    def jwk(self, **members: object) -> dict[str, object]:
        """The public key; a member that is None is left out."""
        jwk = {**_public(self.private), "kid": self.kid, "use": "sig", **members}
        return {name: value for name, value in jwk.items() if value is not None}

    def token(
        self,
        claims: Mapping[str, object] | None = None,
        header: Mapping[str, object] | None = None,
    ) -> str:
        """A JWT with these claims, and with this in its header; what is None is left out."""
        payload = json.dumps(whole(claims or {})).encode()
        headers = {"kid": self.kid, **(header or {})}
        return jwt.PyJWS().encode(
            payload,
            self.private,
            algorithm=self.algorithm,
            headers={name: value for name, value in headers.items() if value is not None},
        )


def whole(claims: Mapping[str, object]) -> dict[str, object]:
    """Claims that are accepted, with these put in their place; what is None is left out."""
    usual = {"sub": "alice", "iss": ISSUER, "exp": time.time() + 600}
    return {name: value for name, value in {**usual, **claims}.items() if value is not None}


def _public(private: Private) -> dict[str, object]:
    match private:
        case RSAPrivateKey():
            return dict(RSAAlgorithm.to_jwk(private.public_key(), as_dict=True))
        case EllipticCurvePrivateKey():
            return dict(ECAlgorithm.to_jwk(private.public_key(), as_dict=True))
        case Ed25519PrivateKey():
            return dict(OKPAlgorithm.to_jwk(private.public_key(), as_dict=True))


def jwks(*keys: Mapping[str, object]) -> bytes:
    """A JWK Set."""
    return json.dumps({"keys": keys}).encode()


@cache
def rsa(kid: str = "rsa", bits: int = 2048) -> Signer:
    """RS256; the same key for the same id."""
    return Signer("RS256", kid, generate_rsa(65537, bits))


@cache
def p256(kid: str = "p256") -> Signer:
    """ES256; the same key for the same id."""
    return Signer("ES256", kid, generate_private_key(SECP256R1()))


@cache
def ed25519(kid: str = "ed25519") -> Signer:
    """EdDSA; the same key for the same id."""
    return Signer("EdDSA", kid, Ed25519PrivateKey.generate())


def segment(value: object) -> str:
    """A part of a token that was put together by hand."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
