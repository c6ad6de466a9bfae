"""How the service meets the qualities the vision asks for; where it does not, that is what stands there."""

from dataclasses import dataclass

from factory.domain.product import NonFunctional
from factory.skills.native.architecture.facts import Facts
from factory.skills.native.rendering.english import listing

_MEANS = {
    "performance": "Lists come in pages, and references are indexed. Nothing is cached.",
    "availability": (
        "Several replicas behind one service, spread over nodes, with readiness and liveness probes and a disruption "
        "budget. The database is a single point: its own availability bounds the product's."
    ),
    "scalability": (
        "The API keeps no state between requests; the autoscaler adds replicas by CPU. The database scales up only."
    ),
    "security": (
        "Every operation asks for a token with a permitted role; the container runs without root, without "
        "capabilities and on a read-only file system; a network policy limits who talks to whom."
    ),
    "operations": (
        "Health endpoints, one JSON log line per request with a request id, migrations, and settings by environment."
    ),
    "usability": "This is a service without a user interface: whoever builds one has to meet this.",
    "compliance": "The service gives no proof of it by itself; the decisions and tests are the material for one.",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A quality, what in the service serves it, and how to find out whether it is met."""

    quality: NonFunctional
    means: str
    proof: str


def answers(facts: Facts) -> tuple[Answer, ...]:
    """Return an answer for each quality of the model."""
    return tuple(Answer(quality, _means(facts, quality), _proof(quality)) for quality in facts.model.non_functional)


def _means(facts: Facts, quality: NonFunctional) -> str:
    if quality.category != "privacy":
        return _MEANS[quality.category]
    fields = listing([f"{entity}.{name}" for entity, names in facts.personal for name in names])
    kept = f"Personal data is marked in the model ({fields})" if fields else "No field is marked as personal data"
    return f"{kept}; request logs hold no bodies."


def _proof(quality: NonFunctional) -> str:
    if quality.measure:
        how = {
            "performance": "a load test against staging",
            "scalability": "a load test against staging",
            "availability": "monitoring over the agreed period",
        }.get(quality.category, "an acceptance test before the release")
        return f"{quality.measure}, shown by {how}"
    return "not measurable yet: no figure is stated"
