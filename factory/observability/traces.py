"""One OpenTelemetry trace per project, through every event, task and stage.

The trace id is the project's: that of the request it began with, where there was one. Ids of spans that describe
durable work (the project, an attempt at a task, a stage) are derived from that work, so that anyone may name them as
parents before they are exported, and exporting them again after a crash changes nothing. Agents measure their stages
and answer with them as data (`Outcome.spans`); the supervisor records them once the outcome is committed. Nothing is
lost with an actor that way, and connections to the collector grow with supervisors, not with agents.
"""

import atexit
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

import factory
from factory.domain.project import Project, ProjectStatus
from factory.domain.task import Outcome, Task
from factory.observability.sampling import Sampler
from factory.observability.switch import is_disabled
from factory.observability.traceparents import (
    parse_traceparent,
    project_traceparent,
    stage_context,
    task_traceparent,
    traceparent_of,
)
from factory.settings import Settings

_QUEUE = 65_536  # spans; a group commit of 500 tasks ends about 5,000 at once, and the default of 2,048 drops them
_EXPORT_EVERY_MS = 1_000
_EXPORT_TIMEOUT_S = 5.0

_IDS = RandomIdGenerator()
_OK = Status()


class Tracing:
    """Spans of one process and where they are exported to.

    A span is recorded when what it tells of is over. Use `start_tracing` to make one from settings, and `close` (or
    `with`) to export what is queued.

    Args:
        service: Name of the process in traces.
        exporters: Where spans go; without any they are dropped.
        sampler: Which traces are kept.
    """

    def __init__(self, *, service: str, exporters: Sequence[SpanExporter] = (), sampler: Sampler) -> None:
        self._resource = Resource.create({"service.name": service, "service.version": factory.__version__})
        self._scope = InstrumentationScope("factory", factory.__version__)
        self._sampler = sampler
        self._processors = [
            BatchSpanProcessor(exporter, max_queue_size=_QUEUE, schedule_delay_millis=_EXPORT_EVERY_MS)
            for exporter in exporters
        ]
        if self._processors:
            atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def keeps(self, traceparent: str) -> bool:
        """Tell whether a piece of work of a trace is to be recorded, and count it; costs nothing where none is."""
        return bool(self._processors) and self._sampler.keeps(traceparent)

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
        parent = parse_traceparent(traceparent) if traceparent else None
        context = parse_traceparent(own) if own else _child_of(parent)
        self._export(
            name,
            context,
            parent,
            started_ns=started_ns,
            ended_ns=ended_ns,
            attributes=attributes or {},
            links=[Link(parse_traceparent(link)) for link in links],
            kind=kind,
            error=error,
        )
        return own or traceparent_of(context)

    def record_task(self, task: Task, outcome: Outcome, *, started_ns: int, ended_ns: int) -> None:
        """Record one attempt at a task with the stages the agent measured; costs nothing where nothing is exported.

        Raises:
            BadInputError: The task's traceparent cannot be read.
        """
        if not (task.traced and self._processors):
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
        attempt = parse_traceparent(task_traceparent(task))
        self._export(
            f"{task.agent} {task.goal}",
            attempt,
            parse_traceparent(task.traceparent),
            started_ns=started_ns,
            ended_ns=ended_ns,
            attributes=attributes,
            error=outcome.error.message if outcome.error else None,
        )
        contexts = [stage_context(attempt, task, number, stage.stage) for number, stage in enumerate(outcome.spans)]
        stages = {
            stage.stage: context for stage, context in zip(outcome.spans, contexts, strict=True) if not stage.within
        }
        for stage, context in zip(outcome.spans, contexts, strict=True):
            self._export(
                stage.stage,
                context,
                stages[stage.within] if stage.within else attempt,
                started_ns=stage.started_ns,
                ended_ns=stage.ended_ns,
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

    def _export(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        *,
        started_ns: int,
        ended_ns: int,
        attributes: Mapping[str, Any],
        links: Sequence[Link] = (),
        kind: SpanKind = SpanKind.INTERNAL,
        error: str | None = None,
    ) -> None:
        """Hand over a span. Those of the SDK's tracer, which is started and ended, take three times as long to make."""
        span = ReadableSpan(
            name,
            context,
            parent,
            self._resource,
            _plain(attributes),
            links=links,
            kind=kind,
            status=Status(StatusCode.ERROR, error) if error else _OK,
            start_time=started_ns,
            end_time=max(started_ns, ended_ns),
            instrumentation_scope=self._scope,
        )
        for processor in self._processors:
            processor.on_end(span)

    def flush(self) -> None:
        """Export what is queued; returns when it is sent or the exporter has given up."""
        for processor in self._processors:
            processor.force_flush()

    def close(self) -> None:
        """Export what is queued and stop. Closing twice does no harm."""
        for processor in self._processors:
            processor.shutdown()  # type: ignore[no-untyped-call]
        self._processors.clear()
        atexit.unregister(self.close)


def start_tracing(settings: Settings, *, service: str) -> Tracing:
    """Set up the spans of this process.

    Exports to `settings.otlp_endpoint` (an OTLP/HTTP base URL) and to `settings.trace_file` (lines of
    OTLP JSON) where they are set, unless `OTEL_SDK_DISABLED` is `true`. A collector that is away costs spans, never
    work.

    Args:
        settings: Where to export to.
        service: Name of the process in traces, such as `supervisor`.
    """
    exporters: list[SpanExporter] = []
    told = not is_disabled()
    # The exporters pull in an HTTP client and protobuf; a process that exports nothing does without them.
    if told and settings.otlp_endpoint:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
        exporters.append(OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_TIMEOUT_S))
    if told and settings.trace_file:
        from factory.observability.trace_file import TraceFileExporter  # noqa: PLC0415

        exporters.append(TraceFileExporter(settings.trace_file))
    sampler = Sampler(settings.trace_sample, settings.trace_limit)
    return Tracing(service=service, exporters=exporters, sampler=sampler)


def _child_of(parent: SpanContext | None) -> SpanContext:
    if parent is None:
        raise ValueError("a span has a parent, a traceparent of its own, or both")
    return SpanContext(parent.trace_id, _IDS.generate_span_id(), is_remote=False, trace_flags=parent.trace_flags)


def _plain(attributes: Mapping[str, Any]) -> dict[str, AttributeValue]:
    return {
        name: value if isinstance(value, str | bool | int | float) else str(value)
        for name, value in attributes.items()
        if value is not None
    }


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1_000
