"""Measures the figures of `figures`, and hands them to Ray's metrics endpoint and to an OpenTelemetry collector.

Taking one value costs either of them more than ten microseconds, which a supervisor with thousands of tasks a second
cannot spend on each. So values are put together here and handed over by `flush`: counts in one sum, the latest of a
gauge, and of a histogram a random sample of those that came since. How many there were is always a counter of its own.
"""

import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol, Self

import ray
import structlog
from ray.util import metrics as ray_metrics

import factory
from factory.domain.task import Outcome, StageSpan, Task
from factory.observability import figures
from factory.observability.figures import FIGURES, Figure, Kind, Source
from factory.observability.switch import is_disabled
from factory.settings import Settings

_log = structlog.stdlib.get_logger(__name__)
_EXPORT_EVERY_MS = 10_000
_EXPORT_TIMEOUT_S = 5.0
_MEASURED = tuple(figure for figure in FIGURES if figure.source is Source.SUPERVISOR)
# More combinations of labels than any deployment has agents; beyond, they are counted together.
_MOST_SERIES = 1_000
_OTHER = "other"
_SAMPLE = 20
_OPERATION = "gen_ai.operation.name"
_TOKEN_TYPES = {"gen_ai.usage.input_tokens": "input", "gen_ai.usage.output_tokens": "output"}


_Put = Callable[[float, dict[str, str]], object]


class Sink(Protocol):
    """Where values go."""

    def put(self, figure: Figure, value: float, labels: Mapping[str, str]) -> None:
        """Take one value: what a counter grows by, what a gauge is, what a histogram observes."""
        ...

    def close(self) -> None:
        """Send what is left."""
        ...


@dataclass(slots=True)
class _Series:
    """One combination of labels, and what came since the last flush."""

    figure: Figure
    labels: Mapping[str, str]
    values: list[float] = field(default_factory=list)
    seen: int = 0


class Metrics:
    """The figures of one process. A sink that fails costs values, never work.

    Args:
        sinks: Where values go; without any, measuring costs next to nothing.
    """

    def __init__(self, sinks: Sequence[Sink] = ()) -> None:
        self._sinks = tuple(sinks)
        self._series: dict[str, dict[tuple[str, ...], _Series]] = {figure.name: {} for figure in _MEASURED}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, figure: Figure, value: float, *labels: str) -> None:
        """Record one value, for the next `flush`.

        Args:
            figure: One of `FIGURES`.
            value: What a counter grows by, what a gauge is, or what a histogram observes, in the figure's unit.
            labels: In the order in which the figure names them.
        """
        if not self._sinks:
            return
        series = self._series[figure.name].get(labels) or self._new_series(figure, labels)
        series.seen += 1
        if figure.kind is Kind.COUNTER and series.values:
            series.values[0] += value
        elif figure.kind is Kind.GAUGE:
            series.values = [value]
        elif len(series.values) < _SAMPLE:
            series.values.append(value)
        elif (place := int(random.random() * series.seen)) < _SAMPLE:  # noqa: S311 - a sample guards nothing
            series.values[place] = value  # Vitter's algorithm R

    def flush(self) -> None:
        """Hand over what was put since the last time."""
        for series in chain.from_iterable(known.values() for known in self._series.values()):
            values, series.values, series.seen = series.values, [], 0
            for value in values:
                self._hand_over(series, value)

    def attempt(self, task: Task, outcome: Outcome, seconds: float) -> None:
        """Record one attempt at a task, with the models it used."""
        if not self._sinks:
            return
        self.put(figures.ATTEMPTS, 1, task.agent, "failed" if outcome.error else "done")
        self.put(figures.ATTEMPT_DURATION, seconds, task.agent)
        if outcome.error:
            self.put(figures.ATTEMPT_FAILURES, 1, task.agent, outcome.error.category.value)
        if task.attempt > 1:
            self.put(figures.ATTEMPT_RETRIES, 1, task.agent)
        if outcome.verdict and task.subject:
            self.put(figures.VERDICTS, 1, task.subject.kind, "passed" if outcome.verdict.passed else "failed")
        for span in outcome.spans:
            if _OPERATION in span.attributes:
                self._model(span)

    def close(self) -> None:
        """Send what is left. Closing twice does no harm."""
        self.flush()
        for sink in self._sinks:
            with contextlib.suppress(Exception):
                sink.close()
        self._sinks = ()

    def _model(self, span: StageSpan) -> None:
        labels = [str(span.attributes.get(label, "")) for label in figures.MODEL_DURATION.labels]
        self.put(figures.MODEL_DURATION, (span.ended_ns - span.started_ns) / 1e9, *labels)
        for name, token_type in _TOKEN_TYPES.items():
            if name in span.attributes:
                self.put(figures.MODEL_TOKENS, float(span.attributes[name]), *labels, token_type)

    def _new_series(self, figure: Figure, labels: tuple[str, ...]) -> "_Series":
        known = self._series[figure.name]
        if len(known) >= _MOST_SERIES:
            labels = (_OTHER,) * len(labels)
        named = dict(zip(figure.labels, labels, strict=True))
        return known.setdefault(labels, _Series(figure, named))

    def _hand_over(self, series: "_Series", value: float) -> None:
        for sink in self._sinks:
            try:
                sink.put(series.figure, value, series.labels)
            except Exception as error:  # noqa: BLE001 - a figure is never worth the work it is about
                _log.debug("figure_lost", figure=series.figure.name, reason=str(error))


class RaySink:
    """Ray's metrics: each node serves those of its processes to Prometheus."""

    def __init__(self) -> None:
        self._puts: dict[str, _Put] = {}
        for figure in _MEASURED:
            keys = tuple(map(_plain, figure.labels))
            # Ray makes the endings of counters itself.
            name = figure.series.removesuffix("_total")
            match figure.kind:
                case Kind.COUNTER:
                    self._puts[figure.name] = ray_metrics.Counter(name, figure.meaning, keys).inc
                case Kind.GAUGE:
                    self._puts[figure.name] = ray_metrics.Gauge(name, figure.meaning, keys).set
                case Kind.HISTOGRAM:
                    self._puts[figure.name] = ray_metrics.Histogram(
                        name, figure.meaning, list(figure.buckets), keys
                    ).observe

    def put(self, figure: Figure, value: float, labels: Mapping[str, str]) -> None:
        """Take one value."""
        self._puts[figure.name](value, {_plain(name): text for name, text in labels.items()})

    def close(self) -> None:
        """Leave it to Ray, which takes values as they come."""


class OtlpSink:
    """An OpenTelemetry collector, told every ten seconds.

    Args:
        endpoint: Base URL (OTLP/HTTP).
        service: Name of the process.
    """

    def __init__(self, endpoint: str, service: str) -> None:
        # An HTTP client and protobuf; a process that exports nothing does without them.
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415

        exporter = OTLPMetricExporter(endpoint=f"{endpoint.rstrip('/')}/v1/metrics", timeout=_EXPORT_TIMEOUT_S)
        self._provider = MeterProvider(
            metric_readers=[PeriodicExportingMetricReader(exporter, export_interval_millis=_EXPORT_EVERY_MS)],
            resource=Resource.create({"service.name": service, "service.version": factory.__version__}),
        )
        meter = self._provider.get_meter("factory", factory.__version__)
        self._puts: dict[str, _Put] = {}
        for figure in _MEASURED:
            about = (figure.name, figure.unit, figure.meaning)
            match figure.kind:
                case Kind.COUNTER:
                    self._puts[figure.name] = meter.create_counter(*about).add
                case Kind.GAUGE:
                    self._puts[figure.name] = meter.create_gauge(*about).set
                case Kind.HISTOGRAM:
                    self._puts[figure.name] = meter.create_histogram(
                        *about, explicit_bucket_boundaries_advisory=figure.buckets
                    ).record

    def put(self, figure: Figure, value: float, labels: Mapping[str, str]) -> None:
        """Take one value."""
        attributes = {name if "." in name else f"factory.{name}": text for name, text in labels.items()}
        self._puts[figure.name](value, attributes)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def start_metrics(settings: Settings, *, service: str) -> Metrics:
    """Measure in this process: for Ray where it runs, and for the collector of `settings.otlp_endpoint`.

    Nothing is measured where `OTEL_SDK_DISABLED` is `true`.

    Args:
        settings: Where to export to.
        service: Name of the process, such as `supervisor`.
    """
    sinks: list[Sink] = []
    if is_disabled():
        return Metrics()
    if ray.is_initialized():
        sinks.append(RaySink())
    if settings.otlp_endpoint:
        sinks.append(OtlpSink(settings.otlp_endpoint, service))
    return Metrics(sinks)


def _plain(label: str) -> str:
    return label.replace(".", "_")
