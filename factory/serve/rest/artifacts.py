"""Artifacts: their versions, their bytes, where they came from and how they differ."""

import asyncio
import re
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response

from factory.artifacts import lineage, records
from factory.artifacts.diff import ContentDiff, diff
from factory.artifacts.records import StoredArtifact, Validation
from factory.control.projects import get_project
from factory.domain.artifact import ArtifactStatus, Content, check_path
from factory.domain.errors import NotFoundError
from factory.identity.access import Action, Resource, ResourceType
from factory.serve.caller import Caller, Reader
from factory.serve.problems import HttpError, describe
from factory.serve.rest.pages import Answered, CursorText, Limit, Page, next_of, place_of
from factory.serve.rest.projects import read_project

router = APIRouter(tags=["artifact"])

_TEXT = "text/plain; charset=utf-8"
# Shown as text whatever they are: an artifact is never a page of this origin.
_MEDIA_TYPES = {
    ".md": "text/markdown; charset=utf-8",
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?")
_UNCHANGING = "private, max-age=31536000, immutable"


class ArtifactPage(Page[StoredArtifact]):
    """One page of artifacts."""


class ArtifactFile(Answered):
    """A file of an artifact.

    Attributes:
        size: In bytes.
    """

    path: str
    size: int


class ArtifactDescription(Answered):
    """An artifact with its files and what validators said of it."""

    artifact: StoredArtifact
    files: tuple[ArtifactFile, ...]
    validations: tuple[Validation, ...]


@router.get("/project/{project_id}/artifacts")
async def list_artifacts(
    caller: Reader,
    project_id: UUID,
    kind: Annotated[str | None, Query(max_length=100)] = None,
    status: ArtifactStatus | None = None,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> ArtifactPage:
    """List a project's artifacts, every version, in the order they were made."""
    project = await read_project(caller, project_id, Action.READ_PROJECT)
    # Somebody may have been granted some kinds alone.
    which = Resource(
        ResourceType.PROJECT if kind is None else ResourceType.ARTIFACT, "", project.tenant, project.id, kind
    )
    await caller.require(Action.READ_ARTIFACT, which)
    bound = ("artifacts", project_id, kind, status)
    place = place_of(caller, cursor, *bound)
    async with caller.gateway.database.transaction() as connection:
        found = await records.list_artifacts(
            connection,
            project_id=project_id,
            kind=kind,
            status=status,
            after=int(str(place)) if place is not None else 0,
            limit=limit,
        )
    last = found[-1].sequence if found else None
    return ArtifactPage(items=tuple(found), next=next_of(caller, found, limit, last, *bound))


@router.get("/artifact/{artifact_id}")
async def show(caller: Reader, artifact_id: UUID) -> ArtifactDescription:
    """Describe an artifact: its metadata, its files, its validations."""
    artifact = await read_artifact(caller, artifact_id)
    content = await _content(caller, artifact)
    async with caller.gateway.database.transaction() as connection:
        validations = await records.validations(connection, artifact_id)
    files = tuple(ArtifactFile(path=path, size=len(text.encode())) for path, text in sorted(content.files.items()))
    return ArtifactDescription(artifact=artifact, files=files, validations=tuple(validations))


@router.get(
    "/artifact/{artifact_id}/retrieve",
    response_class=Response,
    responses={
        HTTPStatus.OK.value: {
            "description": "The bytes.",
            "content": {"*/*": {"schema": {}}},
        },
        HTTPStatus.PARTIAL_CONTENT.value: {
            "description": "The bytes that were asked for.",
            "content": {"*/*": {"schema": {}}},
        },
        HTTPStatus.NOT_MODIFIED.value: {"description": "The client has them already."},
        **describe(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
    },
)
async def retrieve(
    caller: Reader,
    artifact_id: UUID,
    file: Annotated[
        str | None,
        Query(max_length=1_000, description="Path of one file; the whole artifact as one JSON document without it."),
    ] = None,
    range_: Annotated[str | None, Header(alias="Range", max_length=200)] = None,
    if_none_match: Annotated[str | None, Header(alias="If-None-Match", max_length=1_000)] = None,
    if_range: Annotated[str | None, Header(alias="If-Range", max_length=200)] = None,
) -> Response:
    """Return an artifact's bytes, or those of one of its files; they never change."""
    if file is not None:
        check_path(file)
    artifact = await read_artifact(caller, artifact_id)
    content = await _content(caller, artifact)
    if file is None:
        data, media_type, tag = content.to_bytes(), artifact.media_type, f'"{artifact.hash}"'
    else:
        if file not in content.files:
            raise NotFoundError(
                f"the artifact has no file {file!r}.", remedy=f"See /api/v1/artifact/{artifact_id}.", field="file"
            )
        data = content.files[file].encode()
        media_type = _MEDIA_TYPES.get(PurePosixPath(file).suffix.lower(), _TEXT)
        tag = f'"{artifact.hash[:40]}-{sorted(content.files).index(file)}"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": _UNCHANGING, "Content-Disposition": "attachment"}
    if if_none_match is not None and (if_none_match.strip() == "*" or tag in if_none_match):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if range_ is not None and if_range in (None, tag):
        part = _part(range_, len(data))
        if part is not None:
            start, end = part
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
            return Response(data[start:end], HTTPStatus.PARTIAL_CONTENT, headers, media_type)
    return Response(data, headers=headers, media_type=media_type)


@router.get("/artifact/{artifact_id}/versions")
async def versions(caller: Reader, artifact_id: UUID, limit: Limit = 100, cursor: CursorText = None) -> ArtifactPage:
    """List the versions of an artifact's kind in its project, the newest first."""
    artifact = await read_artifact(caller, artifact_id)
    bound = ("versions", artifact.project_id, artifact.kind)
    place = place_of(caller, cursor, *bound)
    async with caller.gateway.database.transaction() as connection:
        found = await records.versions(
            connection,
            artifact.project_id,
            artifact.kind,
            before=int(str(place)) if place is not None else None,
            limit=limit,
        )
    last = found[-1].version if found else None
    return ArtifactPage(items=tuple(found), next=next_of(caller, found, limit, last, *bound))


@router.get("/artifact/{artifact_id}/diff")
async def difference(
    caller: Reader,
    artifact_id: UUID,
    since: Annotated[int | None, Query(ge=1, description="The older version; else the one before.")] = None,
) -> ContentDiff:
    """Show how an artifact differs from an earlier version of its kind; from nothing, where it is the first."""
    artifact = await read_artifact(caller, artifact_id)
    wanted = since or artifact.version - 1
    older = Content(files={})
    if wanted >= 1:
        async with caller.gateway.database.transaction() as connection:
            found = await records.get_versions(connection, [(artifact.project_id, artifact.kind, wanted)])
        if not found:
            raise NotFoundError(
                f"there is no version {wanted} of this artifact.",
                remedy=f"See /api/v1/artifact/{artifact_id}/versions.",
                field="since",
            )
        older = await _content(caller, next(iter(found.values())))
    return await asyncio.to_thread(diff, older, await _content(caller, artifact))


@router.get("/artifact/{artifact_id}/lineage")
async def ancestry(caller: Reader, artifact_id: UUID) -> list[StoredArtifact]:
    """List an artifact and everything it was made from, back to the vision."""
    artifact = await read_artifact(caller, artifact_id)
    async with caller.gateway.database.transaction() as connection:
        found = await lineage.chain(connection, artifact.id)
    # What was reused of another project is named in this one's graph; the rest of it is that project's business.
    return [one for one in found if one.project_id == artifact.project_id]


async def read_artifact(caller: Caller, artifact_id: UUID) -> StoredArtifact:
    """Return an artifact that the caller may read.

    Raises:
        ForbiddenError: They may not read artifacts of this kind.
        NotFoundError: There is none, or none that they may see.
    """
    async with caller.gateway.database.transaction() as connection:
        artifact = await records.get(connection, artifact_id)
        project = await get_project(connection, artifact.project_id)
    resource = Resource(ResourceType.ARTIFACT, str(artifact.id), project.tenant, project.id, artifact.kind)
    await caller.require(Action.READ_ARTIFACT, resource)
    return artifact


async def _content(caller: Caller, artifact: StoredArtifact) -> Content:
    return await asyncio.to_thread(caller.gateway.service.store.content, artifact)


def _part(given: str, size: int) -> tuple[int, int] | None:
    """Read a range of one part (RFC 9110, section 14.1.2); None for what may be ignored.

    Raises:
        HttpError: Nothing lies in it (416).
    """
    match = _RANGE.fullmatch(given.replace(" ", ""))
    if match is None or match.groups() == (None, None):
        return None
    first, last = match.groups()
    if first is None:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last is not None else size)
        if last is not None and int(last) < start:
            return None
    if start >= end:
        raise HttpError(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"the range {given!r} holds none of the {size} bytes.",
            remedy="Ask for a range that begins before the end.",
            field="Range",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, end
