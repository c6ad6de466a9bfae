"""`factory build`: a vision in, a tested repository out."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from factory.domain.errors import BadInputError, ConflictError

if TYPE_CHECKING:
    from uuid import UUID

    from factory.cli.lifecycle import HostProcess
    from factory.cli.live import LiveView
    from factory.cli.summary import Summary
    from factory.control.progress import Progress
    from factory.service import BuildRequest, FactoryService
    from factory.settings import Settings

_MOST_BYTES = 1_000_000
_REMEMBER_SECONDS = 120


def build(
    vision: Annotated[Path, typer.Argument(help="Markdown file with the product's vision.", show_default=False)],
    blueprint: Annotated[
        str | None, typer.Option(help="Workflow to follow; else the vision's front matter, else api-service.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the repository.", show_default="out/<name of the product>")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Start over even if this build is unfinished.")] = False,
) -> None:
    """Build a product from its vision.

    The same command takes an unfinished build up again. Exit code 0: released, and its own tests passed.
    """
    from factory.cli.live import LiveView  # noqa: PLC0415 - `factory --help` must answer at once
    from factory.cli.output import write_rich  # noqa: PLC0415
    from factory.cli.session import load_settings  # noqa: PLC0415
    from factory.cli.summary import render  # noqa: PLC0415

    settings = load_settings()
    request = read_request(vision, blueprint, out, settings)
    view = LiveView()
    summary = _run(settings, request, view, new=new)
    if as_json:
        typer.echo(summary.model_dump_json())
    else:
        write_rich(render(summary))
    if not summary.succeeded:
        raise typer.Exit(1)


def read_request(vision: Path, blueprint: str | None, out: Path | None, settings: "Settings") -> "BuildRequest":
    """Read and check everything a build needs, before anything is started.

    Raises:
        BadInputError: The file cannot be read, is no vision, or the folder cannot take the repository.
        NotFoundError: There is no such blueprint.
    """
    from factory.artifacts.checkout import check_out_dir  # noqa: PLC0415 - `factory --help` must answer at once
    from factory.service import BuildRequest, read_vision  # noqa: PLC0415

    text = _read(vision)
    understood = read_vision(text, blueprint, vision.stem, settings.blueprint_dir)
    folder = (out or Path("out") / understood.slug).absolute()
    try:
        check_out_dir(folder, slug=understood.slug)
    except ConflictError as error:
        raise BadInputError(error.message, remedy=error.remedy, field="out") from error
    return BuildRequest(
        name=understood.name, slug=understood.slug, vision=text, blueprint=understood.blueprint, out_dir=folder
    )


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadInputError(
                f"{path} is larger than {_MOST_BYTES:,} bytes.", remedy="A vision is a few pages.", field="vision"
            )
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{path} is not UTF-8 text (byte {error.start}).", remedy="Save it as UTF-8.", field="vision"
        ) from error
    except OSError as error:
        raise BadInputError(
            f"{path} cannot be read: {error.strerror}.", remedy="Give the path of a Markdown file.", field="vision"
        ) from error


def _run(settings: "Settings", request: "BuildRequest", view: "LiveView", *, new: bool) -> "Summary":
    try:
        return asyncio.run(_build(settings, request, view, new=new))
    except KeyboardInterrupt:
        typer.echo("Stopped. The same command takes the build up where it was.", err=True)
        raise typer.Exit(130) from None


async def _build(settings: "Settings", request: "BuildRequest", view: "LiveView", *, new: bool) -> "Summary":
    from factory.cli.lifecycle import HostProcess, running  # noqa: PLC0415 - `factory --help` must answer at once
    from factory.cli.output import short_project  # noqa: PLC0415
    from factory.cli.summary import summarise  # noqa: PLC0415
    from factory.service import FactoryService  # noqa: PLC0415

    view.note("starting the database")
    async with await FactoryService.open(settings) as factory:
        agents = factory.blueprint(request.blueprint).agents
        project, known = await factory.begin(request, new=new)
        view.note(f"{'taking up' if known else 'beginning'} project {project.slug} ({short_project(project.id)})")
        host = None
        if running(settings) is None and project.status != "released":
            view.note("starting Ray and the agents")
            host = HostProcess(settings, agents, attached=True)
        try:
            progress = await _watch(factory, view, project.id, host)
            if host is not None:
                await _remember(factory, view, project.id, host)
        finally:
            if host is not None:
                await asyncio.to_thread(host.stop)
        repository = None
        if progress.project.status == "released":
            repository = await factory.deliver(progress.project, request.out_dir)
        artifacts = await factory.artifacts(project.id)
        return summarise(progress, artifacts, repository=repository, seconds=view.seconds)


async def _remember(factory: "FactoryService", view: "LiveView", project_id: "UUID", host: "HostProcess") -> None:
    """Wait until what was built is in semantic memory; what takes too long is remembered by the next run."""
    deadline = time.monotonic() + _REMEMBER_SECONDS
    said = False
    while await factory.unremembered(project_id) and time.monotonic() < deadline:
        if not said:
            view.note("remembering what was built")
            said = True
        host.check()
        await asyncio.sleep(0.1)


async def _watch(
    factory: "FactoryService", view: "LiveView", project_id: "UUID", host: "HostProcess | None"
) -> "Progress":
    with view:
        async for progress in factory.watch(project_id):
            view.update(progress)
            if host is not None:
                host.check()
        return progress
