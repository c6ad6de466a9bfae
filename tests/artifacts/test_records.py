import asyncio
from uuid import UUID

import pytest

from factory.artifacts import commits, records
from factory.artifacts.records import NewArtifact, NewValidation
from factory.domain.artifact import ArtifactStatus
from factory.domain.errors import ConflictError, NotFoundError
from factory.domain.ids import derived_id, new_id
from factory.domain.project import Project
from factory.domain.task import Finding
from factory.storage.database import Connection, Database
from tests.artifacts.builders import MOMENT, insert_project, make_draft, make_project, tree

TEXT = tree({"docs/a.md": "a"})
FINDING = Finding(rule="names", level="semantic", severity="warning", message="“Termin” is not English")


def validation(artifact_id: UUID, *, passed: bool, name: object = 1) -> NewValidation:
    task = derived_id(artifact_id, name)
    return NewValidation(id=task, artifact_id=artifact_id, task_id=task, passed=passed, findings=(FINDING,))


async def test_what_is_stored_is_read_back(connection: Connection, project: Project) -> None:
    vision = make_draft(project, "vision", TEXT)
    document = make_draft(project, "vision-document", TEXT, vision.id)
    references = await records.insert(connection, [vision, document])
    assert [(reference.id, reference.version, reference.inputs) for reference in references] == [
        (vision.id, 1, ()),
        (document.id, 1, (vision.id,)),
    ]
    stored = await records.get(connection, document.id)
    assert stored.metadata == document.metadata
    assert stored.created_at == MOMENT
    assert stored.status is ArtifactStatus.PENDING
    assert NewArtifact.model_validate(stored.model_dump(exclude={"sequence", "version"})) == document


async def test_versions_count_per_project_and_kind(connection: Connection, project: Project) -> None:
    other = make_project()
    await insert_project(connection, other)
    drafts = [make_draft(project, "backend", TEXT, name=name) for name in range(3)]
    drafts.insert(1, make_draft(other, "backend", TEXT))
    drafts.insert(2, make_draft(project, "vision", TEXT))
    assert [reference.version for reference in await records.insert(connection, drafts)] == [1, 1, 1, 2, 3]
    again = [make_draft(project, "backend", TEXT, name="new"), *drafts, drafts[0]]
    assert [reference.version for reference in await records.insert(connection, again)] == [4, 1, 1, 1, 2, 3, 1]
    assert len(await records.list_artifacts(connection, project_id=project.id)) == 5


async def test_concurrent_writers_get_different_versions(
    database: Database, connection: Connection, project: Project
) -> None:
    other = make_project()
    await insert_project(connection, other)

    async def write(number: int) -> None:
        drafts = [make_draft(owner, "backend", TEXT, name=number) for owner in (project, other)]
        async with database.transaction() as transaction:
            await records.insert(transaction, drafts[:: 1 if number % 2 else -1])

    await asyncio.gather(*(write(number) for number in range(12)), *(write(number) for number in range(12)))
    for owner in (project, other):
        found = await records.list_artifacts(connection, project_id=owner.id)
        assert sorted(artifact.version for artifact in found) == list(range(1, 13))


async def test_unknown_projects_and_inputs_are_named(connection: Connection, project: Project) -> None:
    stranger = make_project()
    with pytest.raises(NotFoundError, match=str(stranger.id)):
        await records.insert(connection, [make_draft(stranger, "vision", TEXT)])
    missing = new_id()
    with pytest.raises(NotFoundError, match=str(missing)):
        async with connection.transaction():
            await records.insert(connection, [make_draft(project, "backlog", TEXT, missing)])
    assert await records.list_artifacts(connection, project_id=project.id) == []
    with pytest.raises(NotFoundError, match="no artifact"):
        await records.get(connection, missing)


async def test_the_latest_of_each_kind_may_be_asked_by_status(connection: Connection, project: Project) -> None:
    drafts = [make_draft(project, kind, TEXT, name=name) for kind in ("backend", "vision") for name in (1, 2)]
    await records.insert(connection, drafts)
    await records.set_status(connection, {drafts[0].id: ArtifactStatus.VALID, drafts[1].id: ArtifactStatus.INVALID})

    async def latest(kinds: list[str] | None = None, status: ArtifactStatus | None = None) -> list[tuple[str, int]]:
        return [(found.kind, found.version) for found in await records.latest(connection, project.id, kinds, status)]

    assert await latest() == [("backend", 2), ("vision", 2)]
    assert await latest(["vision"]) == [("vision", 2)]
    assert await latest(status=ArtifactStatus.VALID) == [("backend", 1)]
    assert await latest([]) == []


async def test_pages_cover_everything_once(connection: Connection, project: Project) -> None:
    drafts = [make_draft(project, "backend", TEXT, name=name) for name in range(7)]
    await records.insert(connection, drafts)
    seen, after = [], 0
    while page := await records.list_artifacts(connection, project_id=project.id, after=after, limit=3):
        seen += [artifact.id for artifact in page]
        after = page[-1].sequence
    assert seen == [draft.id for draft in drafts]
    assert await records.list_artifacts(connection, project_id=project.id, kind="vision") == []
    assert await records.list_artifacts(connection, project_id=project.id, status=ArtifactStatus.VALID) == []


async def test_validations_decide_the_status_once(connection: Connection, project: Project) -> None:
    [artifact] = await records.insert(connection, [make_draft(project, "backend", TEXT)])
    failed, passed = validation(artifact.id, passed=False), validation(artifact.id, passed=True, name=2)
    await records.record_validation(connection, failed)
    assert (await records.get(connection, artifact.id)).status is ArtifactStatus.INVALID
    await records.record_validations(connection, [passed])
    await records.record_validations(connection, [failed])
    assert (await records.get(connection, artifact.id)).status is ArtifactStatus.VALID
    found = await records.validations(connection, artifact.id)
    assert [item.passed for item in found] == [False, True]
    assert found[0].findings == (FINDING,)


async def test_commits_stand_in_order_and_once(connection: Connection, project: Project) -> None:
    first, second = await records.insert(
        connection, [make_draft(project, "vision", TEXT), make_draft(project, "backlog", TEXT)]
    )
    assert await commits.head(connection, project.id) is None
    await commits.record_commit(connection, project.id, first.id, "a" * 40)
    recorded = await commits.record_commit(connection, project.id, second.id, "b" * 40)
    assert await commits.record_commit(connection, project.id, second.id, "b" * 40) == recorded
    assert await commits.commit_of(connection, second.id) == recorded
    assert await commits.head(connection, project.id) == "b" * 40
    assert [commit.position for commit in await commits.commits(connection, project.id)] == [1, 2]
    with pytest.raises(ConflictError, match="b" * 40):
        await commits.record_commit(connection, project.id, second.id, "c" * 40)
