"""A project's descent as a tree: the vision at the root, every artifact once, its commit beside it."""

from collections.abc import Iterable

from rich.text import Text
from rich.tree import Tree

from factory.artifacts.lineage import Lineage, TreeItem, as_tree
from factory.cli.output import duration, short
from factory.domain.artifact import ArtifactStatus
from factory.domain.project import Project

_STYLES = {
    ArtifactStatus.VALID: "green",
    ArtifactStatus.INVALID: "red",
    ArtifactStatus.PENDING: "yellow",
    ArtifactStatus.WITHDRAWN: "dim",
}


def tree(project: Project, graph: Lineage) -> Tree:
    """Return the descent for a terminal."""
    root = Tree(Text.assemble((project.name, "bold"), f"  {project.id}", (f"  trace {project.trace_id}", "dim")))
    _grow(root, as_tree(graph))
    return root


def _grow(branch: Tree, items: Iterable[TreeItem]) -> None:
    for item in items:
        _grow(branch.add(_label(item)), item.children)


def _label(item: TreeItem) -> Text:
    artifact = item.artifact
    label = Text.assemble(
        (artifact.kind, "bold"),
        f" v{artifact.version} ",
        (artifact.status.value, _STYLES[artifact.status]),
        (f"  {short(artifact.id)}", "dim"),
        (f"  by {artifact.agent}", "dim"),
    )
    task = item.task
    if task is not None and task.started_at is not None and task.ended_at is not None:
        label.append(f" in {duration((task.ended_at - task.started_at).total_seconds())}", style="dim")
    if item.commit is not None:
        label.append(f"  commit {short(item.commit.id)}", style="cyan")
    if item.also_from:
        others = sorted(f"{source.kind} v{source.version}" for source in item.also_from)
        label.append(f"  also from {', '.join(others)}", style="dim")
    if item.reused:
        others = sorted(f"{source.kind} v{source.version} of {short(source.project_id)}" for source in item.reused)
        label.append(f"  reused {', '.join(others)}", style="magenta")
    return label
