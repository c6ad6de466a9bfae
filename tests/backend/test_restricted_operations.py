"""Operations that not every record allows: refused by the service, said in the documents, and noticed when dropped."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import JsonValue

from factory.domain.product import Condition, DomainModel
from factory.sandbox import EnvironmentCache
from factory.skills.native.service_design.design import design_service
from factory.skills.native.service_design.wording import guard_sentence
from tests.backend.conftest import Service, generate, write
from tests.backend.models import actor, entity, enum, event, field, model, operation, relation, transition
from tests.documents.conftest import Built

_IN_TIME = {
    "left": "start_time",
    "op": "ge",
    "right_kind": "now",
    "offset_minutes": 1440,
}
_IF = "This is only possible if"
_WORDS = "Patients pay once only"


def practice() -> DomainModel:
    """Changes, an update and a deletion that depend on the state, on the time, and on what is there."""
    return model(
        name="Practice",
        slug="practice",
        summary="Patients book appointments.",
        actors=[actor("receptionist", "Receptionist"), actor("patient", "Patient", "Patient")],
        enums=[enum("Status", "booked", "confirmed", "done", "cancelled")],
        entities=[
            entity("Patient", "patients", field("name"), field("joined_on", "date")),
            entity(
                "Appointment",
                "appointments",
                field("start_time", "datetime"),
                field("end_time", "datetime"),
                field("status", "enum", enum="Status"),
                field("paid_on", "date", required=False),
                field("seats", "integer", constraints={"minimum": 0, "maximum": 9}),
                field("note", required=False),
            ),
        ],
        relations=[relation("Appointment", "patient", "Patient", "appointments")],
        lifecycles=[
            {
                "entity": "Appointment",
                "field": "status",
                "initial": "booked",
                "transitions": [
                    transition("confirm", ("booked",), "confirmed", "AppointmentConfirmed"),
                    transition("complete", ("confirmed",), "done", "AppointmentCompleted"),
                    transition("cancel", ("booked", "confirmed"), "cancelled", "AppointmentCancelled", _IN_TIME),
                ],
                "trace": {"start": 0, "end": 0, "text": "", "rule": "by-hand", "confidence": 1.0},
            }
        ],
        operations=_operations(),
        events=[
            event("AppointmentConfirmed", "Appointment", "confirm_appointment"),
            event("AppointmentCompleted", "Appointment", "complete_appointment"),
            event("AppointmentCancelled", "Appointment", "cancel_appointment"),
            event("AppointmentRescheduled", "Appointment", "reschedule_appointment", "start_time"),
            event("AppointmentPaid", "Appointment", "pay_appointment", "paid_on"),
            event("AppointmentDeleted", "Appointment", "delete_appointment"),
        ],
        policies=[
            {
                "kind": "invariant",
                "name": "ends_after_start",
                "entity": "Appointment",
                "condition": {"left": "end_time", "op": "gt", "right_kind": "field", "right": "start_time"},
                "statement": "An appointment ends after it starts.",
                "trace": {"start": 0, "end": 0, "text": "", "rule": "by-hand", "confidence": 1.0},
            },
            {
                "kind": "unique-together",
                "name": "one_slot",
                "entity": "Appointment",
                "fields": ["start_time"],
                "relations": ["patient"],
                "except_states": ["cancelled"],
                "statement": "A patient has one appointment at a time.",
                "trace": {"start": 0, "end": 0, "text": "", "rule": "by-hand", "confidence": 1.0},
            },
        ],
    )


def _operations() -> list[dict[str, Any]]:
    def on_appointment(kind: str, verb: str, *actors: str, **more: Any) -> dict[str, Any]:
        return operation(kind, verb, "Appointment", f"{verb}_appointment", *actors, **more)

    return [
        on_appointment("create", "book"),
        on_appointment("read", "view", own_only=["patient"]),
        on_appointment(
            "change",
            "reschedule",
            own_only=["patient"],
            fields=["start_time", "end_time"],
            states=["booked", "confirmed"],
            guards=[_IN_TIME],
            event="AppointmentRescheduled",
        ),
        on_appointment(
            "change",
            "pay",
            "receptionist",
            fields=["paid_on"],
            states=["done"],
            guards=[{"left": "paid_on", "op": "is-not-set", "statement": _WORDS}],
            event="AppointmentPaid",
        ),
        on_appointment("change", "archive", "receptionist", states=["cancelled", "done"]),
        on_appointment(
            "update",
            "edit",
            "receptionist",
            fields=["note", "seats"],
            guards=[{"left": "seats", "op": "gt", "right_kind": "literal", "right": 2}],
        ),
        on_appointment(
            "delete",
            "delete",
            "receptionist",
            states=["cancelled"],
            guards=[{"left": "end_time", "op": "lt", "right_kind": "now", "offset_minutes": -4320}],
            event="AppointmentDeleted",
        ),
        *(on_appointment("transition", verb, transition=verb) for verb in ("confirm", "complete", "cancel")),
        operation(
            "delete",
            "remove",
            "Patient",
            "remove_patient",
            guards=[{"left": "joined_on", "op": "le", "right_kind": "today", "offset_minutes": -1440}],
        ),
        operation("list", "list", "Patient", "list_patients"),
    ]


_API = "src/practice/api/appointments.py"
_RULES = "src/practice/domain/appointment.py"
_BROKEN = {
    "forget to check a change": (
        _API,
        "    rules.check_reschedule(row.status, start_time=row.start_time, now=now())\n",
    ),
    "forget to check an update": (_API, "    rules.check_edit(seats=row.seats)\n"),
    "forget to check a deletion": (_API, "    rules.check_delete(row.status, end_time=row.end_time, now=now())\n"),
    "forget to check what sets nothing": (_API, "    rules.check_archive(row.status)\n"),
    "change another entity unchecked": (
        "src/practice/api/patients.py",
        "    rules.check_remove(joined_on=row.joined_on, now=now())\n",
    ),
}
_WEAKENED = {
    "allow one state more": (_RULES, "{Status.DONE, Status.CANCELLED}", "{*Status} - {Status.BOOKED}"),
    "allow one state less": (_RULES, "status not in {Status.DONE, Status.CANCELLED}", "status is not Status.DONE"),
    "drop a guard on time": (_RULES, "if end_time >= now - dt.timedelta(days=3):", "if end_time is None:"),
    "drop a guard on a value": (_RULES, "if seats <= 2:", "if seats is None:"),
    "drop a guard on what is written": (_RULES, "if paid_on is not None:", "if paid_on is Status:"),
    "check after the change": (
        _API,
        """    rules.check_pay(row.status, paid_on=row.paid_on)
    for name, value in body.changes().items():
        setattr(row, name, value)
""",
        """    for name, value in body.changes().items():
        setattr(row, name, value)
    rules.check_pay(row.status, paid_on=row.paid_on)
""",
    ),
}
_MUTATIONS = {name: (path, before, "") for name, (path, before) in _BROKEN.items()} | _WEAKENED


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The generated service of the practice, and an environment that runs it."""
    files = generate(practice())
    root = tmp_path_factory.mktemp("practice")
    write(files, root)
    cache = EnvironmentCache(Path(tempfile.gettempdir()) / "factory-test-environments")
    return Service(root, cache.ensure(files["requirements.txt"]) / "bin" / "python")


def test_the_service_is_clean_and_its_tests_pass(service: Service) -> None:
    for command in (
        ("ruff", "check"),
        ("ruff", "format", "--check"),
        ("mypy", "--no-incremental"),
        ("pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider"),
    ):
        done = service.run(*command)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr


@pytest.mark.parametrize("name", _MUTATIONS)
def test_a_dropped_restriction_is_noticed(service: Service, tmp_path: Path, name: str) -> None:
    path, before, after = _MUTATIONS[name]
    broken = Service(tmp_path / "practice", service.python)
    ignored = shutil.ignore_patterns("__pycache__", ".mypy_cache", ".ruff_cache")
    shutil.copytree(service.root, broken.root, ignore=ignored)
    file = broken.root / path
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1
    file.write_text(text.replace(before, after), encoding="utf-8")
    done = broken.run("pytest", "-q", "-x", "--tb=no", "-p", "no:cacheprovider", "tests/api")
    assert done.returncode == 1, done.stdout[-2000:]


def test_the_specification_says_what_is_demanded() -> None:
    paths = yaml.safe_load(generate(practice())["specs/openapi.yaml"])["paths"]
    reschedule = paths["/appointments/{id}/reschedule"]["post"]
    assert "Only possible while booked or confirmed." in reschedule["description"]
    assert "This is only possible at least 24 hours before the start time." in reschedule["description"]
    assert f"{_WORDS}." in paths["/appointments/{id}/pay"]["post"]["description"]
    for path, method in (
        ("/appointments/{id}/reschedule", "post"),
        ("/appointments/{id}", "patch"),
        ("/appointments/{id}", "delete"),
        ("/patients/{id}", "delete"),
    ):
        assert "409" in paths[path][method]["responses"]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (("start_time", "gt", "now", None, 0), "This is only possible before the start time."),
        (("start_time", "le", "now", None, 0), "This is only possible from the start time."),
        (("start_time", "ge", "now", None, 1440), "This is only possible at least 24 hours before the start time."),
        (("start_time", "gt", "now", None, 4320), "This is only possible more than 3 days before the start time."),
        (("start_time", "le", "now", None, 15), "This is only possible at most 15 minutes before the start time."),
        (("end_time", "lt", "now", None, -2880), "This is only possible more than 2 days after the end time."),
        (("end_time", "gt", "now", None, -60), "This is only possible less than 1 hour after the end time."),
        (("start_time", "eq", "today", None, 0), "This is only possible on the day of the start time."),
        (("paid_on", "ge", "today", None, 0), "This is only possible on or before the paid-on date."),
        (("paid_on", "ge", "today", None, 1440), "This is only possible at least 1 day before the paid-on date."),
        (("paid_on", "ne", "today", None, 0), "This is not possible on the paid-on date."),
        (("end_time", "gt", "field", "start_time", 0), f"{_IF} the end time is after the start time."),
        (("start_time", "eq", "field", "end_time", 0), f"{_IF} the start time is the same as the end time."),
        (("seats", "ge", "literal", 3, 0), f"{_IF} the seats are at least 3."),
        (("status", "ne", "literal", "done", 0), f"{_IF} the status is not done."),
        (("paid_on", "is-set", "none", None, 0), "This is only possible once the paid-on date is set."),
        (("paid_on", "is-not-set", "none", None, 0), "This is only possible as long as the paid-on date is not set."),
    ],
)  # fmt: skip
def test_a_guard_without_a_statement_says_what_it_wants(
    condition: tuple[str, str, str, JsonValue, int], said: str
) -> None:
    left, op, right_kind, right, offset = condition
    guard = Condition.model_validate(
        {"left": left, "op": op, "right_kind": right_kind, "right": right, "offset_minutes": offset}
    )
    assert guard_sentence(design_service(practice()).resource("Appointment"), guard) == said


def test_what_cannot_be_held_for_one_of_several_operations_is_named() -> None:
    product = practice().model_dump()
    edit = next(one for one in product["operations"] if one["name"] == "edit_appointment")
    free = edit | {"name": "correct_appointment", "verb": "correct", "guards": []}
    product["operations"] = [*product["operations"], free]
    design = design_service(DomainModel.model_validate(product))
    assert design.unenforced == ("Edit appointment: the condition on seats is not compared.",)


def test_requirements_and_criteria_name_each_refusal_once() -> None:
    built = Built(practice())
    requirements = built.text("docs/requirements.md")
    for said in (
        "While an appointment is “done” or “cancelled”, the system shall refuse to reschedule or cancel it.",
        "While an appointment is “booked”, “confirmed” or “done”, the system shall refuse to delete it.",
        "then the system shall refuse to reschedule the appointment or cancel the appointment.",
        "If the joined-on date is less than 1 day ago, then the system shall refuse to remove the patient.",
    ):
        assert requirements.count(said) == 1
    backlog = built.text("docs/backlog.md")
    for said in (
        "an appointment is “done” or “cancelled” | they try to reschedule the appointment |",
        "an appointment exists but the seats are at most 2 | they try to edit the appointment |",
        "an appointment is “done” but the paid-on date is set | they try to pay the appointment |",
    ):
        assert backlog.count(said) == 1
