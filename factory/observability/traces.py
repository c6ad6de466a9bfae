"""One OpenTelemetry trace per project, through every event, task and stage.

The trace id is the project's: that of the request it began with, where there was one. Ids of spans that describe
durable work (the project, an attempt at a task, a stage) are derived from that work, so that anyone may name them as
parents before they are exported, and exporting them again after a crash changes nothing. Agents measure their stages
and answer with them as data (`Outcome.spans`); the supervisor records them once the outcome is committed. Nothing is
lost with an actor that way, and connections to the collector grow with supervisors, not with agents.
"""

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
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

import factory
from factory.domain.project import Project, ProjectStatus
from factory.domain.task import Outcome, Task
from factory.observability.traceparents import (
    parse_traceparent,
    project_traceparent,
    stage_traceparent,
    task_traceparent,
    traceparent_of,
)
from factory.settings import Settings

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


class Tracing:
    """Spans of one process and where they are exported to.

    Without exporters spans still have ids and can be parents; they are dropped when they end.
    Use `start_tracing` to make one from settings, and `close` (or `with`) to export what is queued.

    Args:
        service: Name of the process in traces.
        exporters: Where spans go.
        sample: Share of traces that are kept, from 0 to 1, chosen by the trace id: every process keeps the same ones.
    """

    def __init__(self, *, service: str, exporters: Sequence[SpanExporter] = (), sample: float = 1) -> None:
        resource = Resource.create({"service.name": service, "service.version": factory.__version__})
        ratio = TraceIdRatioBased(sample)
        self._bound = ratio.bound
        self._provider = TracerProvider(
            resource=resource,
            id_generator=_ChosenIds(),
            shutdown_on_exit=bool(exporters),
            sampler=ParentBased(root=ratio, remote_parent_sampled=ratio),
        )
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

    def keeps(self, traceparent: str) -> bool:
        """Tell whether spans of a trace are exported; costs next to nothing where none are.

        Raises:
            BadInputError: The traceparent cannot be read.
        """
        if not self._exports:
            return False
        context = parse_traceparent(traceparent)
        return context.trace_flags.sampled and context.trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < self._bound

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
        kind: SpanKind = SpanKind.INTERNAL,
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
            kind: The role of the span in a request.
            error: Why it failed, where it did.

        Raises:
            BadInputError: A traceparent cannot be read.
        """
        token = _chosen.set(parse_traceparent(own) if own else None)
        try:
            span = self._tracer.start_span(
                name,
                context=_parent(traceparent) if traceparent else Context(),
                kind=kind,
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
        if not self.keeps(task.traceparent):
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
        stages: dict[str, str] = {}
        for number, stage in enumerate(outcome.spans):
            if not stage.within:
                stages[stage.stage] = stage_traceparent(task, number, stage.stage)
        for number, stage in enumerate(outcome.spans):
            self.record(
                stages[stage.within] if stage.within else parent,
                stage.stage,
                started_ns=stage.started_ns,
                ended_ns=stage.ended_ns,
                own=stage_traceparent(task, number, stage.stage),
                attributes=stage.attributes,
            )

    def record_settlement(self, task: Task, *, batch: int, started_ns: int, ended_ns: int) -> None:
        """Record the transaction that committed what came of a task.

        Args:
            task: The task.
            batch: How many tasks were committed in the transaction.
            started_ns: Start, nanoseconds since the epoch.
            ended_ns: End, nanoseconds since the epoch.

        Raises:
            BadInputError: The task's traceparent cannot be read.
        """
        if self.keeps(task.traceparent):
            self.record(
                task_traceparent(task),
                "settle",
                started_ns=started_ns,
                ended_ns=ended_ns,
                kind=SpanKind.CLIENT,
                attributes={"db.system.name": "postgresql", "db.operation.batch.size": batch},
            )

    def record_project(self, project: Project, *, ended_at: datetime, failure: str | None = None) -> None:
        """Record a project's span, from its creation to its end: the root where no request began the project."""
        own = project_traceparent(project)
        if not self.keeps(own):
            return
        failed = project.status in (ProjectStatus.FAILED, ProjectStatus.COMPENSATED)
        self.record(
            project.caused_by,
            f"project {project.slug}",
            started_ns=_nanoseconds(project.created_at),
            ended_ns=_nanoseconds(ended_at),
            own=own,
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
    tracing = Tracing(service=service, exporters=exporters, sample=settings.trace_sample)
    if exporters and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(tracing.provider)
    return tracing


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
