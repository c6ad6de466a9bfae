"""Artifact Governance: metadata, validation records and commits of every artifact (R12)."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from factory.artifacts import commits, records
from factory.artifacts.blobs import BlobStore
from factory.artifacts.records import NewArtifact, NewValidation
from factory.artifacts.repository import RepositoryStore
from factory.domain.artifact import KINDS, ArtifactRef, ArtifactStatus
from factory.domain.errors import RetryableError
from factory.domain.ids import derived_id, event_id_near
from factory.domain.task import ArtifactDraft, Finding, Task, Verdict
from factory.events.contracts.system import (
    ArtifactCommitted,
    ArtifactCreated,
    ProjectCreated,
    ValidationFailed,
    ValidationPassed,
)
from factory.events.contracts.tasks import TaskAssigned
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.storage.database import Connection, Database

NAME = "artifact-governance"


def new_artifact(task: Task, draft: ArtifactDraft, findings: Sequence[Finding]) -> NewArtifact:
    """Give a draft the metadata every artifact carries: project, trace, agent, task, inputs, corrections."""
    corrected = [finding.model_dump(mode="json") for finding in findings if finding.severity == "corrected"]
    return NewArtifact(
        id=draft.id,
        project_id=task.needed_project.id,
        kind=draft.kind,
        hash=draft.hash,
        uri=draft.uri,
        size=draft.size,
        agent=task.agent,
        trace_id=task.needed_project.trace_id,
        task_id=task.id,
        inputs=draft.inputs,
        metadata={**draft.metadata, **({"corrected": corrected} if corrected else {})},
    )


def artifact_created(task: Task, artifact: ArtifactRef, cause: Envelope, traceparent: str) -> Envelope:
    """Return the event that tells of a new artifact version."""
    payload = ArtifactCreated(
        artifact_id=artifact.id,
        kind=artifact.kind,
        version=artifact.version,
        hash=artifact.hash,
        step=task.step,
        task_id=task.id,
        agent=task.agent,
    )
    return cause.caused(
        payload,
        topic=Topic.SYSTEM,
        originating_agent=task.agent,
        event_id=event_id_near(task.needed_project.id, "ArtifactCreated", artifact.id),
        artifact_uri=artifact.uri,
        traceparent=traceparent,
    )


def new_validation(task: Task, verdict: Verdict) -> NewValidation:
    """Return the record of a verdict; the same for every attempt at the same validation task."""
    return NewValidation(
        id=derived_id("validation", task.id),
        artifact_id=verdict.artifact_id,
        task_id=task.id,
        passed=verdict.passed,
        findings=verdict.findings,
    )


def validation_event(task: Task, subject: ArtifactRef, verdict: Verdict, cause: Envelope, traceparent: str) -> Envelope:
    """Return `ValidationPassed` or `ValidationFailed`."""
    errors = [finding.message for finding in verdict.findings if finding.severity == "error"]
    payload: ValidationPassed | ValidationFailed
    if verdict.passed:
        warnings = sum(finding.severity == "warning" for finding in verdict.findings)
        payload = ValidationPassed(
            artifact_id=subject.id, kind=subject.kind, task_id=subject.task_id, warnings=warnings
        )
    else:
        payload = ValidationFailed(
            artifact_id=subject.id, kind=subject.kind, task_id=subject.task_id, step=task.step, errors=errors
        )
    return cause.caused(
        payload,
        topic=Topic.SYSTEM,
        originating_agent=task.agent,
        event_id=event_id_near(task.needed_project.id, "validated", subject.id),
        artifact_uri=subject.uri,
        traceparent=traceparent,
    )


class Committer:
    """Writes valid artifacts into the project's Git repository, in the order in which they became valid."""

    def __init__(self, database: Database, store: BlobStore, repositories: RepositoryStore) -> None:
        self._database = database
        self._store = store
        self._repositories = repositories

    async def prepare(self, event: Envelope) -> "PreparedCommit | None":
        """Make the commit an event asks for; None where its artifact stays out of the repository.

        Making it again gives the same commit, so that a crash before the record does no harm. Deliveries of one
        project must come one at a time.
        """
        artifact_id = _subject(event)
        async with self._database.transaction() as connection:
            artifact = await records.get(connection, artifact_id)
            known = await commits.commit_of(connection, artifact_id)
            parent = await commits.head(connection, artifact.project_id)
        if KINDS[artifact.kind].commit_subject is None:
            return None
        if known is not None:
            return PreparedCommit(artifact, known.commit_sha, parent)
        content = await asyncio.to_thread(self._store.content, artifact)
        sha = await asyncio.to_thread(self._repositories.commit, artifact, content, parent)
        return PreparedCommit(artifact, sha, parent)

    async def prepare_withdrawal(self, event: Envelope) -> "PreparedWithdrawal":
        """Make the commit that takes back what a step made; repeating it gives the same commit.

        Raises:
            NotFoundError: One of the artifacts does not exist.
        """
        payload = event.read(TaskAssigned)
        async with self._database.transaction() as connection:
            made = [await records.get(connection, artifact_id) for artifact_id in payload.input_ids]
            committed = [item for item in made if await commits.commit_of(connection, item.id) is not None]
            head = await commits.head(connection, made[0].project_id) if made else None
            if not committed or head is None or await commits.withdrawal_of(connection, committed[-1].id):
                return PreparedWithdrawal(payload, made)
            last = committed[-1]
            before_id = await commits.committed_before(connection, last.project_id, last.kind, payload.input_ids)
            before = await records.get(connection, before_id) if before_id is not None else None
            release = await commits.released(connection, last.project_id)
        content = await asyncio.to_thread(self._store.content, before) if before is not None else None
        onto = [head, release] if release else [head]
        moment = int(event.timestamp.timestamp())
        sha = await asyncio.to_thread(self._repositories.withdraw, last, content, onto, moment)
        return PreparedWithdrawal(payload, made, artifact=last, sha=sha, parent=head)


class PreparedCommit:
    """A commit that exists in Git and waits for its record."""

    def __init__(self, artifact: ArtifactRef, sha: str, parent: str | None) -> None:
        self.artifact = artifact
        self.sha = sha
        self._parent = parent

    async def record(self, connection: Connection, cause: Envelope) -> Envelope:
        """Record the commit and return the event that tells of it.

        Raises:
            RetryableError: Something else was committed in the meantime.
        """
        if await commits.commit_of(connection, self.artifact.id) is None:
            await _check_head(connection, self.artifact.project_id, self._parent)
        await commits.record_commit(connection, self.artifact.project_id, self.artifact.id, self.sha)
        return cause.caused(
            ArtifactCommitted(artifact_id=self.artifact.id, commit=self.sha),
            topic=Topic.SYSTEM,
            originating_agent=NAME,
            event_id=event_id_near(self.artifact.project_id, "ArtifactCommitted", self.artifact.id),
        )


class PreparedWithdrawal:
    """A withdrawal whose commit, if there is one to make, exists in Git and waits for its record."""

    def __init__(
        self,
        task: TaskAssigned,
        made: Sequence[ArtifactRef],
        *,
        artifact: ArtifactRef | None = None,
        sha: str = "",
        parent: str | None = None,
    ) -> None:
        self.task = task
        self._made = made
        self._artifact = artifact
        self._sha = sha
        self._parent = parent

    async def record(self, connection: Connection) -> None:
        """Mark the artifacts as withdrawn, and record the commit.

        Raises:
            RetryableError: Something else was committed in the meantime.
        """
        if self._artifact is not None:
            await _check_head(connection, self._artifact.project_id, self._parent)
            await commits.record_withdrawal(
                connection, self._artifact.project_id, self._artifact.id, self.task.task_id, self._sha
            )
        await records.set_status(connection, {item.id: ArtifactStatus.WITHDRAWN for item in self._made})


async def _check_head(connection: Connection, project_id: UUID, parent: str | None) -> None:
    """Refuse a commit whose parent is no longer the last: commits and withdrawals are made side by side."""
    await records.lock_projects(connection, [project_id])
    if await commits.head(connection, project_id) != parent:
        raise RetryableError(f"the repository of project {project_id} has moved on.", remedy="It is tried again.")


def _subject(event: Envelope) -> UUID:
    if event.event_type == ProjectCreated.event_type:
        return event.read(ProjectCreated).vision_artifact_id
    return event.read(ValidationPassed).artifact_id
