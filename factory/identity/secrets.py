"""Random keys, and what is kept in their place."""

import hashlib
import secrets

_BYTES = 32


def new_secret() -> str:
    """Return 256 random bits as text for URLs."""
    return secrets.token_urlsafe(_BYTES)


def hash_of(secret: str) -> bytes:
    """Return what is stored of a random key; it is long enough that a plain hash cannot be undone."""
    return hashlib.sha256(secret.encode()).digest()
