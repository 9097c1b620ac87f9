"""Whose JWT is this? (RFC 7519, with the advice of RFC 8725)."""

import re
from collections.abc import Mapping

import jwt

from service.auth.jwks import ALGORITHMS, RETRY_SECONDS, Jwks
from service.core.errors import Kind, ServiceError
from service.core.owners import owner_of_subject

LEEWAY_SECONDS = 30
MOST_CHARACTERS = 255
"""Of a `sub`, as OpenID Connect has it, and of an `iss`."""

_ALLOWED = tuple(ALGORITHMS.values())
_COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


class Tokens:
    """Verifies JWTs by the keys of a set."""

    def __init__(self, jwks: Jwks, *, issuer: str | None, audience: str | None) -> None:
        self._jwks = jwks
        self._issuer = issuer
        self._audience = audience

    async def owner_of(self, token: str) -> str | None:
        """The owner of a valid token, or None.

        Raises `ServiceError(UNAUTHORIZED)` with `retry_after` while no token can be verified.
        """
        if not _COMPACT.fullmatch(token):
            return None
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in _ALLOWED:
                return None
            key = await self._key(header.get("kid"), algorithm)
            return _owner(self._claims(token, key)) if key else None
        except jwt.PyJWTError:
            return None

    def _claims(self, token: str, key: jwt.PyJWK) -> Mapping[str, object]:
        # Without an audience of ours PyJWT refuses tokens that have one, as RFC 7519 wants it.
        return jwt.decode(
            token,
            key,
            algorithms=_ALLOWED,
            options={"require": ["exp", "sub"]},
            issuer=self._issuer,
            audience=self._audience,
            leeway=LEEWAY_SECONDS,
        )

    async def _key(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        key = await self._jwks.key(kid, algorithm)
        if not self._jwks.known:
            raise ServiceError(
                Kind.UNAUTHORIZED,
                "no JWT can be verified now: the keys that sign them could not be read",
                retry_after=RETRY_SECONDS,
            )
        return key


def _owner(claims: Mapping[str, object]) -> str | None:
    issuer, subject = claims.get("iss", ""), claims["sub"]
    if not isinstance(issuer, str) or not isinstance(subject, str) or not subject:
        return None
    if not all(_plain(text) for text in (issuer, subject)):
        return None
    return owner_of_subject(issuer, subject)


def _plain(text: str) -> bool:
    """Whether a text may be kept and logged: short, no control characters, no lone surrogates."""
    return len(text) <= MOST_CHARACTERS and text.isprintable()
