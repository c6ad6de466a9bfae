"""Escalations, routes and figures through the command line."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from factory.cli.usage import since_time
from factory.control import escalations, incidents
from factory.control.submission import first_event
from factory.domain.errors import BadInputError, ErrorCategory
from factory.domain.ids import new_id
from factory.domain.recovery import Criticality, Letter, RecoveryAction, Severity
from factory.domain.telemetry import Figure
from factory.events.bus import EventBus
from factory.events.contracts.observability import IncidentClosed, IncidentRaised
from factory.events.topics import Topic
from factory.recovery.escalation import Rule
from factory.recovery.questions import ask_about_letter
from factory.storage.database import Database
from tests.cli.conftest import Ended, Seeded

Factory = Callable[..., Ended]
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def asked(seeded: Seeded) -> UUID:
    """Raise an escalation about the clinic and return its id."""

    async def ask() -> UUID:
        letter = Letter(
            uid=int(new_id().int % 1_000_000_000),
            fence=1,
            subscription="product-owner",
            event_id=new_id(),
            event_type="TaskAssigned",
            agent="product-owner",
            step="backlog",
            goal="backlog",
            category=ErrorCategory.DEFECT,
            error_type="KeyError",
            reason="no such page",
            attempts=6,
            severity=Severity.CRITICAL,
            criticality=Criticality.CRITICAL,
        )
        raised = ask_about_letter(letter, Rule(name="mine", action=RecoveryAction.ASK), seeded.clinic)
        async with await Database.open(seeded.settings) as database, database.transaction() as connection:
            cause = await first_event(connection, seeded.clinic)
            event = cause.caused(raised, topic=Topic.SYSTEM, originating_agent="escalation-router")
            await EventBus(database).publish(connection, [event])
            recorded = await escalations.record(connection, event)
        assert recorded is not None
        return recorded[0]

    return asyncio.run(ask())


def test_open_escalations_are_listed_and_shown(factory: Factory, seeded: Seeded, asked: UUID) -> None:
    listed = factory("escalation", "list", "--state", "open", "--project", str(seeded.clinic.id), "--json").json
    (mine,) = [item for item in listed if item["id"] == str(asked)]
    assert (mine["agent"], mine["severity"], mine["state"]) == ("product-owner", "critical", "open")
    assert mine["options"] == ["approve", "reject", "retry"]
    assert str(asked)[:8] in factory("escalation", "list").out
    shown = factory("escalation", "show", str(asked)[:12])
    assert "after 6 attempts (defect): no such page" in shown.out
    assert "Approve: the project fails" in shown.out
    assert factory("escalation", "show", str(asked), "--json").json["project_id"] == str(seeded.clinic.id)
    assert factory("escalation", "list", "--project", str(seeded.library.id), "--json").json == []


def test_a_project_tells_that_it_waits_for_a_person(factory: Factory, seeded: Seeded, asked: UUID) -> None:
    shown = factory("project", "show", str(seeded.clinic.id), "--json").json
    assert str(asked) in {question["escalation_id"] for question in shown["waits_for"]}
    assert f"factory escalation show {str(asked)[:8]}" in factory("project", "show", str(seeded.clinic.id)).out


@pytest.mark.parametrize(("answer", "state"), [("approve", "approved"), ("reject", "rejected"), ("retry", "retried")])
def test_an_answer_is_recorded_with_its_event_and_only_once(
    factory: Factory, asked: UUID, answer: str, state: str
) -> None:
    decided = factory("escalation", answer, str(asked), "--note", "looked into it", "--by", "ada", "--json")
    assert decided.code == 0, decided.err
    assert (decided.json["state"], decided.json["decided_by"], decided.json["note"]) == (state, "ada", "looked into it")
    events = [event for event in factory("event", "tail", "--json").json if event["event_type"] == "EscalationDecided"]
    assert [event["payload"]["state"] for event in events if event["payload"]["escalation_id"] == str(asked)] == [state]
    again = factory("escalation", answer, str(asked), "--note", "once more")
    assert again.code == 1
    assert f"was {state} by ada" in again.err
    assert "Decided" in factory("escalation", "show", str(asked)).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "ffffffff-ffff-5fff-8fff-ffffffffffff"), "there is no escalation"),
        (("retry", "ffffffff-ffff-5fff-8fff-ffffffffffff", "--note", "x"), "there is no escalation"),
        (("approve", "xyz", "--note", "x"), "not the id of any escalation"),
        (("list", "--state", "sleeping"), "retried"),
        (("list", "--project", "ffffffff-ffff-7fff-8fff-ffffffffffff"), "there is no project"),
        (("retry", "ffffffff"), "--note"),
    ],
)
def test_bad_input_is_told_as_such(factory: Factory, arguments: tuple[str, ...], said: str) -> None:
    ended = factory("escalation", *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert ended.out == ""


def test_an_empty_note_decides_nothing(factory: Factory, asked: UUID) -> None:
    ended = factory("escalation", "retry", str(asked), "--note", " ")
    assert ended.code == 2
    assert factory("escalation", "show", str(asked), "--json").json["state"] == "open"


def test_a_dry_run_tells_who_would_get_an_event_and_why(factory: Factory) -> None:
    payload = json.dumps({"vision": "# Library"})
    found = factory("event", "route", "vision.submitted", "--payload", payload, "--json")
    assert (found.code, found.json["rule"]) == (0, "vision-submitted")
    assert found.json["target"]["workflow"]["vision"] == "{vision}"
    text = factory("event", "route", "vision.submitted", "--payload", payload).out
    assert text == "workflow of the vision (rule vision-submitted)\n"
    nobody = factory("event", "route", "weather.changed")
    assert nobody.code == 1
    assert nobody.out.splitlines() == [
        "nobody: no rule matches it",
        "  not vision-submitted: its kind is 'weather.changed', not vision.submitted",
    ]


@pytest.mark.parametrize("payload", ["{", "[1]", "7"])
def test_a_payload_that_is_no_object_is_refused(factory: Factory, payload: str) -> None:
    ended = factory("event", "route", "vision.submitted", "--payload", payload)
    assert ended.code == 2
    assert "payload" in ended.err


@pytest.mark.parametrize(("by", "key"), [("agent", "agent"), ("project", "project"), ("event-type", "event_type")])
def test_figures_are_printed_by_agent_project_and_event_type(
    factory: Factory, seeded: Seeded, by: str, key: str
) -> None:
    found = factory("usage", "--by", by, "--project", str(seeded.clinic.id), "--json").json
    names = {"agent": "project-manager", "project": str(seeded.clinic.id), "event-type": "ProjectCreated"}
    row = next(item for item in found if item[key] == names[by])
    assert row["events"] >= 1
    assert set(row) == {
        key, "events", "deliveries", "attempts", "retries", "dead_letters", "redrives", "seconds"
    }  # fmt: skip
    assert names[by] in factory("usage", "--by", by).out


def test_nothing_happened_since_a_time_to_come(factory: Factory) -> None:
    assert factory("usage", "--since", "2999-01-01", "--json").json == []


@pytest.mark.parametrize(
    "arguments", [("--by", "moon"), ("--since", "soon"), ("--since", "9"), ("--since", "999999w"), ("--project", "x")]
)
def test_figures_of_nonsense_are_refused(factory: Factory, arguments: tuple[str, str]) -> None:
    assert factory("usage", *arguments).code == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-04-01", datetime(2026, 4, 1, tzinfo=UTC)),
        ("2026-04-01T10:00:00+02:00", datetime(2026, 4, 1, 8, tzinfo=UTC)),
    ],
)
def test_a_time_to_count_from_is_a_span_or_a_date(text: str, expected: datetime) -> None:
    assert since_time(text, NOW) == expected


def test_a_span_that_leads_out_of_the_calendar_is_refused() -> None:
    with pytest.raises(BadInputError):
        since_time("999999w", NOW)


def test_incidents_are_listed_until_they_are_over(factory: Factory, seeded: Seeded) -> None:
    raised = IncidentRaised(
        rule="backlog-grows",
        subject="product-owner",
        severity=Severity.WARNING,
        figure=Figure.READY,
        value=900,
        limit=500,
        summary="900 wait",
        notify=[],
        channel="log",
    )

    async def handle(payload: IncidentRaised | IncidentClosed) -> None:
        async with await Database.open(seeded.settings) as database, database.transaction() as connection:
            cause = await first_event(connection, seeded.clinic)
            event = cause.caused(payload, topic=Topic.SYSTEM, originating_agent="observability-coordinator")
            await incidents.handle(connection, EventBus(database), event)

    assert "no open incidents" in factory("incident", "list").err
    asyncio.run(handle(raised))
    (shown,) = json.loads(factory("incident", "list", "--json").out)
    assert (shown["rule"], shown["value"], shown["closed_at"]) == ("backlog-grows", 900, None)
    assert "product-owner" in factory("incident", "list").out
    asyncio.run(handle(IncidentClosed(incident_id=UUID(shown["id"]), rule=raised.rule, subject=raised.subject)))
    assert json.loads(factory("incident", "list", "--json").out) == []
    (over,) = json.loads(factory("incident", "list", "--all", "--json").out)
    assert over["closed_at"] is not None
