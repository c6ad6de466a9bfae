"""`factory trace`: where a project's time went."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from factory.observability.trace_tree import SpanNode

# What the label of a span tells beside its name, where the span knows it.
_TOLD = {
    "factory.step": "step",
    "factory.skill": "by",
    "http.response.status_code": "answered",
    "factory.verdict": "verdict",
    "db.operation.batch.size": "together",
    "factory.blob.bytes": "bytes",
    "vcs.ref.head.revision": "commit",
}
_TOLD_LENGTH = 30


def trace(
    project: Annotated[str, typer.Argument(help="Id of a project, or the first digits of it.", show_default=False)],
    file: Annotated[
        Path | None, typer.Option(help="Trace file; else FACTORY_TRACE_FILE or the data folder's.", show_default=False)
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="Show so many levels.")] = 99,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array of spans.")] = False,
) -> None:
    """Show a project's trace as a tree: from the request, over every task and stage, to the Git commits."""
    from factory.cli.output import write_rich  # noqa: PLC0415 - `factory --help` must answer at once
    from factory.cli.session import load_settings, reading, run  # noqa: PLC0415
    from factory.control.projects import get_project  # noqa: PLC0415
    from factory.domain.errors import NotFoundError  # noqa: PLC0415
    from factory.domain.project import Project  # noqa: PLC0415
    from factory.observability.trace_tree import read_trace  # noqa: PLC0415

    settings = load_settings()

    async def find() -> Project:
        async with reading(settings) as connection:
            return await get_project(connection, project)

    found = run(find())
    path = file or settings.span_file
    roots = read_trace(path, found.trace_id, found.id)
    if not roots:
        raise NotFoundError(
            f"{path} has no span of trace {found.trace_id}.",
            remedy=f"Look into the collector at {settings.otlp_endpoint}."
            if settings.otlp_endpoint
            else "Spans appear a second after the work; name another file with --file.",
            field="file",
        )
    if as_json:
        typer.echo(
            json.dumps([_document(level, node) for root in roots for level, node in root.walk() if level < depth])
        )
        return
    for root in roots:
        write_rich(_tree(root, root.started_ns, depth))


def _document(level: int, node: "SpanNode") -> dict[str, object]:
    return {
        "span_id": node.id,
        "parent_span_id": node.parent_id,
        "depth": level,
        "name": node.name,
        "service": node.service,
        "started_ns": node.started_ns,
        "seconds": round(node.seconds, 6),
        "error": node.error,
        "attributes": dict(node.attributes),
    }


def _tree(root: "SpanNode", origin: int, depth: int) -> "Tree":
    from rich.tree import Tree  # noqa: PLC0415 - same

    tree = Tree(_label(root, origin))
    _grow(tree, root, origin, depth - 1)
    return tree


def _grow(branch: "Tree", node: "SpanNode", origin: int, depth: int) -> None:
    if depth > 0:
        for child in node.children:
            _grow(branch.add(_label(child, origin)), child, origin, depth - 1)


def _label(node: "SpanNode", origin: int) -> "Text":
    from rich.text import Text  # noqa: PLC0415 - same

    label = Text.assemble(
        (node.name, "red" if node.error else "bold" if node.children else ""),
        (f"  {_time(node.seconds)}", "cyan"),
        (f"  at {_time((node.started_ns - origin) / 1e9)}", "dim"),
    )
    for name, word in _TOLD.items():
        if name in node.attributes:
            label.append(f"  {word} {str(node.attributes[name])[:_TOLD_LENGTH]}", style="dim")
    if node.error:
        label.append(f"  {node.error}", style="red")
    return label


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if abs(seconds) >= 1 else f"{seconds * 1000:.1f} ms"
