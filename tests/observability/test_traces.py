"""Traces arrive at a real OTLP/HTTP receiver as one tree per project."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from factory.domain.errors import BadInputError, ErrorCategory
from factory.domain.ids import derived_id
from factory.domain.project import Project, ProjectStatus
from factory.domain.task import Outcome, StageSpan, Task, TaskError
from factory.observability.traceparents import (
    parse_traceparent,
    project_traceparent,
    task_traceparent,
    traceparent_of,
)
from factory.observability.traces import start_tracing
from factory.settings import Settings
from tests.observability.receiver import Receiver

STARTED = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
STARTED_NS = int(STARTED.timestamp()) * 1_000_000_000
STAGES = ("load", "plan", "execute", "compose", "validate")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    collector = Receiver()
    yield collector
    collector.close()


def settings(tmp_path: Path, *, otlp_endpoint: str | None = None, trace_file: Path | None = None) -> Settings:
    return Settings(data_dir=tmp_path, otlp_endpoint=otlp_endpoint, trace_file=trace_file)


def project(status: ProjectStatus = ProjectStatus.RELEASED) -> Project:
    return Project(
        id=derived_id("project"),
        name="Clinic",
        slug="clinic",
        blueprint="api-service",
        status=status,
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        created_at=STARTED,
        updated_at=STARTED,
    )


def task(name: str, traceparent: str, attempt: int = 1) -> Task:
    return Task(
        id=derived_id("task", name),
        project=project(),
        step=name,
        agent=f"{name}-agent",
        goal=name,
        attempt=attempt,
        cause_id=derived_id("cause"),
        correlation_id=derived_id("correlation"),
        traceparent=traceparent,
    )


def outcome(of: Task, error: TaskError | None = None) -> Outcome:
    spans = tuple(
        StageSpan(
            stage=stage,
            started_ns=STARTED_NS + number * 1000,
            ended_ns=STARTED_NS + number * 1000 + 900,
            attributes={"inputs": ["a"], "project": UUID(int=1), "nothing": None},
        )
        for number, stage in enumerate(STAGES)
    )
    return Outcome(task_id=of.id, agent=of.agent, spans=spans, skill="native", error=error)


def test_a_project_is_one_trace_whose_spans_hang_together(receiver: Receiver, tmp_path: Path) -> None:
    configured = settings(tmp_path, otlp_endpoint=receiver.url)
    root = project_traceparent(project())
    first = task("backlog", root)
    second = task("domain-model", task_traceparent(first))

    with start_tracing(configured, service="supervisor") as tracing:
        tracing.record_task(first, outcome(first), started_ns=STARTED_NS, ended_ns=STARTED_NS + 9_000)
        with tracing.span_from(task_traceparent(first), "commit", links=[root]) as commit:
            parent_elsewhere = traceparent_of(commit)
    with start_tracing(configured, service="gateway") as tracing:
        with tracing.span_from(parent_elsewhere, "notify"):
            pass
        tracing.record_task(second, outcome(second), started_ns=STARTED_NS, ended_ns=STARTED_NS + 9_000)
        tracing.record_project(project(), ended_at=STARTED + timedelta(seconds=60))

    assert receiver.services == {"supervisor", "gateway"}
    assert {span.trace_id.hex() for span in receiver.spans} == {project().trace_id}
    by_id = {span.span_id: span for span in receiver.spans}
    assert len(by_id) == len(receiver.spans) == 1 + 2 * (1 + len(STAGES)) + 2
    roots = [span.name for span in receiver.spans if not span.parent_span_id]
    assert roots == ["project clinic"]
    assert all(span.parent_span_id in by_id for span in receiver.spans if span.parent_span_id)
    assert by_id[receiver.named("domain-model-agent domain-model").parent_span_id].name == "backlog-agent backlog"
    assert by_id[receiver.named("notify").parent_span_id].name == "commit"
    assert receiver.named("commit").links[0].span_id == receiver.named("project clinic").span_id
    whole = receiver.named("project clinic")
    assert whole.end_time_unix_nano - whole.start_time_unix_nano == 60_000_000_000


def test_stages_are_children_of_their_attempt(receiver: Receiver, tmp_path: Path) -> None:
    work = task("backlog", project_traceparent(project()))
    with start_tracing(settings(tmp_path, otlp_endpoint=receiver.url), service="supervisor") as tracing:
        tracing.record_task(work, outcome(work), started_ns=STARTED_NS, ended_ns=STARTED_NS + 9_000)

    attempt = receiver.named("backlog-agent backlog")
    stages = [span for span in receiver.spans if span.parent_span_id == attempt.span_id]
    assert [span.name for span in sorted(stages, key=lambda span: span.start_time_unix_nano)] == list(STAGES)
    facts = {fact.key: fact.value for fact in attempt.attributes}
    assert facts["factory.task.id"].string_value == str(work.id)
    assert facts["factory.attempt"].int_value == 1
    assert facts["factory.skill"].string_value == "native"
    assert "nothing" not in {fact.key for fact in stages[0].attributes}


def test_recording_again_after_a_crash_repeats_ids_and_another_attempt_does_not(
    receiver: Receiver, tmp_path: Path
) -> None:
    root = project_traceparent(project())
    once, again = task("backlog", root), task("backlog", root, attempt=2)
    for work in (once, once, again):
        with start_tracing(settings(tmp_path, otlp_endpoint=receiver.url), service="supervisor") as tracing:
            tracing.record_task(work, outcome(work), started_ns=STARTED_NS, ended_ns=STARTED_NS + 9_000)

    assert len(receiver.spans) == 3 * (1 + len(STAGES))
    assert len({span.span_id for span in receiver.spans}) == 2 * (1 + len(STAGES))


def test_failed_work_is_marked(receiver: Receiver, tmp_path: Path) -> None:
    work = task("backlog", project_traceparent(project()))
    error = TaskError(
        message="no story was found", category=ErrorCategory.VALIDATION, retryable=False, error_type="TerminalError"
    )
    with start_tracing(settings(tmp_path, otlp_endpoint=receiver.url), service="supervisor") as tracing:
        tracing.record_task(work, outcome(work, error), started_ns=STARTED_NS, ended_ns=STARTED_NS + 9_000)
        tracing.record_project(project(ProjectStatus.FAILED), ended_at=STARTED, failure="no story was found")
        with (
            pytest.raises(ZeroDivisionError),
            tracing.span_from(work.traceparent, "commit"),
        ):
            _ = 1 / 0

    for name in ("backlog-agent backlog", "project clinic", "commit"):
        assert receiver.named(name).status.code == Status.STATUS_CODE_ERROR
    assert receiver.named("backlog-agent backlog").status.message == "no story was found"
    assert receiver.named("commit").events[0].name == "exception"


def test_the_trace_file_holds_otlp_json(tmp_path: Path) -> None:
    path = tmp_path / "traces" / "spans.jsonl"
    root = project_traceparent(project())
    for service in ("supervisor", "gateway"):
        with (
            start_tracing(settings(tmp_path, trace_file=path), service=service) as tracing,
            tracing.span_from(root, f"{service} work", links=[root]),
        ):
            pass

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    spans = [line["resourceSpans"][0]["scopeSpans"][0]["spans"][0] for line in lines]
    assert [span["name"] for span in spans] == ["supervisor work", "gateway work"]
    for span in spans:
        assert span["traceId"] == project().trace_id
        assert span["parentSpanId"] == span["links"][0]["spanId"] == root.split("-")[2]
        assert span["kind"] == 1


def test_without_an_exporter_spans_still_carry_the_trace(tmp_path: Path) -> None:
    with start_tracing(settings(tmp_path), service="cli") as tracing:
        with tracing.span_from(project_traceparent(project()), "build") as span:
            carried = traceparent_of(span)
        recorded = tracing.record(carried, "step", started_ns=1, ended_ns=2)

    assert carried.split("-")[1] == recorded.split("-")[1] == project().trace_id
    assert carried.split("-")[2] != recorded.split("-")[2]
    assert list(tmp_path.iterdir()) == []


def test_a_collector_that_is_away_costs_spans_and_never_work(receiver: Receiver, tmp_path: Path) -> None:
    url = receiver.url
    receiver.close()
    with (
        start_tracing(settings(tmp_path, otlp_endpoint=url), service="cli") as tracing,
        tracing.span_from(project_traceparent(project()), "build"),
    ):
        done = True
    assert done


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "garbage",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-b7ad6b7169203331-01",
    ],
)
def test_a_bad_traceparent_is_refused(traceparent: str) -> None:
    with pytest.raises(BadInputError, match="W3C traceparent"):
        parse_traceparent(traceparent)
