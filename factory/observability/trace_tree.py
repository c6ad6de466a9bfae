"""A project's trace, read from trace files, as a tree."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from factory.observability.rotation import older_file

_ERROR = 2  # STATUS_CODE_ERROR of OTLP


@dataclass(slots=True)
class SpanNode:
    """One span.

    Attributes:
        parent_id: Of the span that it belongs to; None for a root.
        service: The kind of process that it was recorded in.
        started_ns: Nanoseconds since the epoch.
        ended_ns: The same.
        error: Why the work failed; None where it did not.
        children: By their start.
    """

    id: str
    parent_id: str | None
    name: str
    service: str
    started_ns: int
    ended_ns: int
    attributes: Mapping[str, Any]
    error: str | None
    children: "list[SpanNode]" = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended_ns - self.started_ns) / 1e9

    def walk(self, depth: int = 0) -> "Iterator[tuple[int, SpanNode]]":
        """Yield the span and all below it, each with its depth."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


def read_trace(path: Path, trace_id: str, project_id: UUID) -> list[SpanNode]:
    """Return the roots of a project's trace, with everything below them; nothing where no span is known.

    While the project goes on, its own span is not known yet, and what belongs to it stands at the root. Other projects
    that began in the same trace are left out.

    Args:
        path: The trace file; the older one beside it is read as well.
        trace_id: 32 hexadecimal digits.
        project_id: Of the project.
    """
    nodes: dict[str, SpanNode] = {}
    for file in (older_file(path), path):
        # A span that was recorded again, after a crash or a new attempt, replaces the first.
        nodes |= {node.id: node for node in _spans(file, trace_id)}
    ordered = sorted(nodes.values(), key=lambda node: (node.started_ns, -node.ended_ns))
    roots: list[SpanNode] = []
    for node in ordered:
        if _is_other_project(node, project_id):
            continue
        parent = nodes.get(node.parent_id) if node.parent_id else None
        (parent.children if parent is not None else roots).append(node)
    return roots


def _is_other_project(node: SpanNode, project_id: UUID) -> bool:
    return "factory.project.slug" in node.attributes and node.attributes["factory.project.id"] != str(project_id)


def _spans(path: Path, trace_id: str) -> Iterator[SpanNode]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            # Most lines are of other traces, and parsing takes longest.
            if trace_id in line:
                yield from _of_request(json.loads(line), trace_id)


def _of_request(request: Mapping[str, Any], trace_id: str) -> Iterator[SpanNode]:
    for resource in request["resourceSpans"]:
        service = _plain(resource["resource"].get("attributes", ())).get("service.name", "")
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                if span["traceId"] == trace_id:
                    yield _node(span, service)


def _node(span: Mapping[str, Any], service: str) -> SpanNode:
    status = span.get("status", {})
    return SpanNode(
        id=span["spanId"],
        parent_id=span.get("parentSpanId") or None,
        name=span["name"],
        service=service,
        started_ns=int(span["startTimeUnixNano"]),
        ended_ns=int(span["endTimeUnixNano"]),
        attributes=_plain(span.get("attributes", ())),
        error=status.get("message", "failed") if status.get("code") == _ERROR else None,
    )


def _plain(attributes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {item["key"]: _value(item["value"]) for item in attributes}


def _value(value: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever OTLP holds
    # OTLP JSON writes 64-bit integers as text.
    return int(value["intValue"]) if "intValue" in value else next(iter(value.values()), None)
