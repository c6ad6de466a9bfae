"""Keeps private keys unreadable in the database: sealed with a key that lies outside it."""

import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from factory.domain.errors import BadInputError
from factory.settings import Settings

_KEY_BYTES = 32
_NONCE_BYTES = 12


class Seal:
    """Encrypts and authenticates (AES-256-GCM).

    Args:
        secret: At least 32 random bytes, or a long text.
    """

    def __init__(self, secret: bytes) -> None:
        key = HKDF(SHA256(), _KEY_BYTES, salt=None, info=b"factory signing keys").derive(secret)
        self._cipher = AESGCM(key)

    @classmethod
    def of(cls, settings: Settings) -> "Seal":
        """Return the seal of a factory: from its setting, else from a file of the data directory, made if missing."""
        if settings.issuer_secret is not None:
            return cls(settings.issuer_secret.get_secret_value().encode())
        return cls(_key_file(settings.data_dir / "identity.key"))

    def close(self, plain: bytes, name: str) -> bytes:
        """Return bytes sealed under a name."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, name.encode())

    def open(self, sealed: bytes, name: str) -> bytes:
        """Return what was sealed under a name.

        Raises:
            BadInputError: It was sealed with another secret, or changed.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except InvalidTag:
            raise BadInputError(
                "the signing key cannot be opened with this factory's secret.",
                remedy="Give the secret it was made with: FACTORY_ISSUER_SECRET, or identity.key of the data folder. "
                "Or make a new key: factory token keys rotate.",
                field="FACTORY_ISSUER_SECRET",
            ) from None


def _key_file(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(os.urandom(_KEY_BYTES))
        file.flush()
        os.fsync(handle)
    try:
        # Of two processes that make one at the same time, one's stands for both.
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_bytes()
