"""The part of Git that the factory writes itself: objects, trees, references.

Reading goes through dulwich. Writing does not, because its lock files outlive a killed writer and its objects
are not flushed: here every object and reference is staged, flushed and renamed, an object that is already there
is read and checked before it is trusted, and the caller's file lock keeps writers apart.
"""

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from dulwich.errors import NotGitRepository
from dulwich.index import commit_tree, validate_path_element_default, validate_path_element_hfs
from dulwich.object_store import BaseObjectStore, iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tag, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo

from factory.artifacts.errors import IntegrityError
from factory.artifacts.files import make_directory, write_atomic
from factory.domain.artifact import check_path
from factory.domain.errors import BadInputError, NotFoundError

MAIN = Ref(b"refs/heads/main")
REGULAR_FILE = 0o100644

_CONFIG = """[core]
\trepositoryformatversion = 0
\tfilemode = {file_mode}
\tbare = {bare}
\tautocrlf = false
[gc]
\tauto = 0
"""

Paths = Mapping[str, ObjectID]
"""A tree, flat: path → id of the blob."""


@dataclass(frozen=True, slots=True)
class Trailers:
    """What a commit of the factory says about itself."""

    project: str = ""
    artifact: str = ""
    kind: str = ""
    version: str = ""
    trace: str = ""
    agent: str = ""

    def lines(self) -> str:
        """Return the trailers as they stand at the end of a commit message."""
        names = ("project", "artifact", "kind", "version", "trace", "agent")
        return "\n".join(f"Factory-{name.title()}: {value}" for name in names if (value := getattr(self, name)))

    @classmethod
    def of(cls, commit: Commit) -> "Trailers":
        """Read the trailers of a commit; those it lacks are empty."""
        last = commit.message.decode(errors="replace").rstrip().rsplit("\n\n", 1)[-1]
        pairs = (line.split(": ", 1) for line in last.splitlines() if line.startswith("Factory-") and ": " in line)
        known = {key.removeprefix("Factory-").lower(): value for key, value in pairs}
        return cls(**{name: known.get(name, "") for name in cls.__dataclass_fields__})


class _ObjectSink(Protocol):
    def add_object(self, obj: ShaFile) -> None: ...


class GitRepository:
    """A repository on disk, written so that a kill at any moment leaves it whole.

    Not safe for two writers at once: hold a lock around everything that writes.
    """

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        """Open the repository whose objects and references lie in `directory` (the `.git` of a working tree).

        Raises:
            NotFoundError: There is no repository.
        """
        self.directory = directory
        self._durable = durable
        try:
            # The control directory is opened as if bare, so that no working tree is looked for.
            self._repo = Repo(str(directory), bare=True)
        except NotGitRepository:
            raise NotFoundError(
                f"{directory} is not a Git repository.",
                remedy="It is made with the project's first commit.",
                field="path",
            ) from None

    @classmethod
    def create(cls, directory: Path, *, bare: bool, file_mode: bool = True) -> None:
        """Lay an empty repository with the branch `main` in a directory that nothing else uses."""
        for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "staging"):
            make_directory(directory / name)
        config = _CONFIG.format(bare=str(bare).lower(), file_mode=str(file_mode).lower())
        staging = directory / "staging"
        write_atomic(directory / "config", config.encode(), staging=staging)
        write_atomic(directory / "HEAD", b"ref: refs/heads/main\n", staging=staging)

    def opened(self) -> AbstractContextManager["GitRepository"]:
        """Return a context manager that closes the repository's files."""
        return closing(self)

    def close(self) -> None:
        """Close pack files held open."""
        self._repo.close()

    @property
    def staging(self) -> Path:
        """Where unfinished files of this repository lie."""
        return self.directory / "staging"

    def add_object(self, obj: ShaFile) -> None:
        """Store an object unless an intact copy is there."""
        sha = obj.id.decode()
        path = self.directory / "objects" / sha[:2] / sha[2:]
        if _is_intact(path, sha) or self._repo.object_store.contains_packed(obj.id):
            return
        raw = obj.as_raw_string()
        header = b"%s %d\x00" % (obj.type_name, len(raw))
        write_atomic(path, zlib.compress(header + raw), staging=self.staging, mode=0o444, durable=self._durable)

    def add_blob(self, text: str) -> ObjectID:
        """Store a text as it is, whatever its line ends; return its id."""
        blob = Blob.from_string(text.encode())
        self.add_object(blob)
        return blob.id

    def add_tree(self, paths: Paths) -> ObjectID:
        """Store the trees for a flat mapping of paths; return the root's id."""
        sink = cast("BaseObjectStore", cast("_ObjectSink", self))
        return commit_tree(sink, [(path.encode(), blob, REGULAR_FILE) for path, blob in sorted(paths.items())])

    def commit(self, sha: str) -> Commit:
        """Return a commit.

        Raises:
            NotFoundError: There is no such object.
            IntegrityError: The object is damaged or is no commit.
        """
        found = self.read(ObjectID(sha.encode()))
        if not isinstance(found, Commit):
            raise IntegrityError(f"{sha} in {self.directory} is a {found.type_name.decode()}, not a commit.")
        return found

    def read(self, sha: ObjectID) -> ShaFile:
        """Return an object after checking its bytes against its id.

        Raises:
            NotFoundError: There is no such object.
            IntegrityError: Its bytes are damaged.
        """
        try:
            found = self._repo.object_store[sha]
            intact = (
                hashlib.sha1(
                    b"%s %d\x00" % (found.type_name, found.raw_length()) + found.as_raw_string(), usedforsecurity=False
                ).hexdigest()
                == sha.decode()
            )
        except KeyError:
            raise NotFoundError(
                f"{self.directory} has no object {sha.decode()}.",
                remedy="Commit the artifact again: equal content gives the same object.",
            ) from None
        except Exception as error:
            raise self._damaged(sha) from error
        if not intact:
            raise self._damaged(sha)
        return found

    def paths(self, commit: str | None) -> dict[str, ObjectID]:
        """Return the flat tree of a commit; that of None is empty."""
        if commit is None:
            return {}
        entries = iter_tree_contents(self._repo.object_store, self.commit(commit).tree)
        return {entry.path.decode(): entry.sha for entry in entries if entry.path and entry.sha}

    def text(self, blob: ObjectID) -> str:
        """Return a blob's text."""
        return self.read(blob).as_raw_string().decode()

    def history(self, commit: str | None) -> Iterator[Commit]:
        """Walk from a commit along first parents to the root."""
        while commit is not None:
            found = self.commit(commit)
            yield found
            commit = found.parents[0].decode() if found.parents else None

    def is_ancestor(self, ancestor: str, commit: str | None) -> bool:
        """Tell whether one commit is in the history of another, over all parents, or is that commit."""
        pending = [] if commit is None else [commit]
        seen: set[str] = set()
        while pending:
            current = pending.pop()
            if current == ancestor:
                return True
            if current not in seen:
                seen.add(current)
                pending.extend(parent.decode() for parent in self.commit(current).parents)
        return False

    def reference(self, name: bytes) -> str | None:
        """Return what a reference points to, or None where it does not exist."""
        try:
            return self._repo.refs[Ref(name)].decode()
        except KeyError:
            return None

    def head(self) -> str:
        """Return the name of the reference that HEAD stands for, or the commit where it is detached."""
        return (self.directory / "HEAD").read_text().strip().removeprefix("ref: ")

    def set_reference(self, name: bytes, sha: str) -> None:
        """Point a reference to an object, in one step."""
        if self.reference(name) != sha:
            path = self.directory / name.decode()
            write_atomic(path, f"{sha}\n".encode(), staging=self.staging, durable=self._durable)

    def tags(self) -> dict[str, str]:
        """Return the tags by name: the id of the tag object or of the commit."""
        tags = self._repo.refs.as_dict(Ref(b"refs/tags"))
        return {name.decode(): sha.decode() for name, sha in tags.items()}

    def copy_to(self, target: "GitRepository", sha: str, *, known: set[ObjectID] | None = None) -> None:
        """Copy an object and everything it refers to."""
        seen = known if known is not None else set()
        pending = [ObjectID(sha.encode())]
        while pending:
            current = pending.pop()
            if current in seen:
                continue
            seen.add(current)
            found = self.read(current)
            target.add_object(found)
            pending.extend(_referred(found))

    def _damaged(self, sha: ObjectID) -> IntegrityError:
        return IntegrityError(
            f"the Git object {sha.decode()} in {self.directory} is damaged.",
            remedy="Commit the artifacts again from the blob store: that rewrites damaged objects.",
        )


def check_tree(paths: Mapping[str, object]) -> None:
    """Refuse a set of paths that cannot be checked out on every common file system.

    Raises:
        BadInputError: A path is not inside the repository, hides a `.git` folder, is both file and folder, or
            differs from another only in case.
    """
    folded: dict[str, str] = {}
    for path in sorted(paths):
        check_path(path)
        parts = path.split("/")
        if not all(_is_safe(part) for part in parts):
            raise BadInputError(
                f"{path!r} contains a name that Git refuses.", remedy="Choose another file name.", field="path"
            )
        for length in range(1, len(parts) + 1):
            prefix = "/".join(parts[:length])
            other = folded.setdefault(prefix.casefold(), prefix)
            if other != prefix:
                raise BadInputError(
                    f"{path!r} and {other!r} differ only in case.",
                    remedy="Rename one: macOS and Windows cannot hold both.",
                    field="path",
                )
            if length < len(parts) and prefix in paths:
                raise BadInputError(
                    f"{prefix!r} is a file and also a folder, of {path!r}.", remedy="Rename one of them.", field="path"
                )


def _is_safe(name: str) -> bool:
    element = name.encode()
    # Windows drops trailing dots and spaces, and knows `.git` by a short name too.
    bare = name.casefold().rstrip(". ")
    return validate_path_element_default(element) and validate_path_element_hfs(element) and bare not in _GIT_NAMES


_GIT_NAMES = frozenset({".git", "git~1"})


def _is_intact(path: Path, sha: str) -> bool:
    try:
        data = zlib.decompress(path.read_bytes())
    except (OSError, zlib.error):
        return False
    return hashlib.sha1(data, usedforsecurity=False).hexdigest() == sha


def _referred(obj: ShaFile) -> list[ObjectID]:
    match obj:
        case Commit():
            return [obj.tree, *obj.parents]
        case Tree():
            return [entry.sha for entry in obj.iteritems()]
        case Tag():
            return [obj.object[1]]
        case _:
            return []
