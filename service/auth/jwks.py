"""Which keys sign the JWTs that are accepted? A JWK Set (RFC 7517), read again and again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import jwt
import msgspec
from msgspec import Raw, Struct

INTERVAL_SECONDS = 300.0
RETRY_SECONDS = 10.0
"""After a set that could not be read."""
UNKNOWN_KID_SECONDS = 10.0
"""Between two readings for the sake of a key that is not in the set: such tokens cost nothing."""
PATIENCE_SECONDS = 5.0
MOST_KEYS = 100

ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
"""What is accepted, by type and curve of the key: never what a token or a set says."""

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

Fetch = Callable[[], Awaitable[bytes]]
"""Gives a JWK Set as JSON, of bounded size. Raises `FetchError`."""


class FetchError(Exception):
    """A JWK Set that cannot be had; the message names no address."""


class JwksObserver(Protocol):
    """Is told how reading the set went."""

    def signing_keys_read(self, keys: int, fault: str | None) -> None:
        """The set was read, or could not be; `keys` are in use from now on."""
        ...


class _Jwk(Struct):
    """The public members, and no others: a private key in the set stays out."""

    kty: str
    kid: str | None = None
    use: str | None = None
    key_ops: list[str] | None = None
    alg: str | None = None
    crv: str | None = None
    n: str | None = None
    e: str | None = None
    x: str | None = None
    y: str | None = None


class _Set(Struct):
    keys: list[Raw]


class Jwks:
    """The keys of a set, as they were when it could last be read."""

    def __init__(self, fetch: Fetch, observer: JwksObserver) -> None:
        self._fetch = fetch
        self._observer = observer
        self._keys: tuple[jwt.PyJWK, ...] = ()
        self._refreshing: asyncio.Task[bool] | None = None
        self._asked_at: float | None = None

    @property
    def known(self) -> bool:
        """Whether the set could be read at all."""
        return bool(self._keys)

    async def key(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key with that id; of a token without one the only key for its algorithm.

        For one that is not there the set is read again, if that was not done just now.
        """
        found = self._find(kid, algorithm)
        if found is None and self._may_ask():
            await self.refresh()
            found = self._find(kid, algorithm)
        return found

    async def refresh(self) -> bool:
        """Read the set, in bounded time; whoever comes meanwhile waits for the same reading.

        A failure leaves the keys as they are. Returns whether it could be read.
        """
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._read())
            self._refreshing.add_done_callback(self._forget)
        return await asyncio.shield(self._refreshing)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Read the set now, and then at every interval for as long as this is entered."""
        good = await self.refresh()
        following = asyncio.create_task(self._refresh_forever(good))
        try:
            yield
        finally:
            ending = {following} | ({self._refreshing} if self._refreshing else set())
            for task in ending:
                task.cancel()
            await asyncio.wait(ending)

    async def _refresh_forever(self, good: bool) -> None:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS if good else RETRY_SECONDS)
            good = await self.refresh()

    def _may_ask(self) -> bool:
        """Whether the set may be read for an unknown key now; if so, that counts as asked."""
        if self._refreshing:
            return True  # it costs no other reading
        now = asyncio.get_running_loop().time()
        if self._asked_at is not None and now - self._asked_at < UNKNOWN_KID_SECONDS:
            return False
        self._asked_at = now
        return True

    async def _read(self) -> bool:
        fault = None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                self._keys = parse_set(await self._fetch())
        except FetchError as exc:
            fault = str(exc)
        except TimeoutError:
            fault = f"no answer within {PATIENCE_SECONDS:g} s"
        self._observer.signing_keys_read(len(self._keys), fault)
        return fault is None

    def _forget(self, _done: asyncio.Task[bool]) -> None:
        self._refreshing = None

    def _find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        fit = [key for key in self._keys if key.algorithm_name == algorithm]
        if kid is None:
            return fit[0] if len(fit) == 1 else None
        return next((key for key in fit if key.key_id == kid), None)


def parse_set(body: bytes) -> tuple[jwt.PyJWK, ...]:
    """The keys of a set that verify JWTs here; others are passed over.

    Raises `FetchError` for what is no set, and for one without such a key.
    """
    try:
        listed = msgspec.json.decode(body, type=_Set).keys
    except _UNREADABLE:
        raise FetchError("what is there is no JWK Set") from None
    keys = tuple(key for raw in listed[:MOST_KEYS] if (key := _parse(raw)))
    if not keys:
        raise FetchError("no key there is RSA of 2048 bits or more, P-256 or Ed25519, for signing")
    return keys


def _parse(raw: Raw) -> jwt.PyJWK | None:
    try:
        jwk = msgspec.json.decode(raw, type=_Jwk)
        algorithm = ALGORITHMS.get((jwk.kty, jwk.crv))
        if algorithm is None or not _verifies(jwk, algorithm):
            return None
        members = {name: value for name, value in msgspec.to_builtins(jwk).items() if value}
        key = jwt.PyJWK(members, algorithm)
        return None if key.Algorithm.check_key_length(key.key) else key
    except (*_UNREADABLE, jwt.PyJWTError, KeyError):  # KeyError: a member is missing
        return None


def _verifies(jwk: _Jwk, algorithm: str) -> bool:
    """Whether the set gives the key for this (RFC 7517, sections 4.2 to 4.4)."""
    for_signing = jwk.use in (None, "sig") and (jwk.key_ops is None or "verify" in jwk.key_ops)
    return for_signing and jwk.alg in (None, algorithm)
