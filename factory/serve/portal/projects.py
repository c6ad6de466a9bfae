"""Pages of projects and artifacts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from factory.artifacts import lineage, records
from factory.artifacts.lineage import ArtifactNode, CommitNode, Relation, key_of
from factory.control.blueprints import Step
from factory.control.progress import Progress, read_progress
from factory.domain.artifact import KINDS
from factory.domain.errors import FactoryError
from factory.domain.project import Project, ProjectStatus
from factory.events.delivery import Cursor
from factory.identity.access import Action, project_resource
from factory.serve.idempotency import LONGEST_KEY
from factory.serve.portal import pictures, rendering
from factory.serve.portal.pages import page
from factory.serve.portal.pictures import MOST_NODES, Node
from factory.serve.portal.visitor import Signed, Visitor
from factory.serve.rest import artifacts as api
from factory.serve.rest import events, projects, visions
from factory.serve.rest.events import ENDED_EVENT
from factory.serve.rest.projects import Compensation, read_project
from factory.serve.rest.visions import NewVision

router = APIRouter(include_in_schema=False)

_PAGE = 50
_ROWS = 300
CursorText = Annotated[str | None, Query(max_length=1_000)]


@router.get("/projects")
async def list_projects(
    request: Request, visitor: Signed, status: ProjectStatus | None = None, cursor: CursorText = None
) -> Response:
    """Show the projects, counts first."""
    caller = visitor.caller
    found = await projects.list_projects(caller, status, _PAGE, cursor)
    counts = await projects.count(caller)
    return page(
        request,
        "projects",
        visitor.session,
        projects=found.items,
        next=found.next,
        chosen=status.value if status else None,
        counts={one.value: number for one, number in counts.by_status.items()},
    )


@router.get("/visions/new")
async def new_vision(request: Request, visitor: Signed) -> Response:
    """Show the form for a vision; its key makes a second click harmless."""
    return page(request, "vision", visitor.session, vision="", name="", key=str(uuid4()), error=None)


@router.post("/visions")
async def create(request: Request, visitor: Signed) -> Response:
    """Begin a project."""
    text, name, key = visitor.text("vision").replace("\r\n", "\n"), visitor.text("name"), visitor.text("key")
    try:
        body = NewVision.model_validate({"vision": text, "name": name or None})
        answer = await visions.create(visitor.caller, body, key[:LONGEST_KEY] or None)
    except ValueError:
        error = FactoryError("the vision is empty or too long.", remedy="Write a few pages.", field="vision")
    except FactoryError as refused:
        error = refused
    else:
        return RedirectResponse(f"/projects/{answer.headers['location'].rpartition('/')[2]}", HTTPStatus.SEE_OTHER)
    values = {"vision": text, "name": name, "key": str(uuid4()), "error": error}
    return page(request, "vision", visitor.session, HTTPStatus.UNPROCESSABLE_ENTITY, **values)


@router.get("/projects/{project_id}")
async def show(request: Request, visitor: Signed, project_id: UUID) -> Response:
    """Show how far a project is."""
    project = await read_project(visitor.caller, project_id, Action.READ_PROJECT)
    decision = await visitor.caller.gateway.authority.decide(
        visitor.caller.principal, Action.CHANGE_PROJECT, project_resource(project)
    )
    values = await _workflow(visitor, project)
    return page(
        request, "project", visitor.session, project=project, tab="Workflow", may_change=decision.allowed, **values
    )


@router.get("/projects/{project_id}/live")
async def live(request: Request, visitor: Signed, project_id: UUID) -> Response:
    """Show the part of the page that changes."""
    project = await read_project(visitor.caller, project_id, Action.READ_PROJECT)
    return page(request, "live", visitor.session, **await _workflow(visitor, project))


@dataclass(frozen=True, slots=True)
class _Watching:
    visitor: Visitor
    project_id: UUID


async def _watching(visitor: Signed, project_id: UUID) -> _Watching:
    await read_project(visitor.caller, project_id, Action.READ_EVENT)
    return _Watching(visitor, project_id)


@router.get("/projects/{project_id}/stream", response_class=EventSourceResponse)
async def stream(asked: Annotated[_Watching, Depends(_watching)]) -> AsyncIterator[ServerSentEvent]:
    """Tell that something happened; the page fetches what."""
    async with aclosing(events.follow(asked.visitor.caller, asked.project_id, Cursor())) as followed:
        async for one in followed:
            name = ENDED_EVENT if one.event == ENDED_EVENT else None
            yield ServerSentEvent(comment="still here") if one.comment else ServerSentEvent(event=name, raw_data="news")


@router.get("/projects/{project_id}/artifacts")
async def list_artifacts(request: Request, visitor: Signed, project_id: UUID, cursor: CursorText = None) -> Response:
    """List a project's artifacts."""
    project = await read_project(visitor.caller, project_id, Action.READ_PROJECT)
    found = await api.list_artifacts(visitor.caller, project_id, None, None, _PAGE, cursor)
    values = {"project": project, "tab": "Artifacts", "artifacts": found.items, "next": found.next}
    return page(request, "artifacts", visitor.session, **values)


@router.get("/projects/{project_id}/events")
async def list_events(request: Request, visitor: Signed, project_id: UUID, cursor: CursorText = None) -> Response:
    """List a project's events."""
    project = await read_project(visitor.caller, project_id, Action.READ_PROJECT)
    found = await events.list_events(visitor.caller, project_id, _PAGE, cursor)
    values = {"project": project, "tab": "Events", "events": found.items, "next": found.next}
    return page(request, "events", visitor.session, **values)


@router.get("/projects/{project_id}/lineage")
async def show_lineage(request: Request, visitor: Signed, project_id: UUID) -> Response:
    """Draw how everything descends from the vision."""
    project = await read_project(visitor.caller, project_id, Action.READ_ARTIFACT)
    async with visitor.caller.gateway.database.transaction() as connection:
        graph = await lineage.lineage(connection, project_id)
    made = [node for node in graph.nodes if isinstance(node, ArtifactNode) and node.project_id == project_id]
    titles = {key_of(node): f"{node.kind} v{node.version}" for node in made}
    sources: dict[str, list[str]] = {key: [] for key in titles}
    commits: dict[str, str] = {}
    shas = {key_of(node): node.id for node in graph.nodes if isinstance(node, CommitNode)}
    for edge in graph.edges:
        if edge.relation is Relation.DERIVED_FROM and edge.source in titles and edge.target in titles:
            sources[edge.source].append(edge.target)
        elif edge.relation is Relation.COMMITTED_AS and edge.source in titles:
            commits[edge.source] = shas[edge.target]
    nodes = [
        Node(key_of(node), titles[key_of(node)], node.agent, node.status, tuple(sources[key_of(node)]), _link(node.id))
        for node in made[: MOST_NODES + 1]
    ]
    rows = [
        {
            "id": node.id,
            "title": titles[key_of(node)],
            "sources": [titles[source] for source in sources[key_of(node)]],
            "commit": commits.get(key_of(node)),
        }
        for node in made[:_ROWS]
    ]
    values: dict[str, Any] = {"project": project, "tab": "Lineage", "rows": rows, "left_out": len(made) - len(rows)}
    return page(request, "lineage", visitor.session, picture=pictures.graph(nodes, "Lineage"), **values)


@router.post("/projects/{project_id}/replay")
async def replay(visitor: Signed, project_id: UUID) -> Response:
    """Run a project again in a sandbox."""
    answer = await projects.replay(visitor.caller, project_id)
    return RedirectResponse(f"/projects/{answer.headers['location'].rpartition('/')[2]}", HTTPStatus.SEE_OTHER)


@router.post("/projects/{project_id}/compensate")
async def compensate(visitor: Signed, project_id: UUID) -> Response:
    """Undo what a project has done."""
    reason = visitor.text("reason").strip() or "no reason was given"
    await projects.compensate(visitor.caller, project_id, Compensation(reason=reason[:1_000]))
    return RedirectResponse(f"/projects/{project_id}", HTTPStatus.SEE_OTHER)


@router.get("/artifacts/{artifact_id}")
async def show_artifact(
    request: Request, visitor: Signed, artifact_id: UUID, file: Annotated[str | None, Query(max_length=1_000)] = None
) -> Response:
    """Show a file of an artifact, rendered."""
    caller = visitor.caller
    artifact = await api.read_artifact(caller, artifact_id)
    content = await asyncio.to_thread(caller.gateway.service.store.content, artifact)
    async with caller.gateway.database.transaction() as connection:
        versions = await records.versions(connection, artifact.project_id, artifact.kind)
        validations = await records.validations(connection, artifact_id)
    known = KINDS.get(artifact.kind)
    first = known.primary if known is not None and known.primary in content.files else min(content.files)
    shown = file if file is not None and file in content.files else first
    text = content.files[shown]
    findings = [finding.message for one in validations[-1:] for finding in one.findings]
    return page(
        request,
        "artifact",
        visitor.session,
        artifact=artifact,
        versions=versions,
        findings=findings,
        files=sorted(content.files),
        shown=shown,
        operations=await asyncio.to_thread(rendering.operations, shown, text),
        rendered=await rendering.render(shown, text),
    )


@router.get("/artifacts/{artifact_id}/raw")
async def raw(visitor: Signed, artifact_id: UUID, file: Annotated[str, Query(max_length=1_000)]) -> Response:
    """Hand a file out, as an attachment."""
    return await api.retrieve(visitor.caller, artifact_id, file)


@router.get("/artifacts/{artifact_id}/diff")
async def show_difference(
    request: Request, visitor: Signed, artifact_id: UUID, since: Annotated[int, Query(ge=1)]
) -> Response:
    """Show how an artifact differs from another version."""
    artifact = await api.read_artifact(visitor.caller, artifact_id)
    found = await api.difference(visitor.caller, artifact_id, since)
    files = [
        {
            "path": one.path,
            "change": one.change.value,
            "added": one.added,
            "removed": one.removed,
            "shown": rendering.difference(one.text),
        }
        for one in found.files
    ]
    return page(request, "diff", visitor.session, artifact=artifact, since=since, files=files)


async def _workflow(visitor: Visitor, project: Project) -> dict[str, Any]:
    gateway = visitor.caller.gateway
    async with gateway.database.transaction() as connection:
        progress = await read_progress(connection, project.id, gateway.settings.blueprint_dir)
        latest = await records.latest(connection, project.id)
    after = _after(gateway.service.blueprint(project.blueprint).steps)
    picture = pictures.graph(_nodes(progress, after), "Workflow")
    return {"progress": progress, "latest": {one.kind: one for one in latest}, "picture": picture}


def _after(steps: Sequence[Step]) -> dict[str, tuple[str, ...]]:
    """Return, by step, those whose artifacts it needs."""
    makers = {step.produces: step.id for step in steps}
    return {step.id: tuple(makers[kind] for kind in sorted(step.reads) if kind in makers) for step in steps}


def _nodes(progress: Progress, after: dict[str, tuple[str, ...]]) -> list[Node]:
    return [
        Node(one.step, one.step, f"{one.status} \u00b7 {one.agent}", one.status, after.get(one.step, ()))
        for one in progress.steps
    ]


def _link(artifact_id: UUID) -> str:
    return f"/artifacts/{artifact_id}"
