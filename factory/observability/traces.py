"""One OpenTelemetry trace per project, through every event, task and stage.

The trace id is the project's. Ids of spans that describe durable work (the project, an attempt at a task,
a stage) are derived from that work, so that anyone may name them as parents before they are exported, and
exporting them again after a crash changes nothing. Agents measure their stages and answer with them as data
(`Outcome.spans`); the supervisor records them once the outcome is committed. Nothing is lost with an actor
that way, and connections to the collector grow with supervisors, not with agents.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

import factory
from factory.domain.errors import BadInputError
from factory.domain.ids import derived_id
from factory.domain.project import Project, ProjectStatus
from factory.domain.task import Outcome, Task
from factory.settings import Settings

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_QUEUE = 65_536  # spans; a group commit of 500 tasks ends about 5,000 at once, and the default of 2,048 drops them
_EXPORT_EVERY_MS = 1_000
_EXPORT_TIMEOUT_S = 5.0

_chosen: ContextVar[SpanContext | None] = ContextVar("chosen", default=None)


class _ChosenIds(IdGenerator):
    """Random ids, except for a span whose ids were derived beforehand."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()

    def generate_span_id(self) -> int:
        chosen = _chosen.get()
        return chosen.span_id if chosen else self._random.generate_span_id()

    def generate_trace_id(self) -> int:
        chosen = _chosen.get()
        return chosen.trace_id if chosen else self._random.generate_trace_id()


def traceparent_of(span: Span) -> str:
    """Return the W3C traceparent that makes a span the parent of work elsewhere."""
    context = span.get_span_context()
    return _traceparent(f"{context.trace_id:032x}", context.span_id, context.trace_flags)


def project_traceparent(trace_id: str) -> str:
    """Return the traceparent of a project's root span, known before the span is exported."""
    return _traceparent(trace_id, _derived_span_id("project", trace_id))


def task_traceparent(task: Task) -> str:
    """Return the traceparent of one attempt at a task: the parent of its stages and of the events it causes.

    Raises:
        BadInputError: The task's own traceparent cannot be read.
    """
    return _child(task.traceparent, "task", task.id, task.attempt)


def _stage_traceparent(task: Task, number: int, stage: str) -> str:
    return _child(task.traceparent, "stage", task.id, task.attempt, number, stage)


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


class Tracing:
    """Spans of one process and where they are exported to.

    Without exporters spans still have ids and can be parents; they are dropped when they end.
    Use `start_tracing` to make one from settings, and `close` (or `with`) to export what is queued.
    """

    def __init__(self, *, service: str, exporters: Sequence[SpanExporter] = ()) -> None:
        resource = Resource.create({"service.name": service, "service.version": factory.__version__})
        self._provider = TracerProvider(resource=resource, id_generator=_ChosenIds(), shutdown_on_exit=bool(exporters))
        for exporter in exporters:
            self._provider.add_span_processor(
                BatchSpanProcessor(exporter, max_queue_size=_QUEUE, schedule_delay_millis=_EXPORT_EVERY_MS)
            )
        self._tracer = self._provider.get_tracer("factory", factory.__version__)
        self._exports = bool(exporters)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def provider(self) -> TracerProvider:
        """The provider, for libraries that emit spans themselves."""
        return self._provider

    @contextmanager
    def span_from(
        self,
        traceparent: str,
        name: str,
        *,
        links: Sequence[str] = (),
        attributes: Mapping[str, Any] | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Iterator[Span]:
        """Run a block in a span whose parent came from another process.

        An exception that leaves the block is recorded on the span and goes on.

        Args:
            traceparent: The parent.
            name: What the span is called.
            links: Traceparents of further causes, where several events led to one piece of work.
            attributes: Facts about the work; values that OpenTelemetry cannot hold become text.
            kind: The role of the span in a request.

        Raises:
            BadInputError: A traceparent cannot be read.
        """
        with self._tracer.start_as_current_span(
            name,
            context=_parent(traceparent),
            kind=kind,
            links=_links(links),
            attributes=_plain(attributes or {}),
        ) as span:
            yield span

    def record(
        self,
        traceparent: str | None,
        name: str,
        *,
        started_ns: int,
        ended_ns: int,
        own: str | None = None,
        links: Sequence[str] = (),
        attributes: Mapping[str, Any] | None = None,
        error: str | None = None,
    ) -> str:
        """Record work that is over, measured elsewhere, and return its traceparent.

        Args:
            traceparent: The parent; None makes the root of the trace that `own` names.
            name: What the span is called.
            started_ns: Start, nanoseconds since the epoch.
            ended_ns: End, nanoseconds since the epoch.
            own: The span's own traceparent, where it was derived beforehand; random otherwise.
            links: Traceparents of further causes.
            attributes: Facts about the work.
            error: Why it failed, where it did.

        Raises:
            BadInputError: A traceparent cannot be read.
        """
        token = _chosen.set(parse_traceparent(own) if own else None)
        try:
            span = self._tracer.start_span(
                name,
                context=_parent(traceparent) if traceparent else Context(),
                start_time=started_ns,
                links=_links(links),
                attributes=_plain(attributes or {}),
            )
        finally:
            _chosen.reset(token)
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(end_time=max(started_ns, ended_ns))
        return traceparent_of(span)

    def record_task(self, task: Task, outcome: Outcome, *, started_ns: int, ended_ns: int) -> None:
        """Record one attempt at a task with the stages the agent measured; costs nothing where nothing is exported.

        Raises:
            BadInputError: The task's traceparent cannot be read.
        """
        if not self._exports:
            return
        attributes: dict[str, Any] = {
            "factory.project.id": task.project.id if task.project else None,
            "factory.task.id": task.id,
            "factory.step": task.step,
            "factory.agent": task.agent,
            "factory.goal": task.goal,
            "factory.attempt": task.attempt,
        }
        if outcome.skill:
            attributes["factory.skill"] = outcome.skill
        if outcome.artifact:
            attributes["factory.artifact.id"] = outcome.artifact.id
            attributes["factory.artifact.hash"] = outcome.artifact.hash
        if outcome.verdict:
            attributes["factory.verdict"] = "passed" if outcome.verdict.passed else "failed"
        if outcome.error:
            attributes["error.type"] = outcome.error.error_type
            attributes["factory.error.category"] = outcome.error.category.value
        parent = self.record(
            task.traceparent,
            f"{task.agent} {task.goal}",
            started_ns=started_ns,
            ended_ns=ended_ns,
            own=task_traceparent(task),
            attributes=attributes,
            error=outcome.error.message if outcome.error else None,
        )
        for number, stage in enumerate(outcome.spans):
            self.record(
                parent,
                stage.stage,
                started_ns=stage.started_ns,
                ended_ns=stage.ended_ns,
                own=_stage_traceparent(task, number, stage.stage),
                attributes=stage.attributes,
            )

    def record_project(self, project: Project, *, ended_at: datetime, failure: str | None = None) -> None:
        """Record a project's root span, from its creation to its end."""
        failed = project.status in (ProjectStatus.FAILED, ProjectStatus.COMPENSATED)
        self.record(
            None,
            f"project {project.slug}",
            started_ns=_nanoseconds(project.created_at),
            ended_ns=_nanoseconds(ended_at),
            own=project_traceparent(project.trace_id),
            attributes={
                "factory.project.id": project.id,
                "factory.project.slug": project.slug,
                "factory.project.status": project.status.value,
                "factory.blueprint": project.blueprint,
            },
            error=failure or ("the project failed" if failed else None),
        )

    def flush(self) -> None:
        """Export what is queued; returns when it is sent or the exporter has given up."""
        self._provider.force_flush()

    def close(self) -> None:
        """Export what is queued and stop. Closing twice does no harm."""
        self._provider.shutdown()


def start_tracing(settings: Settings, *, service: str) -> Tracing:
    """Set up the spans of this process.

    Exports to `settings.otlp_endpoint` (an OTLP/HTTP base URL) and to `settings.trace_file` (lines of
    OTLP JSON) where they are set. A collector that is away costs spans, never work.

    Args:
        settings: Where to export to.
        service: Name of the process in traces, such as `supervisor`.
    """
    exporters: list[SpanExporter] = []
    # The exporters pull in an HTTP client and protobuf; a process that exports nothing does without them.
    if settings.otlp_endpoint:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
        exporters.append(OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_TIMEOUT_S))
    if settings.trace_file:
        from factory.observability.trace_file import TraceFileExporter  # noqa: PLC0415

        exporters.append(TraceFileExporter(settings.trace_file))
    tracing = Tracing(service=service, exporters=exporters)
    if exporters and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(tracing.provider)
    return tracing


def _derived_span_id(*parts: object) -> int:
    return int.from_bytes(derived_id("span", *parts).bytes[:8])


def _child(traceparent: str, *parts: object) -> str:
    trace_id, _, flags = _fields(traceparent)
    return f"00-{trace_id}-{_derived_span_id(*parts):016x}-{flags}"


def _traceparent(trace_id: str, span_id: int, flags: int = TraceFlags.SAMPLED) -> str:
    return f"00-{trace_id}-{span_id:016x}-{flags:02x}"


def _parent(traceparent: str) -> Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(parse_traceparent(traceparent)))


def _links(traceparents: Sequence[str]) -> list[Link]:
    return [Link(parse_traceparent(traceparent)) for traceparent in traceparents]


def _plain(attributes: Mapping[str, Any]) -> dict[str, AttributeValue]:
    return {
        name: value if isinstance(value, str | bool | int | float) else str(value)
        for name, value in attributes.items()
        if value is not None
    }


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1_000
