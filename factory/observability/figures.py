"""Every figure that the factory measures (R37): its name, unit, labels and meaning, said once.

Names are those of OpenTelemetry; Prometheus knows them as its specification translates them
(https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/). What the supervisors measure
reaches Prometheus through Ray, which puts `ray_` before a name; what is counted in PostgreSQL comes from the gateway.
API latency and throughput are Ray Serve's own series, and processors and memory Ray's.

Under load histograms hold a sample of what was observed; how many there were is a counter beside them, which rates are
to be taken of.

Labels take few values: agents, subscriptions and kinds are those that were deployed. Projects and tenants are no
labels; what they cost is in `factory usage`.
"""

from dataclasses import dataclass
from enum import StrEnum

_UNITS = {"s": "seconds", "By": "bytes"}
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SLOW = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
_TOKENS = (1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576)


class Kind(StrEnum):
    """How the values of a figure are put together."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    """Where a figure is measured."""

    SUPERVISOR = "supervisor"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        name: As OpenTelemetry writes it.
        unit: UCUM, or what is counted in braces.
        labels: Each as Prometheus writes it; OpenTelemetry puts `factory.` before those that have no dot.
        buckets: Upper bounds of a histogram, in its unit.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    source: Source = Source.SUPERVISOR
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> str:
        """Its name in Prometheus, with the unit; a counter's `_total` included."""
        parts = [self.name.replace(".", "_")]
        if self.unit in _UNITS:
            parts.append(_UNITS[self.unit])
        if self.kind is Kind.COUNTER:
            parts.append("total")
        return "_".join(parts)

    @property
    def scraped(self) -> str:
        """The name that a Prometheus of the cluster sees."""
        return f"ray_{self.series}" if self.source is Source.SUPERVISOR else self.series


ATTEMPTS = Figure(
    "factory.attempts", Kind.COUNTER, "{attempt}", "Attempts at tasks, by how they ended.", ("agent", "result")
)
ATTEMPT_DURATION = Figure(
    "factory.attempt.duration",
    Kind.HISTOGRAM,
    "s",
    "Time from handing a task to an actor to its answer.",
    ("agent",),
    buckets=_SLOW,
)
ATTEMPT_FAILURES = Figure(
    "factory.attempt.failures",
    Kind.COUNTER,
    "{attempt}",
    "Attempts that ended with an error, by its category.",
    ("agent", "category"),
)
ATTEMPT_RETRIES = Figure(
    "factory.attempt.retries", Kind.COUNTER, "{attempt}", "Attempts that were not a task's first.", ("agent",)
)
EVENTS_HANDLED = Figure(
    "factory.events.handled",
    Kind.COUNTER,
    "{event}",
    "Events of which a subscription has committed what it made, well or badly.",
    ("subscription",),
)
EVENT_DURATION = Figure(
    "factory.event.duration",
    Kind.HISTOGRAM,
    "s",
    "Time from an event's publication to the commit of what a subscription made of it.",
    ("subscription",),
    buckets=_SLOW,
)
VERDICTS = Figure(
    "factory.verdicts",
    Kind.COUNTER,
    "{verdict}",
    "Artifacts that were validated, by kind and whether they passed.",
    ("kind", "result"),
)
COMMIT_DURATION = Figure(
    "factory.commit.duration",
    Kind.HISTOGRAM,
    "s",
    "Time of the transaction that commits a group of outcomes, with its repetitions.",
    buckets=_FAST,
)
POOL_ACTORS = Figure("factory.pool.actors", Kind.GAUGE, "{actor}", "Actors that live.", ("agent",))
POOL_BUSY = Figure("factory.pool.busy", Kind.GAUGE, "{actor}", "Actors that work.", ("agent",))
# https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
MODEL_DURATION = Figure(
    "gen_ai.client.operation.duration",
    Kind.HISTOGRAM,
    "s",
    "Time of one use of a model.",
    ("gen_ai.operation.name", "gen_ai.request.model", "gen_ai.provider.name"),
    buckets=_SLOW,
)
MODEL_TOKENS = Figure(
    "gen_ai.client.token.usage",
    Kind.HISTOGRAM,
    "{token}",
    "Tokens that one use of a model read or wrote.",
    ("gen_ai.operation.name", "gen_ai.request.model", "gen_ai.provider.name", "gen_ai.token.type"),
    buckets=_TOKENS,
)

BACKLOG_READY = Figure(
    "factory.backlog.ready",
    Kind.GAUGE,
    "{delivery}",
    "Deliveries that can be claimed now, counted up to 1000.",
    ("subscription",),
    Source.DATABASE,
)
BACKLOG_IN_FLIGHT = Figure(
    "factory.backlog.in_flight",
    Kind.GAUGE,
    "{delivery}",
    "Deliveries that are being worked on, counted up to 1000.",
    ("subscription",),
    Source.DATABASE,
)
BACKLOG_OLDEST = Figure(
    "factory.backlog.oldest",
    Kind.GAUGE,
    "s",
    "Age of the oldest delivery that can be claimed.",
    ("subscription",),
    Source.DATABASE,
)
DEAD_LETTERS = Figure(
    "factory.dead_letters.open",
    Kind.GAUGE,
    "{letter}",
    "Dead letters that nobody has resolved.",
    ("subscription",),
    Source.DATABASE,
)
TASKS = Figure(
    "factory.tasks", Kind.GAUGE, "{task}", "Tasks that are not finished.", ("agent", "status"), Source.DATABASE
)
PROJECTS = Figure("factory.projects", Kind.GAUGE, "{project}", "Projects by state.", ("status",), Source.DATABASE)
AUDIT_ENTRIES = Figure(
    "factory.audit.entries", Kind.GAUGE, "{entry}", "Entries of the audit trail.", source=Source.DATABASE
)
MEMORY_CHUNKS = Figure(
    "factory.memory.chunks",
    Kind.GAUGE,
    "{chunk}",
    "Chunks in the live segments of a collection, dead ones that await compaction included.",
    ("collection",),
    Source.DATABASE,
)
MEMORY_SEGMENTS = Figure(
    "factory.memory.segments",
    Kind.GAUGE,
    "{segment}",
    "Live segments of a collection.",
    ("collection",),
    Source.DATABASE,
)
MEMORY_BYTES = Figure(
    "factory.memory.size",
    Kind.GAUGE,
    "By",
    "Bytes of the live segments of a collection.",
    ("collection",),
    Source.DATABASE,
)
INCIDENTS = Figure(
    "factory.incidents.open",
    Kind.GAUGE,
    "{incident}",
    "Incidents that the Observability Coordinator has raised and not closed.",
    ("rule", "severity"),
    Source.DATABASE,
)

FIGURES = (
    ATTEMPTS,
    ATTEMPT_DURATION,
    ATTEMPT_FAILURES,
    ATTEMPT_RETRIES,
    EVENTS_HANDLED,
    EVENT_DURATION,
    VERDICTS,
    COMMIT_DURATION,
    POOL_ACTORS,
    POOL_BUSY,
    MODEL_DURATION,
    MODEL_TOKENS,
    BACKLOG_READY,
    BACKLOG_IN_FLIGHT,
    BACKLOG_OLDEST,
    DEAD_LETTERS,
    TASKS,
    PROJECTS,
    AUDIT_ENTRIES,
    MEMORY_CHUNKS,
    MEMORY_SEGMENTS,
    MEMORY_BYTES,
    INCIDENTS,
)
