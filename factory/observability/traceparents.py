"""W3C trace contexts of the factory's work; most are derived, so that anyone may name them before they are exported."""

import re

from opentelemetry.trace import SpanContext, TraceFlags

from factory.domain.errors import BadInputError
from factory.domain.ids import derived_number
from factory.domain.project import Project
from factory.domain.task import Task

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16


def traceparent_of(context: SpanContext) -> str:
    """Return the W3C traceparent that makes a span the parent of work elsewhere."""
    return _traceparent(f"{context.trace_id:032x}", context.span_id, context.trace_flags)


def root_traceparent(trace_id: str) -> str:
    """Return the traceparent of work that nothing else caused."""
    return _traceparent(trace_id, _derived_span_id("root", trace_id))


def project_traceparent(project: Project) -> str:
    """Return the traceparent of a project's span, known before the span is exported.

    Raises:
        BadInputError: What the project was caused by cannot be read.
    """
    flags = int(_fields(project.caused_by)[2], 16) if project.caused_by else TraceFlags.SAMPLED
    return _traceparent(project.trace_id, _derived_span_id("project", project.id), flags)


def task_traceparent(task: Task) -> str:
    """Return the traceparent of one attempt at a task: the parent of its stages and of the events it causes.

    Raises:
        BadInputError: The task's own traceparent cannot be read.
    """
    trace_id, _, flags = _fields(task.traceparent)
    return f"00-{trace_id}-{_derived_span_id('task', task.id, task.attempt):016x}-{flags}"


def stage_context(attempt: SpanContext, task: Task, number: int, stage: str) -> SpanContext:
    """Return the context of one stage of an attempt, or of what happened in a stage."""
    span_id = _derived_span_id("stage", task.id, task.attempt, number, stage)
    return SpanContext(attempt.trace_id, span_id, is_remote=True, trace_flags=attempt.trace_flags)


def parse_traceparent(traceparent: str) -> SpanContext:
    """Read a W3C traceparent.

    Raises:
        BadInputError: It does not have the form of one, or an id in it is zero.
    """
    trace_id, span_id, flags = _fields(traceparent)
    return SpanContext(
        trace_id=int(trace_id, 16), span_id=int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )


def _fields(traceparent: str) -> tuple[str, str, str]:
    match = _TRACEPARENT.fullmatch(traceparent)
    if match and match["trace"] != _NO_TRACE and match["span"] != _NO_SPAN:
        return match["trace"], match["span"], match["flags"]
    raise BadInputError(
        f"{traceparent!r} is not a W3C traceparent.",
        remedy="Expected version, trace, parent and flags as 2, 32, 16 and 2 hexadecimal digits, joined by hyphens.",
        field="traceparent",
    )


def _derived_span_id(*parts: object) -> int:
    return derived_number("span", *parts)


def _traceparent(trace_id: str, span_id: int, flags: int = TraceFlags.SAMPLED) -> str:
    return f"00-{trace_id}-{span_id:016x}-{flags:02x}"
