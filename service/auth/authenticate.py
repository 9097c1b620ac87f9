"""Who sent a credential?"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from service.auth.jwks import Jwks, JwksObserver
from service.auth.keys import Keys
from service.auth.sources import source_of
from service.auth.tokens import Tokens
from service.core.errors import Kind, ServiceError
from service.core.owners import KeyEntry

MOST_CHARACTERS = 8192
"""Of a credential; aiohttp takes no longer header either."""


class BearerAuthenticator:
    """Takes API keys, JWTs, or both (`service.core.ports.Authenticator`)."""

    def __init__(
        self,
        entries: Sequence[KeyEntry],
        jwks: Jwks | None,
        *,
        issuer: str | None = None,
        audience: str | None = None,
    ) -> None:
        self._entries = entries
        self._keys = Keys(entries)
        self._jwks = jwks
        self._tokens = Tokens(jwks, issuer=issuer, audience=audience) if jwks else None

    async def owner_of(self, credential: str) -> str:
        """The owner that an API key or a JWT proves; see the port."""
        owner = None
        if 0 < len(credential) <= MOST_CHARACTERS:
            owner = self._keys.owner_of(credential)
            if owner is None and self._tokens:
                owner = await self._tokens.owner_of(credential)
        if owner is None:
            raise ServiceError(Kind.UNAUTHORIZED, self._expected())
        return owner

    async def check(self) -> None:
        """Raise where nobody can be recognised: there are JWTs only, and no key to verify them."""
        if self._jwks and not self._jwks.known and not self._entries:
            raise ServiceError(Kind.UNAUTHORIZED, "the keys that sign JWTs could not be read")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Keep the keys that sign JWTs up to date for as long as this is entered."""
        if self._jwks is None:
            yield
            return
        async with self._jwks.following():
            yield

    def _expected(self) -> str:
        key = "an API key of this service" if self._entries else ""
        token = "a JWT that is valid here and now" if self._tokens else ""
        what = " or ".join(filter(None, (key, token)))
        return (
            f"{what} is needed: in the header Authorization, after the word Bearer,"
            " or in the first message of a WebSocket"
        )


def make_authenticator(
    entries: Sequence[KeyEntry],
    jwks: str | None,
    *,
    issuer: str | None,
    audience: str | None,
    observer: JwksObserver,
) -> BearerAuthenticator | None:
    """What the settings ask for; None where authentication is off. `jwks`: a URL or a path."""
    if not entries and jwks is None:
        return None
    keys = Jwks(source_of(jwks), observer) if jwks else None
    return BearerAuthenticator(entries, keys, issuer=issuer, audience=audience)
