"""The Git repository of each project: one commit or a few per artifact, with trailers.

A commit is a pure function of the artifact's metadata, its files and the parent commit: author and time come
from the metadata and the settings. Work that is repeated after a crash therefore gives the same commit again,
and the order of artifacts that PostgreSQL records is all that is needed to make the repository anew.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from dulwich.objects import Commit, ObjectID, Tag

from factory.artifacts import checkout
from factory.artifacts.errors import IntegrityError
from factory.artifacts.files import locked, make_directory, sweep, sync_directory
from factory.artifacts.git import MAIN, GitRepository, Trailers, check_tree
from factory.artifacts.plan import body, check_committable, committable, split
from factory.domain.artifact import KINDS, ArtifactRef, Content
from factory.domain.errors import ConflictError, NotFoundError
from factory.domain.project import Project

MANIFEST = ".factory/manifest.json"

_RELEASE_KIND = "release"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs the factory's commits."""

    name: str = "AI Software Factory"
    email: str = "factory@localhost"

    def encode(self) -> bytes:
        """Return the identity as Git writes it."""
        return f"{self.name} <{self.email}>".encode()


@dataclass(frozen=True, slots=True)
class _Change:
    """What an artifact does to the tree: the files to write, by path, and the paths to remove.

    Attributes:
        first: Whether no earlier version of the kind is committed.
    """

    first: bool
    written: Mapping[str, ObjectID]
    removed: frozenset[str]


@dataclass(frozen=True, slots=True)
class RepositoryStore:
    """The bare repositories of all projects, in one directory.

    Calls for one project must come in the order of its artifacts; a file lock keeps writers of one project
    apart, in this process and in others. The methods block: call them in a thread.

    Attributes:
        root: Where `<project id>.git` lie.
        identity: Author and committer; part of what makes a commit's hash.
    """

    root: Path
    identity: Identity = Identity()

    def commit(self, artifact: ArtifactRef, content: Content, parent: str | None) -> str:
        """Commit an artifact's files onto `parent` and return the commit; of several, the last.

        Files of the kind's earlier versions that `content` lacks are removed. `main` then holds the commit,
        unless it is in the history of `main` already: repeating an old call changes nothing.

        Args:
            artifact: Its metadata; the time of the commit is `created_at`.
            content: Its files.
            parent: The commit recorded before it, None for the project's first.

        Raises:
            BadInputError: The kind stays out of the repository, or a path cannot be checked out everywhere.
            ConflictError: A file belongs to another kind.
            NotFoundError: The repository has no such parent.
        """
        check_committable(artifact.kind)
        with self._writing(artifact.project_id) as repository:
            present = repository.paths(parent)
            change = _change(repository, artifact, content, parent, present)
            check_tree({path: None for path in present if path not in change.removed} | dict(change.written))
            head = self._commit_change(repository, artifact, change, parent, present)
            _advance(repository, head)
            return head

    def withdraw(self, artifact: ArtifactRef, before: Content | None, onto: Sequence[str], moment: int) -> str:
        """Commit the state that a kind had before an artifact, and return the commit. Nothing is rewritten.

        Args:
            artifact: The version that is taken back.
            before: The files of the version that stood before it; None where it was the first.
            onto: Recorded commits, of which the latest in the history becomes the parent.
            moment: The time of the commit, in seconds since 1970.

        Raises:
            BadInputError: The kind stays out of the repository.
            NotFoundError: The repository lacks one of the commits.
        """
        title = check_committable(artifact.kind).title.lower()
        with self._writing(artifact.project_id) as repository:
            parent = onto[0]
            for commit in onto[1:]:
                parent = commit if repository.is_ancestor(parent, commit) else parent
            present = repository.paths(parent)
            change = _change(repository, artifact, before or Content(files={}), parent, present)
            kept = {path: blob for path, blob in present.items() if path not in change.removed}
            tree = repository.add_tree({**kept, **change.written})
            message = f"Withdraw the {title}, version {artifact.version}\n\n{_trailers(artifact).lines()}\n"
            head = self._add_commit(repository, tree, parent, message, moment)
            _advance(repository, head)
            return head

    def release_commit(self, project: Project, parent: str, *, version: str = "1.0.0") -> str:
        """Commit the manifest onto `parent`, tag it `v<version>` and return the commit.

        The manifest names the project, the version of its domain model, its artifacts, and the SHA-256 of
        every other file, so that a later build can tell what a person changed.

        Raises:
            ConflictError: The tag stands on another commit.
            NotFoundError: There is no such parent.
        """
        with self._writing(project.id) as repository:
            present = {path: blob for path, blob in repository.paths(parent).items() if path != MANIFEST}
            manifest = _manifest(repository, project, parent, present, version)
            tree = repository.add_tree({**present, MANIFEST: repository.add_blob(manifest)})
            moment = repository.commit(parent).commit_time
            trailers = Trailers(
                project=str(project.id), kind=_RELEASE_KIND, version=version, trace=project.trace_id
            ).lines()
            message = f"Release {version}\n\n{trailers}\n"
            head = self._add_commit(repository, tree, parent, message, moment)
            self._tag(repository, version, head, f"{project.name} {version}\n", moment)
            _advance(repository, head)
            return head

    def materialise(self, project: Project, out_dir: Path, *, head: str | None = None) -> Path:
        """Check `main` out at `out_dir`, as an ordinary repository with a clean working tree.

        A new or empty folder becomes the repository; an older state of the same project is brought forward;
        for another build of the same product the old `main` is kept as `previous/<short id>`. A killed call
        is finished by the next one.

        Args:
            project: Whose repository.
            out_dir: Where to.
            head: The commit to check out, by default the project's `main`.

        Raises:
            ConflictError: The folder holds something else, or uncommitted work.
            NotFoundError: The project has no commit yet.
        """
        target = out_dir.expanduser().absolute()
        lock = hashlib.sha256(str(target.resolve()).encode()).hexdigest()[:32]
        with self.opened(project.id) as repository, locked(self.root / f"checkout-{lock}.lock"):
            commit = head or repository.reference(MAIN)
            if commit is None:
                raise _no_repository(project.id)
            source = checkout.Source(repository, commit, str(project.id), project.slug)
            checkout.materialise(source, target)
        return target

    @contextmanager
    def opened(self, project_id: UUID) -> Iterator[GitRepository]:
        """Open a project's repository for reading.

        Raises:
            NotFoundError: Nothing of the project is committed yet.
        """
        path = self.path(project_id)
        if not path.is_dir():
            raise _no_repository(project_id)
        with GitRepository(path).opened() as repository:
            yield repository

    def path(self, project_id: UUID) -> Path:
        """Return where a project's bare repository lies."""
        return self.root / f"{project_id}.git"

    @contextmanager
    def _writing(self, project_id: UUID) -> Iterator[GitRepository]:
        path = self.path(project_id)
        with locked(self.root / f"{project_id}.lock"):
            if not path.is_dir():
                _create(path)
            # Under the lock no other writer lives, so whatever is staged is a dead one's.
            sweep(path / "staging", older_than=time.time())
            with GitRepository(path).opened() as repository:
                yield repository

    def _commit_change(
        self,
        repository: GitRepository,
        artifact: ArtifactRef,
        change: _Change,
        parent: str | None,
        present: Mapping[str, ObjectID],
    ) -> str:
        tree = dict(present)
        head = parent
        touched = {path for path, blob in change.written.items() if tree.get(path) != blob} | change.removed
        for subject, paths in split(artifact.kind, touched, first=change.first):
            summary = "" if change.first else _summary(paths, change, tree) + "\n\n"
            for path in paths:
                if path in change.removed:
                    del tree[path]
                else:
                    tree[path] = change.written[path]
            message = f"{subject}\n\n{summary}{_trailers(artifact).lines()}\n"
            moment = int(artifact.created_at.timestamp())
            head = self._add_commit(repository, repository.add_tree(tree), head, message, moment)
        if head is None:
            raise ConflictError(f"{artifact.kind} v{artifact.version} of {artifact.project_id} made no commit.")
        return head

    def _add_commit(
        self, repository: GitRepository, tree: ObjectID, parent: str | None, message: str, moment: int
    ) -> str:
        commit = Commit()
        commit.tree = tree
        commit.parents = [] if parent is None else [ObjectID(parent.encode())]
        commit.author = commit.committer = self.identity.encode()
        commit.author_time = commit.commit_time = moment
        commit.author_timezone = commit.commit_timezone = 0
        commit.message = message.encode()
        repository.add_object(commit)
        return commit.id.decode()

    def _tag(self, repository: GitRepository, version: str, commit: str, message: str, moment: int) -> None:
        tag = Tag()
        tag.name = f"v{version}".encode()
        tag.object = (Commit, ObjectID(commit.encode()))
        tag.tagger = self.identity.encode()
        tag.tag_time = moment
        tag.tag_timezone = 0
        tag.message = message.encode()
        name = f"refs/tags/v{version}".encode()
        standing = repository.reference(name)
        if standing not in (None, tag.id.decode()):
            raise ConflictError(
                f"the tag v{version} stands on another commit already.",
                remedy="Release the new state under a higher version.",
                field="version",
            )
        repository.add_object(tag)
        repository.set_reference(name, tag.id.decode())


def _create(path: Path) -> None:
    """Lay a bare repository beside its place and move it there, so that it exists whole or not at all."""
    unfinished = path.with_suffix(".git-new")
    make_directory(unfinished)
    GitRepository.create(unfinished, bare=True)
    unfinished.rename(path)
    sync_directory(path.parent)


def _advance(repository: GitRepository, head: str) -> None:
    """Point `main` to a commit unless its history has the commit already.

    `main` may stand on a commit that no one recorded, of a worker that lost its lease: then it leaves it. The
    caller's parent decides, not `main`.
    """
    try:
        included = repository.is_ancestor(head, repository.reference(MAIN))
    except (IntegrityError, NotFoundError):
        # Damaged objects come back as their artifacts are committed again, in order, from the first.
        included = False
    if not included:
        repository.set_reference(MAIN, head)


def _change(
    repository: GitRepository,
    artifact: ArtifactRef,
    content: Content,
    parent: str | None,
    present: Mapping[str, ObjectID],
) -> _Change:
    owners = _owners(repository, parent)
    for path in content.files:
        if (owner := owners.get(path, artifact.kind)) != artifact.kind:
            raise ConflictError(
                f"{artifact.kind} v{artifact.version} writes {path!r}, which belongs to {owner}.",
                remedy="Two kinds must never write the same path: rename one of the files.",
                field="path",
            )
    check_tree(content.files)
    mine = {path for path in present if owners.get(path) == artifact.kind}
    return _Change(
        first=artifact.kind not in owners.values(),
        written={path: repository.add_blob(text) for path, text in content.files.items()},
        removed=frozenset(mine - set(content.files)),
    )


def _owners(repository: GitRepository, head: str | None) -> dict[str, str]:
    """Return which kind wrote each file of a commit, from the trailers of its history."""
    owners: dict[str, str] = {}
    before: Mapping[str, ObjectID] = {}
    for commit in reversed(list(repository.history(head))):
        after = repository.paths(commit.id.decode())
        kind = Trailers.of(commit).kind
        for path in before.keys() - after.keys():
            owners.pop(path, None)
        owners.update({path: kind for path, blob in after.items() if before.get(path) != blob})
        before = after
    return owners


def _trailers(artifact: ArtifactRef) -> Trailers:
    return Trailers(
        project=str(artifact.project_id),
        artifact=str(artifact.id),
        kind=artifact.kind,
        version=str(artifact.version),
        trace=artifact.trace_id,
        agent=artifact.agent,
    )


def _summary(paths: tuple[str, ...], change: _Change, tree: Mapping[str, ObjectID]) -> str:
    removed = [path for path in paths if path in change.removed]
    added = [path for path in paths if path not in tree]
    changed = [path for path in paths if path in tree and path not in change.removed]
    return body(added, changed, removed)


def _manifest(
    repository: GitRepository, project: Project, parent: str, present: Mapping[str, ObjectID], version: str
) -> str:
    artifacts: dict[str, dict[str, str | int]] = {}
    for commit in repository.history(parent):
        trailers = Trailers.of(commit)
        if committable(trailers.kind):
            artifacts.setdefault(trailers.kind, {"id": trailers.artifact, "version": int(trailers.version)})
    model = artifacts.get("domain-model")
    document = {
        "project": str(project.id),
        "slug": project.slug,
        "name": project.name,
        "release": version,
        "model_version": model["version"] if model else None,
        "artifacts": {kind: artifacts[kind] for kind in KINDS if kind in artifacts},
        "files": {
            path: hashlib.sha256(repository.read(blob).as_raw_string()).hexdigest()
            for path, blob in sorted(present.items())
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _no_repository(project_id: UUID) -> NotFoundError:
    return NotFoundError(
        f"project {project_id} has no repository yet.",
        remedy="It is made with the first artifact; see `factory project show`.",
        field="project_id",
    )
