"""Proof that what is recorded of a project is true: bytes, versions, ancestry, commits."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from factory.artifacts.blobs import BlobStore, hash_of
from factory.artifacts.commits import ArtifactCommit, commits, withdrawals
from factory.artifacts.git import MAIN, GitRepository, Trailers
from factory.artifacts.lineage import ROOT_KIND, project_artifacts
from factory.artifacts.plan import committable
from factory.artifacts.records import StoredArtifact
from factory.artifacts.repository import RepositoryStore
from factory.domain.artifact import ArtifactStatus, Content
from factory.domain.errors import FactoryError
from factory.domain.project import ProjectStatus
from factory.storage.database import Connection

_PROJECT = "SELECT status, released_commit FROM project WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something recorded that is not so.

    Attributes:
        check: `bytes`, `versions`, `ancestry` or `commits`.
        subject: The artifact or commit, in words.
    """

    check: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What the database says of a project's history, and the files its commits must hold."""

    project_id: UUID
    commits: Sequence[ArtifactCommit]
    artifacts: Mapping[UUID, StoredArtifact]
    contents: Mapping[UUID, Content]
    release: str | None
    withdrawals: Sequence[str] = ()


async def verify(
    connection: Connection, store: BlobStore, project_id: UUID, repositories: RepositoryStore | None = None
) -> list[Problem]:
    """Check everything stored of a project; an empty answer means that all of it holds.

    Every artifact's bytes have the recorded hash and size; every version of a kind exists once, without gaps;
    every artifact was derived from the vision, and of other projects only from what memory gave it; every recorded
    commit exists with the artifact's trailers and files, in the recorded order, and `main` holds them all; a released
    project has a commit of every valid artifact.

    Args:
        connection: Where the records are read.
        store: Where the bytes are.
        project_id: The project.
        repositories: Where the commits are; None leaves them out.
    """
    artifacts = await project_artifacts(connection, project_id)
    problems, contents = await asyncio.to_thread(_check_bytes, store, artifacts)
    problems += [*_check_versions(artifacts), *_check_ancestry(artifacts)]
    if repositories is None:
        return problems
    committed = await commits(connection, project_id)
    project = await connection.fetchrow(_PROJECT, project_id)
    if project is not None and project["status"] == ProjectStatus.RELEASED:
        problems += _check_complete(artifacts, committed)
    if committed:
        recorded = _Recorded(
            project_id=project_id,
            commits=committed,
            artifacts={artifact.id: artifact for artifact in artifacts},
            contents=contents,
            release=project["released_commit"] if project is not None else None,
            withdrawals=[item.commit_sha for item in await withdrawals(connection, project_id)],
        )
        problems += await asyncio.to_thread(_check_commits, repositories, recorded)
    return problems


def _check_bytes(store: BlobStore, artifacts: Iterable[StoredArtifact]) -> tuple[list[Problem], dict[UUID, Content]]:
    problems, contents = [], {}
    for artifact in artifacts:
        name = name_of(artifact)
        try:
            data = store.get(artifact.hash, name=name)
            contents[artifact.id] = Content.from_bytes(data)
            if hash_of(artifact.uri) != artifact.hash:
                problems.append(Problem("bytes", name, f"its URI {artifact.uri} has another hash"))
            if len(data) != artifact.size:
                problems.append(Problem("bytes", name, f"it has {len(data)} bytes, recorded are {artifact.size}"))
        except (FactoryError, ValueError) as error:
            problems.append(Problem("bytes", name, str(error)))
    return problems, contents


def _check_versions(artifacts: Iterable[StoredArtifact]) -> Iterator[Problem]:
    versions: dict[str, list[int]] = {}
    for artifact in artifacts:
        versions.setdefault(artifact.kind, []).append(artifact.version)
    for kind, found in versions.items():
        if sorted(found) != list(range(1, len(found) + 1)):
            yield Problem("versions", kind, f"its versions are {sorted(found)}, not 1 to {len(found)}")


def _check_ancestry(artifacts: Sequence[StoredArtifact]) -> Iterator[Problem]:
    """Find artifacts from which no path of inputs leads to a vision."""
    consumers: dict[UUID, list[UUID]] = {}
    for artifact in artifacts:
        for source in artifact.inputs:
            consumers.setdefault(source, []).append(artifact.id)
    pending = [artifact.id for artifact in artifacts if artifact.kind == ROOT_KIND]
    reached: set[UUID] = set()
    while pending:
        current = pending.pop()
        if current not in reached:
            reached.add(current)
            pending += consumers.get(current, [])
    own = {artifact.id for artifact in artifacts}
    for artifact in artifacts:
        if artifact.id not in reached:
            yield Problem("ancestry", name_of(artifact), "it was not derived from the vision")
        for foreign in set(artifact.inputs) - own - _recalled(artifact):
            yield Problem("ancestry", name_of(artifact), f"its input {foreign} belongs to another project")


def _recalled(artifact: StoredArtifact) -> set[UUID]:
    """Return the artifacts of other projects that memory gave, and that the artifact says were used."""
    entries = artifact.metadata.get("recalled")
    listed = entries if isinstance(entries, list) else []
    ids = [entry.get("artifact_id") for entry in listed if isinstance(entry, dict)]
    return {UUID(key) for key in ids if isinstance(key, str)}


def _check_complete(artifacts: Iterable[StoredArtifact], recorded: Iterable[ArtifactCommit]) -> Iterator[Problem]:
    committed = {commit.artifact_id for commit in recorded}
    for artifact in artifacts:
        if artifact.status is ArtifactStatus.VALID and committable(artifact.kind) and artifact.id not in committed:
            yield Problem("commits", name_of(artifact), "the project is released without a commit of it")


def _check_commits(repositories: RepositoryStore, recorded: _Recorded) -> list[Problem]:
    problems: list[Problem] = []
    try:
        with repositories.opened(recorded.project_id) as repository:
            problems += _check_order(repository, recorded)
            for commit in recorded.commits:
                problems += _check_commit(
                    repository, commit.commit_sha, recorded.artifacts[commit.artifact_id], recorded
                )
    except FactoryError as error:
        problems.append(Problem("commits", f"repository of project {recorded.project_id}", str(error)))
    return problems


def _check_order(repository: GitRepository, recorded: _Recorded) -> Iterator[Problem]:
    history = [commit.id.decode() for commit in repository.history(repository.reference(MAIN))][::-1]
    shas = [commit.commit_sha for commit in recorded.commits]
    places = [history.index(sha) for sha in shas if sha in history]
    positions = [commit.position for commit in recorded.commits]
    if places != sorted(places) or positions != list(range(1, len(positions) + 1)):
        yield Problem("commits", "main", "its commits are not in the recorded order")
    for sha in [*shas, *recorded.withdrawals, recorded.release]:
        if sha is not None and sha not in history:
            yield Problem("commits", sha, "main does not contain this commit")


def _check_commit(
    repository: GitRepository, sha: str, artifact: StoredArtifact, recorded: _Recorded
) -> Iterator[Problem]:
    name = f"{name_of(artifact)} in commit {sha}"
    try:
        trailers = Trailers.of(repository.commit(sha))
        expected = (str(artifact.project_id), str(artifact.id), artifact.kind, str(artifact.version), artifact.trace_id)
        if (trailers.project, trailers.artifact, trailers.kind, trailers.version, trailers.trace) != expected:
            yield Problem("commits", name, "its trailers name another artifact")
        paths = repository.paths(sha)
        content = recorded.contents.get(artifact.id)
        for path, text in content.files.items() if content else ():
            if path not in paths or repository.text(paths[path]) != text:
                yield Problem("commits", name, f"the file {path!r} is not the artifact's")
    except FactoryError as error:
        yield Problem("commits", name, str(error))


def name_of(artifact: StoredArtifact) -> str:
    """Return how messages call an artifact."""
    return f"artifact {artifact.kind} v{artifact.version} {artifact.id}"
