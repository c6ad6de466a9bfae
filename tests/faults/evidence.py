"""What a run left outside PostgreSQL: the clients' logs, the workers' records, what the readers of the log saw."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.faults import records


@dataclass(frozen=True, slots=True)
class Publication:
    """An event as its client knows it.

    Attributes:
        outcome: `ack`, `failed` (known not to have happened) or `unknown`.
        available_at: Nobody may receive it before, in seconds since the epoch.
        time_to_live: Seconds after which nobody may begin it any more, counted from when it became available.
        asked_at: When it was written down, before it was published.
        acknowledged_at: When the client learned that it was published.
    """

    event_id: UUID
    project_id: UUID
    outcome: str
    available_at: float | None
    time_to_live: float | None
    asked_at: float
    acknowledged_at: float | None


@dataclass(frozen=True, slots=True)
class Claim:
    """One delivery that a worker took.

    Attributes:
        taken_at: When the database gave it out, by its own clock.
    """

    taken_at: float
    worker: str
    uid: int
    fence: int
    subscription: str
    event_id: UUID
    attempt: int
    project_id: UUID


@dataclass
class Evidence:
    """Everything that is held against the database."""

    publications: list[Publication] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    # (uid, fence) of a retried attempt, and the time before which the next may not start.
    due: dict[tuple[int, int], float] = field(default_factory=dict)
    refused: set[tuple[int, int]] = field(default_factory=set)
    # By reader: the places and events in the order in which it saw them.
    seen: dict[str, list[tuple[str, UUID]]] = field(default_factory=dict)
    # Claims that returned more than was asked for, and samples of owners that held more than they may.
    excesses: list[Mapping[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)


def gather(folder: Path) -> Evidence:
    """Read what the processes of a run wrote into its folder."""
    evidence = Evidence()
    for path in sorted(folder.glob("*.client")):
        _read_client(path, evidence)
    for path in sorted(folder.glob("*.worker")):
        _read_worker(path, evidence)
    for path in sorted(folder.glob("*.reader")):
        evidence.seen[path.stem] = [
            (place, UUID(event)) for line in records.read(path) for place, event in line["seen"]
        ]
    evidence.claims.sort(key=lambda claim: claim.taken_at)
    evidence.excesses += records.read(folder / "samples")
    return evidence


def _read_client(path: Path, evidence: Evidence) -> None:
    intents: dict[int, dict[str, Any]] = {}
    told: dict[int, list[str]] = defaultdict(list)
    acknowledged: dict[int, float] = {}
    for line in records.read(path):
        match line["kind"]:
            case "intent":
                intents[line["batch"]] = line
            case "duplicate":
                evidence.counts["events published again"] += line["events"]
            case kind:
                told[line["batch"]].append(kind)
                evidence.counts[f"publications {kind}"] += 1
                if kind == "ack":
                    acknowledged[line["batch"]] = line["at"]
    for number, intent in intents.items():
        evidence.publications += [
            Publication(
                UUID(event),
                UUID(project),
                _outcome(told[number]),
                intent["available_at"],
                intent["time_to_live"],
                intent["at"],
                acknowledged.get(number),
            )
            for event, project in intent["events"]
        ]


def _outcome(told: list[str]) -> str:
    """Return what a client knows in the end; killed while it tried, it knows nothing."""
    if "ack" in told:
        return "ack"
    return "failed" if told[-1:] == ["given up"] and "unknown" not in told else "unknown"


def _read_worker(path: Path, evidence: Evidence) -> None:
    for line in records.read(path):
        match line["kind"]:
            case "claimed":
                taken = [
                    Claim(taken_at, path.stem, uid, fence, subscription, UUID(event), attempt, UUID(project))
                    for uid, fence, subscription, event, attempt, project, taken_at in line["taken"]
                ]
                evidence.claims += taken
                got = Counter(claim.subscription for claim in taken)
                evidence.excesses += [
                    {"worker": path.stem, "subscription": name, "asked": line["asked"].get(name, 0), "taken": count}
                    for name, count in got.items()
                    if count > line["asked"].get(name, 0)
                ]
            case "retried":
                evidence.due.update({(uid, fence): at for uid, fence, at in line["due"]})
            case "refused":
                evidence.refused.update((uid, fence) for uid, fence in line["stale"])
            case "error":
                evidence.errors[f"{line['step']}: {line['error'][:300]}"] += 1
            case "cuts":
                evidence.counts["commits cut by workers that ended well"] += line["count"]
            case kind:
                evidence.counts[f"{kind} (workers)"] += 1
