"""Who owns what is kept? The owners there can be, and the entries of the keys that prove some."""

import re
from collections.abc import Sequence
from urllib.parse import quote

from attrs import field, frozen

ANONYMOUS = ""
"""The one owner where authentication is off."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_NAME_RULE = "1 to 64 letters, digits, dots, underscores and hyphens"


def owner_of_key(name: str) -> str:
    """The owner that the key of this name proves."""
    return f"key:{name}"


def owner_of_subject(issuer: str, subject: str) -> str:
    """The owner that an issuer's JWT proves.

    The quoted issuer has no colon, so no two issuers and subjects make the same owner, and none
    makes that of a key.
    """
    return f"jwt:{quote(issuer)}:{subject}"


@frozen
class KeyEntry:
    """What is kept of an API key."""

    name: str
    digest: bytes = field(repr=False)
    """SHA-256 of the key's UTF-8 bytes."""

    def __str__(self) -> str:
        """The entry as it is written in settings."""
        return f"{self.name}:{self.digest.hex()}"


def check_name(name: str) -> None:
    """Raise `ValueError` for what cannot be the name of a key."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name of a key must be {_NAME_RULE}")


def parse_entries(given: str) -> tuple[KeyEntry, ...]:
    """The entries of comma-separated `name:sha256-hex`.

    Raises `ValueError` with every fault. Entries are told by number: a key that was put where its
    hash belongs must not be repeated.
    """
    texts = [text.strip() for text in given.split(",") if text.strip()]
    faults = [
        f"entry {number} {fault}"
        for number, text in enumerate(texts, 1)
        for fault in _faults_of(text)
    ]
    entries = [] if faults else [_entry(text) for text in texts]
    faults += _repeated("name", [entry.name for entry in entries])
    faults += _repeated("key", [entry.digest for entry in entries])
    if faults or not entries:
        told = "; ".join(faults) or "there is none"
        raise ValueError(f"must be entries name:sha256-hex, comma-separated: {told}")
    return tuple(entries)


def _faults_of(text: str) -> list[str]:
    name, _, digest = text.partition(":")
    faults = []
    if not _NAME.fullmatch(name):
        faults.append(f"has no name of {_NAME_RULE}")
    if not _DIGEST.fullmatch(digest):
        faults.append("has no SHA-256 of 64 hexadecimal digits after its name")
    return faults


def _entry(text: str) -> KeyEntry:
    name, _, digest = text.partition(":")
    return KeyEntry(name, bytes.fromhex(digest))


def _repeated(what: str, values: Sequence[object]) -> list[str]:
    return [
        f"entry {number} has the {what} of entry {values.index(value) + 1}"
        for number, value in enumerate(values, 1)
        if values.index(value) + 1 < number
    ]
