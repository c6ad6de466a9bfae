"""Traces arrive at a real OTLP/HTTP receiver as one tree per project."""

import base64
import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.trace import SpanKind

from factory.domain.errors import BadInputError, ErrorCategory
from factory.domain.ids import derived_id, new_trace_id
from factory.domain.project import Project, ProjectStatus
from factory.domain.task import Outcome, StageSpan, Task, TaskError
from factory.observability.sampling import Sampler
from factory.observability.traceparents import (
    parse_traceparent,
    project_traceparent,
    root_traceparent,
    task_traceparent,
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
        commit = tracing.record(task_traceparent(first), "commit", started_ns=1, ended_ns=2, links=[root])
    with start_tracing(configured, service="gateway") as tracing:
        tracing.record(commit, "notify", started_ns=3, ended_ns=4)
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

    for name in ("backlog-agent backlog", "project clinic"):
        assert receiver.named(name).status.code == Status.STATUS_CODE_ERROR
    assert receiver.named("backlog-agent backlog").status.message == "no story was found"


def as_protobuf(line: dict[str, Any]) -> ExportTraceServiceRequest:
    """Read OTLP JSON, which unlike protobuf's own JSON has ids in hexadecimal."""
    plain = copy.deepcopy(line)
    for holder in [
        holder
        for part in plain["resourceSpans"]
        for scope in part["scopeSpans"]
        for span in scope["spans"]
        for holder in (span, *span.get("links", ()))
    ]:
        for name in holder.keys() & {"traceId", "spanId", "parentSpanId"}:
            holder[name] = base64.b64encode(bytes.fromhex(holder[name])).decode()
    return ParseDict(plain, ExportTraceServiceRequest())


def test_the_trace_file_holds_otlp_json(tmp_path: Path) -> None:
    path = tmp_path / "traces" / "spans.jsonl"
    root = project_traceparent(project())
    for service in ("supervisor", "gateway"):
        with start_tracing(settings(tmp_path, trace_file=path), service=service) as tracing:
            tracing.record(
                root,
                f"{service} work",
                started_ns=STARTED_NS,
                ended_ns=STARTED_NS + 5,
                links=[root],
                attributes={"text": "a", "count": 2, "share": 0.5, "passed": True},
                kind=SpanKind.SERVER,
                error="it broke",
            )

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    requests = [as_protobuf(line) for line in lines]
    told = [request.resource_spans[0].resource.attributes for request in requests]
    assert [{item.key: item.value.string_value for item in facts}["service.name"] for facts in told] == [
        "supervisor",
        "gateway",
    ]
    (span,) = requests[0].resource_spans[0].scope_spans[0].spans
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (STARTED_NS, STARTED_NS + 5)
    assert (span.kind, span.status.code, span.status.message) == (Span.SPAN_KIND_SERVER, 2, "it broke")
    facts = {item.key: item.value for item in span.attributes}
    assert (facts["text"].string_value, facts["count"].int_value) == ("a", 2)
    assert (facts["share"].double_value, facts["passed"].bool_value) == (0.5, True)
    spans = [line["resourceSpans"][0]["scopeSpans"][0]["spans"][0] for line in lines]
    assert [span["name"] for span in spans] == ["supervisor work", "gateway work"]
    for span in spans:
        assert span["traceId"] == project().trace_id
        assert span["parentSpanId"] == span["links"][0]["spanId"] == root.split("-")[2]


def test_without_an_exporter_spans_still_carry_the_trace(tmp_path: Path) -> None:
    with start_tracing(settings(tmp_path), service="cli") as tracing:
        carried = tracing.record(project_traceparent(project()), "build", started_ns=1, ended_ns=2)
        recorded = tracing.record(carried, "step", started_ns=1, ended_ns=2)

    assert carried.split("-")[1] == recorded.split("-")[1] == project().trace_id
    assert carried.split("-")[2] != recorded.split("-")[2]
    assert list(tmp_path.iterdir()) == []


def test_a_collector_that_is_away_costs_spans_and_never_work(receiver: Receiver, tmp_path: Path) -> None:
    url = receiver.url
    receiver.close()
    with start_tracing(settings(tmp_path, otlp_endpoint=url), service="cli") as tracing:
        carried = tracing.record(project_traceparent(project()), "build", started_ns=1, ended_ns=2)
    assert parse_traceparent(carried).is_valid


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def asked(sampler: Sampler, clock: Clock, traces: list[str], *, times: int, seconds: float) -> list[set[str]]:
    """Ask for every trace in turn, so many times in so many seconds; return which were kept each time."""
    kept: list[set[str]] = []
    for _ in range(times):
        clock.now += seconds / times
        kept.append({trace for trace in traces if sampler.keeps(trace)})
    return kept


def test_a_share_of_the_traces_is_kept_and_everywhere_the_same() -> None:
    traces = [root_traceparent(new_trace_id()) for _ in range(2_000)]
    here, there = (asked(Sampler(0.25, 10_000), Clock(), traces, times=1, seconds=1)[0] for _ in range(2))
    assert here == there
    assert 400 <= len(here) <= 600
    assert not asked(Sampler(0, 10_000), Clock(), traces, times=1, seconds=1)[0]


def test_a_trace_that_the_client_does_not_want_is_not_kept() -> None:
    sampled = root_traceparent(new_trace_id())
    assert Sampler(1, 10).keeps(sampled)
    assert not Sampler(1, 10).keeps(f"{sampled[:-2]}00")


def test_under_load_fewer_traces_are_kept_whole_and_all_again_when_it_is_over() -> None:
    clock = Clock()
    sampler = Sampler(1, 500, clock=clock)
    traces = [root_traceparent(new_trace_id()) for _ in range(500)]
    assert asked(sampler, clock, traces, times=2, seconds=4)[-1] == set(traces)

    flood = asked(sampler, clock, traces, times=80, seconds=8)
    settled = flood[20:]
    assert 20 <= len(settled[-1]) <= 100
    steady = set.intersection(*settled)
    assert len(steady) >= 0.8 * len(settled[-1])
    # About what may be recorded, from the first second on.
    for second in range(1, 8):
        assert sum(map(len, flood[10 * second : 10 * second + 10])) <= 2 * 500

    assert asked(sampler, clock, traces, times=4, seconds=8)[-1] == set(traces)


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
