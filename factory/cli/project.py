"""`factory project`: what was asked for and how far it is."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from factory.cli.compensate import compensate, write_compensations
from factory.cli.output import age, duration, short, short_project, write_json, write_rich, write_table
from factory.cli.sandbox import compare, replay

if TYPE_CHECKING:
    from factory.artifacts.lineage import Lineage
    from factory.artifacts.verify import Problem
    from factory.control.progress import Progress
    from factory.control.saga_records import StepCompensation
    from factory.domain.artifact import ArtifactRef
    from factory.domain.project import Project

app = typer.Typer(
    help="Look at projects, take back what they did, replay them.", no_args_is_help=True, add_completion=False
)
app.command("compensate")(compensate)
app.command("replay")(replay)
app.command("compare")(compare)

_ID = Annotated[str, typer.Argument(metavar="ID", help="The project's id, or at least six first digits of it.")]
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_projects(
    *,
    status: Annotated[str | None, typer.Option("--status", help="Only projects in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List projects, newest first."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    projects = run(_list(limit, status))
    if as_json:
        write_json([project.model_dump(mode="json") for project in projects])
        return
    write_table(
        ("ID", "NAME", "BLUEPRINT", "STATUS", "UPDATED"),
        (
            (short_project(project.id), project.name, project.blueprint, project.status, age(project.updated_at))
            for project in projects
        ),
        empty="There are no projects yet. Begin one: factory build VISION.md",
    )


@app.command("show")
def show(project: _ID, *, as_json: _JSON = False) -> None:
    """Show a project: its steps, artifacts and the result of its tests."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    progress, artifacts, compensations = run(_show(project))
    if as_json:
        undone = [item.model_dump(mode="json") for item in compensations]
        write_json(_document(progress, artifacts) | {"compensations": undone})
        return
    _print(progress, artifacts)
    if compensations:
        typer.echo()
        write_compensations(compensations)


@app.command("lineage")
def lineage(
    project: _ID,
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check bytes, versions, ancestry and commits; exit 1 on a finding.")
    ] = False,
    as_json: _JSON = False,
) -> None:
    """Show how every artifact and commit descends from the vision."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    found, graph, problems = run(_lineage(project, verify=verify))
    if as_json:
        checked = {"problems": [asdict(problem) for problem in problems]} if verify else {}
        write_json(graph.to_dict() | checked)
    else:
        from factory.cli.lineage import tree  # noqa: PLC0415 - JSON output does without

        write_rich(tree(found, graph))
        if verify and not problems:
            typer.echo("Bytes, versions, ancestry and commits are as recorded.")
    for problem in problems:
        typer.echo(f"{problem.check}: {problem.subject}: {problem.message}", err=True)
    if problems:
        raise typer.Exit(1)


async def _list(limit: int, status: str | None) -> "list[Project]":
    from factory.cli.session import reading  # noqa: PLC0415 - loads the database driver
    from factory.control import projects  # noqa: PLC0415 - same
    from factory.domain.errors import BadInputError  # noqa: PLC0415 - same
    from factory.domain.project import ProjectStatus  # noqa: PLC0415 - same

    if status is not None and status not in set(ProjectStatus):
        known = ", ".join(ProjectStatus)
        raise BadInputError(f"{status!r} is not a state of a project.", remedy=f"States: {known}.", field="status")
    async with reading() as connection:
        return await projects.list_projects(connection, limit, ProjectStatus(status) if status else None)


async def _show(identifier: str) -> "tuple[Progress, list[ArtifactRef], list[StepCompensation]]":
    from factory.artifacts import records  # noqa: PLC0415 - loads the database driver
    from factory.cli.session import reading  # noqa: PLC0415 - same
    from factory.control import saga_records  # noqa: PLC0415 - same
    from factory.control.progress import read_progress  # noqa: PLC0415 - same
    from factory.control.projects import get_project  # noqa: PLC0415 - same

    async with reading() as connection:
        project = await get_project(connection, identifier)
        return (
            await read_progress(connection, project.id),
            await records.latest(connection, project.id),
            await saga_records.compensations(connection, project.id, project.revision),
        )


async def _lineage(identifier: str, *, verify: bool) -> "tuple[Project, Lineage, list[Problem]]":
    from factory.artifacts.blobs import BlobStore  # noqa: PLC0415 - loads the database driver
    from factory.artifacts.lineage import lineage as read_lineage  # noqa: PLC0415 - same
    from factory.artifacts.repository import RepositoryStore  # noqa: PLC0415 - same
    from factory.artifacts.verify import verify as find_problems  # noqa: PLC0415 - same
    from factory.cli.session import load_settings, reading  # noqa: PLC0415 - same
    from factory.control.projects import get_project  # noqa: PLC0415 - same

    settings = load_settings()
    async with reading(settings) as connection:
        project = await get_project(connection, identifier)
        graph = await read_lineage(connection, project.id)
        problems: list[Problem] = []
        if verify:
            repositories = RepositoryStore(settings.repositories_dir)
            problems = await find_problems(connection, BlobStore(settings.blob_url), project.id, repositories)
        return project, graph, problems


def _document(progress: "Progress", artifacts: "list[ArtifactRef]") -> dict[str, object]:
    passed, failed = progress.tests or (0, 0)
    return {
        **progress.project.model_dump(mode="json"),
        "steps": [step.model_dump(mode="json") for step in progress.steps],
        "artifacts": [artifact.model_dump(mode="json") for artifact in artifacts],
        "tests": {"passed": passed, "failed": failed},
        "failure": progress.failure,
        "released_commit": progress.released_commit,
        "waits_for": [question.model_dump(mode="json") for question in progress.waits_for],
    }


def _print(progress: "Progress", artifacts: "list[ArtifactRef]") -> None:
    project = progress.project
    typer.secho(project.name, bold=True)
    facts = [
        ("Id", str(project.id)),
        ("Blueprint", project.blueprint),
        ("Status", project.status.value),
        ("Updated", age(project.updated_at)),
        ("Trace", project.trace_id),
    ]
    if project.sandbox_of:
        facts.append(("Sandbox of", str(project.sandbox_of)))
    if progress.tests:
        facts.append(("Tests", f"{progress.tests[0]} passed, {progress.tests[1]} failed"))
    if progress.released_commit:
        facts.append(("Commit", progress.released_commit))
    if progress.failure:
        facts.append(("Failure", progress.failure))
    for question in progress.waits_for:
        number = short(question.escalation_id)
        facts.append(("Waits for", f"a person: {question.agent} asks (factory escalation show {number})"))
    for name, value in facts:
        typer.echo(f"{name:11}{value}")
    typer.echo()
    write_table(
        ("STEP", "AGENT", "STATUS", "TRY", "TIME", "MESSAGE"),
        (
            (
                step.step,
                step.agent,
                step.status,
                step.attempt or "",
                "" if step.seconds is None else duration(step.seconds),
                step.message,
            )
            for step in progress.steps
        ),
        empty="No steps.",
    )
    typer.echo()
    write_table(
        ("ARTIFACT", "KIND", "VERSION", "STATUS", "HASH"),
        (
            (short(artifact.id), artifact.kind, artifact.version, artifact.status, short(artifact.hash))
            for artifact in artifacts
        ),
        empty="No artifacts yet.",
    )
