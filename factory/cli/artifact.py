"""`factory artifact`: what was made, and how versions differ."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from factory.cli.output import age, short, short_project, write_json, write_table

if TYPE_CHECKING:
    from factory.domain.artifact import Content

app = typer.Typer(help="Look at artifacts.", no_args_is_help=True, add_completion=False)

_WHICH = "An artifact's id, or PROJECT/KIND for its newest version; ids may be cut to six digits."


@app.command("list")
def list_artifacts(
    *,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="Only this project's: its id or six first digits of it.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--kind", "-k", help="Only of this kind.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="Only pending, valid or invalid ones.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the latest.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List artifacts with all their versions, in the order they were made."""
    from factory.cli import lookup  # noqa: PLC0415 - loads the database driver
    from factory.cli.session import run  # noqa: PLC0415 - same

    found = run(lookup.listed(project, kind, status, limit))
    if as_json:
        write_json([artifact.model_dump(mode="json") for artifact in found])
        return
    write_table(
        ("ARTIFACT", "PROJECT", "KIND", "VERSION", "STATUS", "HASH", "AGENT", "MADE"),
        (
            (
                short(artifact.id),
                short_project(artifact.project_id),
                artifact.kind,
                artifact.version,
                artifact.status,
                short(artifact.hash),
                artifact.agent,
                age(artifact.created_at),
            )
            for artifact in found
        ),
        empty="There are no such artifacts.",
    )


@app.command("show")
def show(
    which: Annotated[str, typer.Argument(metavar="ARTIFACT", help=_WHICH)],
    *,
    version: Annotated[int | None, typer.Option("--version", "-v", min=1, help="This version of it.")] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", help="This file instead of the one to read first.")
    ] = None,
    files: Annotated[bool, typer.Option("--files", help="List its files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: metadata and files.")] = False,
) -> None:
    """Print one file of an artifact, or list its files."""
    from factory.cli import lookup  # noqa: PLC0415 - loads the database driver
    from factory.cli.session import run  # noqa: PLC0415 - same

    artifact, content = run(lookup.read(which, version))
    if files:
        _print_files(content, as_json=as_json)
    elif as_json:
        chosen = {file: content.text(file)} if file else dict(content.files)
        write_json(artifact.model_dump(mode="json") | {"files": chosen})
    else:
        path = file or lookup.primary(artifact, content)
        _print_text(path, content.text(path))


@app.command("diff")
def diff(
    which: Annotated[str, typer.Argument(metavar="ARTIFACT", help=_WHICH)],
    other: Annotated[
        str | None,
        typer.Argument(metavar="NEWER", help="What to compare it with; if left out, ARTIFACT is the newer one."),
    ] = None,
    *,
    since: Annotated[
        int | None, typer.Option("--since", min=1, help="The older version; else the one before ARTIFACT.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: each file that differs.")] = False,
) -> None:
    """Show how two artifacts, or two versions of one, differ; exit 0 whether they do or not."""
    from factory.cli import lookup  # noqa: PLC0415 - loads the database driver
    from factory.cli.session import run  # noqa: PLC0415 - same

    found = run(lookup.difference(which, other, since))
    if as_json:
        write_json(found.to_dict())
    elif not found.files:
        typer.echo("They do not differ.", err=True)
    elif sys.stdout.isatty():
        _highlight(found.text, "diff")
    else:
        sys.stdout.write(found.text)


def _print_files(content: "Content", *, as_json: bool) -> None:
    if as_json:
        write_json([{"path": path, "bytes": len(text.encode())} for path, text in sorted(content.files.items())])
        return
    for path in sorted(content.files):
        typer.echo(path)


def _print_text(path: str, text: str) -> None:
    if not sys.stdout.isatty():
        sys.stdout.write(text)
        return
    from rich.syntax import Syntax  # noqa: PLC0415 - only for terminals

    _highlight(text, Syntax.guess_lexer(path, text))


def _highlight(text: str, language: str) -> None:
    from rich.console import Console  # noqa: PLC0415 - only for terminals
    from rich.syntax import Syntax  # noqa: PLC0415 - same

    Console().print(Syntax(text, language, word_wrap=True, background_color="default"))
