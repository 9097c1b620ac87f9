"""Whose API key is this?"""

import hmac
import secrets
from collections.abc import Sequence
from hashlib import sha256

from service.core.owners import KeyEntry, check_name, owner_of_key

PREFIX = "ail_"
"""Shows people, and programs that look for leaked secrets, what a string is."""
RANDOM_BYTES = 32
"""As many as SHA-256 gives: nothing is gained by guessing, so no slow hash is needed."""


class Keys:
    """The keys that are accepted, by their hashes."""

    def __init__(self, entries: Sequence[KeyEntry]) -> None:
        self._entries = tuple(entries)

    def owner_of(self, credential: str) -> str | None:
        """The owner of a key, or None.

        Takes as long whichever entry it is, or none: hashes are compared in constant time, and
        always all of them.
        """
        digest = _digest(credential)
        owner = None
        for entry in self._entries:
            if hmac.compare_digest(entry.digest, digest):
                owner = owner_of_key(entry.name)
        return owner


def new_key(name: str) -> tuple[str, KeyEntry]:
    """A new key, which is kept nowhere, and its entry. Raises `ValueError` for a bad name."""
    check_name(name)
    key = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    return key, KeyEntry(name, _digest(key))


def _digest(key: str) -> bytes:
    # A header that is no UTF-8 arrives with lone surrogates, which make no key and no exception.
    return sha256(key.encode("utf-8", "surrogatepass")).digest()
