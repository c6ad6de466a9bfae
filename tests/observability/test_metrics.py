"""Figures arrive at a real OTLP/HTTP receiver, put together and bounded."""

import re
from collections.abc import Iterator
from uuid import uuid4

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, NumberDataPoint

from factory.domain.errors import ErrorCategory
from factory.domain.task import Outcome, StageSpan, Task, TaskError
from factory.observability import figures
from factory.observability.figures import FIGURES
from factory.observability.metrics import Metrics, OtlpSink, start_metrics
from factory.settings import Settings
from tests.docs.metrics_table import PAGE, metrics_page
from tests.observability.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    collector = Receiver()
    yield collector
    collector.close()


def labels_of(point: NumberDataPoint | HistogramDataPoint) -> dict[str, str]:
    return {item.key: item.value.string_value for item in point.attributes}


def number_of(point: NumberDataPoint) -> float:
    return point.as_int or point.as_double


def task(attempt: int = 1) -> Task:
    return Task(
        id=uuid4(),
        project=None,
        step="backlog",
        agent="product-owner",
        goal="backlog",
        attempt=attempt,
        cause_id=uuid4(),
        correlation_id=uuid4(),
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )


def test_attempts_arrive_with_their_ends_and_models(receiver: Receiver) -> None:
    used = {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.request.model": "small",
        "gen_ai.provider.name": "openai",
        "gen_ai.usage.input_tokens": 42,
    }
    error = TaskError(message="away", category=ErrorCategory.DEPENDENCY, retryable=True, error_type="X")
    good = Outcome(
        task_id=uuid4(), agent="product-owner", spans=(StageSpan("embeddings small", 0, 2_000_000_000, used),)
    )
    bad = Outcome(task_id=uuid4(), agent="product-owner", error=error)
    with start_metrics(Settings(otlp_endpoint=receiver.url), service="supervisor") as metrics:
        metrics.attempt(task(), bad, 0.5)
        metrics.attempt(task(attempt=2), good, 1.5)

    found = receiver.metrics
    ends = {labels_of(point)["factory.result"]: number_of(point) for point in found["factory.attempts"].sum.data_points}
    assert ends == {"done": 1, "failed": 1}
    (failure,) = found["factory.attempt.failures"].sum.data_points
    assert labels_of(failure) == {"factory.agent": "product-owner", "factory.category": "dependency"}
    (retry,) = found["factory.attempt.retries"].sum.data_points
    assert number_of(retry) == 1
    (lasted,) = found["factory.attempt.duration"].histogram.data_points
    assert (lasted.count, lasted.sum) == (2, 2.0)
    assert tuple(lasted.explicit_bounds) == figures.ATTEMPT_DURATION.buckets
    (model,) = found["gen_ai.client.operation.duration"].histogram.data_points
    assert model.sum == 2.0
    (tokens,) = found["gen_ai.client.token.usage"].histogram.data_points
    assert tokens.sum == 42
    assert labels_of(tokens)["gen_ai.token.type"] == "input"


def test_counts_are_exact_and_histograms_sampled_however_many_values_come(receiver: Receiver) -> None:
    with Metrics([OtlpSink(receiver.url, "supervisor")]) as metrics:
        for number in range(10_000):
            metrics.put(figures.EVENTS_HANDLED, 1, "a")
            metrics.put(figures.EVENT_DURATION, number, "a")
            metrics.put(figures.POOL_ACTORS, number, "a")

    (handled,) = receiver.metrics["factory.events.handled"].sum.data_points
    assert number_of(handled) == 10_000
    (actors,) = receiver.metrics["factory.pool.actors"].gauge.data_points
    assert number_of(actors) == 9_999
    (lasted,) = receiver.metrics["factory.event.duration"].histogram.data_points
    assert 0 < lasted.count < 100
    # Drawn from all of them, not from the first: the odds against are below one in ten million.
    assert lasted.max > 1_000


def test_labels_beyond_measure_are_counted_together(receiver: Receiver) -> None:
    with Metrics([OtlpSink(receiver.url, "supervisor")]) as metrics:
        for number in range(1_500):
            metrics.put(figures.EVENTS_HANDLED, 1, f"subscription-{number}")

    points = {
        labels_of(point)["factory.subscription"]: number_of(point)
        for point in receiver.metrics["factory.events.handled"].sum.data_points
    }
    assert len(points) == 1_001
    assert points["other"] == 500


def test_a_collector_that_is_away_costs_figures_and_nothing_else() -> None:
    with Metrics([OtlpSink("http://127.0.0.1:1", "supervisor")]) as metrics:
        metrics.put(figures.EVENTS_HANDLED, 1, "a")
        metrics.flush()


def test_a_figure_takes_the_labels_that_it_names(receiver: Receiver) -> None:
    metrics = Metrics([OtlpSink(receiver.url, "supervisor")])
    with pytest.raises(ValueError, match="shorter"):
        metrics.put(figures.ATTEMPTS, 1, "agent-alone")
    metrics.close()


def test_names_are_those_of_prometheus_and_documented() -> None:
    assert len({figure.scraped for figure in FIGURES}) == len(FIGURES)
    assert all(re.fullmatch(r"[a-z_]+", figure.scraped) for figure in FIGURES)
    assert figures.EVENT_DURATION.scraped == "ray_factory_event_duration_seconds"
    assert figures.ATTEMPTS.scraped == "ray_factory_attempts_total"
    assert figures.BACKLOG_OLDEST.scraped == "factory_backlog_oldest_seconds"
    assert PAGE.read_text(encoding="utf-8") == metrics_page(), "run `python -m tests.docs.metrics_table`"
