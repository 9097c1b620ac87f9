"""Who asks in tests? Owners with API keys, and how they say who they are."""

import hashlib


def key_of(name: str) -> str:
    """The API key of an owner."""
    return f"ail_{name}_0123456789abcdefghijklmnopqrstuvwxyz"


def hash_of(name: str) -> str:
    """What the service is told of that key."""
    return hashlib.sha256(key_of(name).encode()).hexdigest()


def entries(*names: str) -> str:
    """`API_KEYS` of these owners."""
    return ",".join(f"{name}:{hash_of(name)}" for name in names)


def bearer(credential: str) -> dict[str, str]:
    """The header that carries a credential."""
    return {"Authorization": f"Bearer {credential}"}


def asked_by(name: str) -> dict[str, str]:
    """The header with the key of an owner."""
    return bearer(key_of(name))
