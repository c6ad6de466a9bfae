"""Object storage for artifact content, addressed by SHA-256, on any fsspec URL."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from factory.artifacts.errors import IntegrityError
from factory.artifacts.files import make_directory, sweep, sync_directory, write_atomic
from factory.artifacts.folder import Folder
from factory.domain.artifact import ArtifactRef, Content, content_hash
from factory.domain.errors import BadInputError, NotFoundError

_HASH = re.compile(r"[0-9a-f]{64}")
_URI = re.compile(r"(?:^|.*/)sha256/([0-9a-f]{2})/([0-9a-f]{62})")

# A staged file this old has lost its writer: a blob is written in well under a second.
_ABANDONED_AFTER_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """Where bytes went.

    Attributes:
        hash: SHA-256, 64 hexadecimal digits.
        uri: Full address of the object.
        size: Number of bytes.
    """

    hash: str
    uri: str
    size: int


@dataclass(frozen=True)
class BlobStore(Folder):
    """Content-addressed bytes under one URL.

    Guarantees: a blob under its final name is complete (a killed writer leaves nothing there); equal bytes
    are stored once, whoever stores them and however often; on local files a stored blob is flushed to disk;
    what `get` returns has the hash that was asked for.

    The store is a value made of its URL, so that it can be pickled into an actor. Its methods block: call
    them in a thread.
    """

    def put(self, data: bytes) -> StoredBlob:
        """Store bytes under their hash; a damaged blob of that name is replaced."""
        digest = content_hash(data)
        path = self._path(digest)
        if isinstance(self._filesystem, LocalFileSystem):
            self._put_local(Path(path), data)
        elif not self._is_intact(path, data):
            # Object stores show an object only when its upload is complete, and a second upload has equal bytes.
            self._filesystem.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            self._filesystem.pipe_file(path, data)
        return StoredBlob(hash=digest, uri=str(self._filesystem.unstrip_protocol(path)), size=len(data))

    def get(self, reference: str, *, name: str = "") -> bytes:
        """Return the bytes of a blob after checking them against its hash.

        Args:
            reference: The hash or the URI that `put` returned. Only the hash counts, so that a store that
                was moved still serves the URIs of its old place.
            name: What the bytes are, for the error message.

        Raises:
            BadInputError: The reference is neither.
            NotFoundError: There is no such blob.
            IntegrityError: The stored bytes have another hash.
        """
        digest = hash_of(reference)
        label = f"{name} ({digest})" if name else f"the blob {digest}"
        try:
            data: bytes = self._filesystem.cat_file(self._path(digest))
        except FileNotFoundError:
            raise NotFoundError(
                f"{label} is not in the blob store {self.url!r}.",
                remedy="Check the blob URL in the settings, or run the task that made it again.",
                field="uri",
            ) from None
        if content_hash(data) != digest:
            raise IntegrityError(
                f"{label} is damaged in {self.url!r}: its {len(data)} bytes have the hash {content_hash(data)}.",
                remedy="Restore it from a backup, or run the task that made it again: storing the bytes mends it.",
                field="hash",
            )
        return data

    def exists(self, reference: str) -> bool:
        """Tell whether a blob with this hash or URI is stored; its bytes are not checked."""
        return bool(self._filesystem.isfile(self._path(hash_of(reference))))

    def put_content(self, content: Content) -> StoredBlob:
        """Store the canonical bytes of an artifact's files."""
        return self.put(content.to_bytes())

    def content(self, artifact: ArtifactRef) -> Content:
        """Return an artifact's files, checked against the hash in its metadata.

        Raises:
            NotFoundError: Its bytes are not stored.
            IntegrityError: Its bytes have another hash.
        """
        name = f"artifact {artifact.kind} v{artifact.version} {artifact.id}"
        return Content.from_bytes(self.get(artifact.hash, name=name))

    def sweep(self) -> int:
        """Remove what killed writers left behind more than an hour ago; return how many files went."""
        if not isinstance(self._filesystem, LocalFileSystem):
            return 0
        return sweep(self._staging, older_than=time.time() - _ABANDONED_AFTER_SECONDS)

    def _put_local(self, path: Path, data: bytes) -> None:
        if self._is_intact(str(path), data):
            # Its writer may not have come to flushing the name yet, and the caller will rely on it.
            sync_directory(path.parent)
            return
        make_directory(path.parent)
        write_atomic(path, data, staging=self._staging, mode=0o444)

    def _is_intact(self, path: str, data: bytes) -> bool:
        try:
            return bool(self._filesystem.cat_file(path) == data)
        except FileNotFoundError:
            return False

    def _path(self, digest: str) -> str:
        return f"{self._root}/sha256/{digest[:2]}/{digest[2:]}"

    @property
    def _staging(self) -> Path:
        return Path(self._root) / "staging"


def hash_of(reference: str) -> str:
    """Return the hash in a blob reference, which is a hash or a URI that ends in `sha256/ab/cdef…`.

    Raises:
        BadInputError: The reference is neither.
    """
    if _HASH.fullmatch(reference):
        return reference
    if match := _URI.fullmatch(reference):
        return match[1] + match[2]
    raise BadInputError(
        f"{reference!r} is not a blob reference.",
        remedy="Give 64 hexadecimal digits or the URI from the artifact's metadata.",
        field="uri",
    )
