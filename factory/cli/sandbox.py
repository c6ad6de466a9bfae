"""`factory project replay` and `factory project compare`: a project again in a sandbox, and what differs."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.output import short, write_json, write_table

if TYPE_CHECKING:
    from factory.artifacts.comparison import KindComparison
    from factory.artifacts.diff import ContentDiff
    from factory.control.progress import Progress
    from factory.domain.artifact import ArtifactRef
    from factory.domain.project import Project

_ID = Annotated[str, typer.Argument(metavar="ID", help="The project's id, or at least six first digits of it.")]
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def replay(
    project: _ID,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it has ended; exit 1 unless released.")] = False,
    as_json: _JSON = False,
) -> None:
    """Run a project's whole flow again under a new id; the project itself stays as it is.

    The sandbox begins from the same vision. Nothing of it leaves the factory. Without --wait it is built by the
    running factory, or by the next one that runs.
    """
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    sandbox, progress = run(_replay(project, wait=wait))
    failure = progress.failure if progress else None
    if as_json:
        steps = [step.model_dump(mode="json") for step in progress.steps] if progress else []
        write_json(
            {
                "project_id": sandbox.id,
                "sandbox_of": sandbox.sandbox_of,
                "status": sandbox.status,
                "failure": failure,
                "steps": steps,
            }
        )
    else:
        typer.echo(f"Sandbox {sandbox.id} of {sandbox.sandbox_of} is {sandbox.status}.")
        if failure:
            typer.echo(failure, err=True)
        typer.echo(f"Compare: factory project compare {sandbox.sandbox_of} {sandbox.id}")
    if wait and sandbox.status != "released":
        raise typer.Exit(1)


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A project's id, or at least six first digits of it.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another project's id, in the same way.")],
    *,
    with_diff: Annotated[bool, typer.Option("--diff", help="Show how the files of each kind differ.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """Compare the newest valid artifacts of two projects by kind; exit 0 whether they differ or not."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    found = run(_compare(first, second, with_diff=with_diff))
    if as_json:
        write_json([_document(compared, diff) for compared, diff in found])
        return
    write_table(
        ("KIND", "VERDICT", "A", "B"),
        ((compared.kind, compared.verdict, _named(compared.first), _named(compared.second)) for compared, _ in found),
        empty="Neither project has a valid artifact.",
    )
    for _, diff in found:
        if diff is not None:
            sys.stdout.write(diff.text)


async def _replay(identifier: str, *, wait: bool) -> "tuple[Project, Progress | None]":
    from factory.cli.attended import attended, until_ended  # noqa: PLC0415 - loads the database driver
    from factory.cli.session import load_settings  # noqa: PLC0415 - same
    from factory.control.projects import get_project  # noqa: PLC0415 - same
    from factory.service import FactoryService  # noqa: PLC0415 - same

    async with await FactoryService.open(load_settings()) as factory:
        original: Project = await factory.database.run(lambda connection: get_project(connection, identifier))
        agents = factory.blueprint(original.blueprint).agents
        sandbox = await factory.replay(original.id)
        if not wait:
            return sandbox, None
        async with attended(factory, agents) as host:
            progress = await until_ended(factory, sandbox.id, host)
        return progress.project, progress


async def _compare(first: str, second: str, *, with_diff: bool) -> "list[tuple[KindComparison, ContentDiff | None]]":
    from factory.artifacts.blobs import BlobStore  # noqa: PLC0415 - loads the database driver
    from factory.artifacts.comparison import Verdict, difference  # noqa: PLC0415 - same
    from factory.artifacts.comparison import compare as compare_projects  # noqa: PLC0415 - same
    from factory.cli.session import load_settings, reading  # noqa: PLC0415 - same
    from factory.control.projects import get_project  # noqa: PLC0415 - same

    settings = load_settings()
    async with reading(settings) as connection:
        ids = [(await get_project(connection, identifier)).id for identifier in (first, second)]
        found = await compare_projects(connection, ids[0], ids[1])
    if not with_diff:
        return [(compared, None) for compared in found]
    store = BlobStore(settings.blob_url)
    return [
        (compared, None if compared.verdict is Verdict.SAME else await difference(store, compared))
        for compared in found
    ]


def _document(compared: "KindComparison", diff: "ContentDiff | None") -> dict[str, Any]:
    document: dict[str, Any] = {
        "kind": compared.kind,
        "verdict": compared.verdict,
        "first": compared.first.model_dump(mode="json") if compared.first else None,
        "second": compared.second.model_dump(mode="json") if compared.second else None,
    }
    return document | ({"diff": diff.to_dict()} if diff is not None else {})


def _named(artifact: "ArtifactRef | None") -> str:
    return f"v{artifact.version} {short(artifact.hash)}" if artifact else ""
