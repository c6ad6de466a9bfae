"""Products written by hand, from ordinary to awkward, for the document and deployment skills."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from uuid import UUID

import pytest

from factory.domain.artifact import Content
from factory.domain.documents import VisionDocument
from factory.domain.product import (
    Actor,
    Assumption,
    Condition,
    Constraints,
    DomainEvent,
    DomainModel,
    Entity,
    Enumeration,
    FieldType,
    Invariant,
    Lifecycle,
    NonFunctional,
    Operation,
    OperationKind,
    ProductField,
    RelatedLimit,
    Relation,
    RelationKind,
    StatedRule,
    Story,
    Term,
    Trace,
    Transition,
    UniqueTogether,
)
from factory.domain.project import Project, ProjectStatus
from factory.skills.skill import SkillContext

CREATED = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)
HOSTILE = 'A "quoted" | piped `ticked` <script>alert(1)</script>'


def _said(text: str, rule: str = "story-template") -> Trace:
    return Trace(start=0, end=len(text), text=text, rule=rule, confidence=0.9)


def _guessed(rule: str) -> Trace:
    return Trace(start=0, end=0, text="", rule=rule, confidence=0.4)


def _field(name: str, kind: FieldType = FieldType.TEXT, **extra: object) -> ProductField:
    return ProductField.model_validate({"name": name, "type": kind, "trace": _said(name, "entity-list"), **extra})


def _operation(name: str, kind: OperationKind, entity: str, **extra: object) -> Operation:
    verb = name.partition("_")[0]
    values = {"name": name, "kind": kind, "verb": verb, "entity": entity, "trace": _said(name), **extra}
    return Operation.model_validate(values)


def _clinic() -> DomainModel:
    staff = ("receptionist", "administrator")
    booked = ("booked",)
    soon = Condition(left="start_time", op="gt", right_kind="now", offset_minutes=1440)
    return DomainModel(
        name="Greenfield Clinic",
        slug="greenfield-clinic",
        summary="A clinic keeps its patients, doctors and appointments in one place.",
        actors=(
            Actor(name="receptionist", label="Receptionist", trace=_said("receptionist")),
            Actor(name="administrator", label="Administrator", trace=_said("administrator")),
            Actor(name="patient", label="Patient", entity="Patient", trace=_said("patient")),
        ),
        entities=(
            Entity(
                name="Appointment",
                collection="appointments",
                label="Appointment",
                fields=(
                    _field("start_time", FieldType.DATETIME),
                    _field("end_time", FieldType.DATETIME),
                    _field("fee", FieldType.MONEY, required=False, constraints=Constraints(minimum=0, maximum=5000)),
                    _field("note", required=False, constraints=Constraints(max_length=500)),
                    _field("status", FieldType.ENUM, enum="AppointmentStatus", default="booked"),
                ),
                trace=_said("Appointment: start time, end time, fee, note", "entity-list"),
            ),
            Entity(
                name="Patient",
                collection="patients",
                label="Patient",
                fields=(
                    _field("name", personal_data=True, constraints=Constraints(min_length=2, max_length=120)),
                    _field("email", FieldType.EMAIL, personal_data=True, constraints=Constraints(unique=True)),
                    _field("date_of_birth", FieldType.DATE, required=False, personal_data=True),
                ),
                trace=_said("Patient: name, email", "entity-list"),
            ),
            Entity(
                name="Doctor",
                collection="doctors",
                label="Doctor",
                fields=(_field("name"), _field("specialty", FieldType.ENUM, enum="Specialty")),
                trace=_said("Doctor: name, specialty", "entity-list"),
            ),
            Entity(name="Tag", collection="tags", label="Tag", fields=(_field("title"),), trace=_guessed("noun")),
        ),
        enums=(
            Enumeration(
                name="AppointmentStatus", values=("booked", "cancelled", "done", "no_show"), trace=_said("status")
            ),
            Enumeration(name="Specialty", values=("general", "dental"), trace=_said("specialty")),
        ),
        relations=(
            Relation(
                name="patient",
                kind=RelationKind.MANY_TO_ONE,
                source="Appointment",
                target="Patient",
                inverse="appointments",
                trace=_said("belongs to Patient", "belongs-to"),
            ),
            Relation(
                name="doctor",
                kind=RelationKind.MANY_TO_ONE,
                source="Appointment",
                target="Doctor",
                inverse="appointments",
                trace=_said("belongs to Doctor", "belongs-to"),
            ),
            Relation(
                name="tags",
                kind=RelationKind.MANY_TO_MANY,
                source="Patient",
                target="Tag",
                inverse="patients",
                required=False,
                trace=_said("has many tags", "has-many"),
            ),
        ),
        lifecycles=(
            Lifecycle(
                entity="Appointment",
                field="status",
                initial="booked",
                transitions=(
                    Transition(
                        name="cancel",
                        sources=booked,
                        target="cancelled",
                        actors=("receptionist", "patient"),
                        guards=(soon,),
                        event="AppointmentCancelled",
                        trace=_said("cancel an appointment"),
                    ),
                    Transition(
                        name="complete",
                        sources=booked,
                        target="done",
                        actors=("receptionist",),
                        event="AppointmentCompleted",
                        trace=_guessed("final-state"),
                    ),
                ),
                trace=_said("booked | cancelled | done", "entity-list"),
            ),
        ),
        operations=(
            _operation(
                "book_appointment",
                OperationKind.CREATE,
                "Appointment",
                actors=("receptionist",),
                event="AppointmentBooked",
                stories=("US-1",),
            ),
            _operation(
                "list_appointments",
                OperationKind.LIST,
                "Appointment",
                actors=(*staff, "patient"),
                own_only=("patient",),
                trace=_guessed("completed-crud"),
            ),
            _operation(
                "cancel_appointment",
                OperationKind.TRANSITION,
                "Appointment",
                transition="cancel",
                actors=("receptionist", "patient"),
                own_only=("patient",),
                event="AppointmentCancelled",
                stories=("US-2",),
            ),
            _operation(
                "complete_appointment",
                OperationKind.TRANSITION,
                "Appointment",
                transition="complete",
                actors=("receptionist",),
                event="AppointmentCompleted",
                trace=_guessed("final-state"),
            ),
            _operation(
                "reschedule_appointment",
                OperationKind.CHANGE,
                "Appointment",
                fields=("start_time", "end_time"),
                actors=("receptionist",),
                event="AppointmentRescheduled",
                stories=("US-1",),
            ),
            _operation(
                "assign_appointment",
                OperationKind.CHANGE,
                "Appointment",
                relations=("doctor",),
                actors=("administrator",),
                stories=("US-4",),
            ),
            _operation("register_patient", OperationKind.CREATE, "Patient", actors=staff, trace=_guessed("needed")),
            _operation("view_patient", OperationKind.READ, "Patient", actors=staff, trace=_guessed("completed-crud")),
            _operation("update_patient", OperationKind.UPDATE, "Patient", actors=staff, trace=_guessed("crud")),
            _operation("delete_patient", OperationKind.DELETE, "Patient", actors=("administrator",)),
            _operation("add_doctor", OperationKind.CREATE, "Doctor", actors=("administrator",), stories=("US-4",)),
            _operation("list_doctors", OperationKind.LIST, "Doctor", trace=_guessed("completed-crud")),
        ),
        events=(
            DomainEvent(
                name="AppointmentBooked",
                entity="Appointment",
                operation="book_appointment",
                fields=("start_time", "end_time", "fee", "status"),
                relations=("patient", "doctor"),
                trace=_said("book"),
            ),
            DomainEvent(
                name="AppointmentCancelled",
                entity="Appointment",
                operation="cancel_appointment",
                fields=("status",),
                relations=("patient",),
                description="An appointment was called off.",
                trace=_said("cancel"),
            ),
            DomainEvent(
                name="AppointmentCompleted",
                entity="Appointment",
                operation="complete_appointment",
                fields=("status",),
                trace=_guessed("final-state"),
            ),
            DomainEvent(
                name="AppointmentRescheduled",
                entity="Appointment",
                operation="reschedule_appointment",
                fields=("start_time", "end_time"),
                trace=_said("reschedule"),
            ),
        ),
        policies=(
            Invariant(
                name="end_after_start",
                entity="Appointment",
                condition=Condition(left="end_time", op="gt", right_kind="field", right="start_time"),
                statement="An appointment ends after it starts.",
                trace=_guessed("interval"),
            ),
            UniqueTogether(
                name="no_double_booking",
                entity="Appointment",
                fields=("start_time",),
                relations=("doctor",),
                except_states=("cancelled",),
                statement="A doctor cannot be double-booked.",
                trace=_said("A doctor cannot be double-booked.", "cannot"),
            ),
            RelatedLimit(
                name="open_appointments_per_patient",
                entity="Appointment",
                relation="patient",
                limit=3,
                states=booked,
                statement="A patient has at most three open appointments.",
                trace=_said("A patient has at most three open appointments.", "at-most"),
            ),
            StatedRule(
                name="reminders",
                entity="Appointment",
                statement="Patients are reminded a day before.",
                trace=_said("Patients are reminded a day before."),
            ),
        ),
        non_functional=(
            NonFunctional(
                id="NFR-1",
                category="performance",
                statement="Booking answers quickly.",
                measure="95 % of bookings answer within 300 ms",
                trace=_said("95 % of bookings answer within 300 ms"),
            ),
            NonFunctional(
                id="NFR-2",
                category="usability",
                statement="The clinic's staff can use it without training.",
                trace=_said("without training"),
            ),
        ),
        glossary=(Term(term="slot", definition="A period that can be booked.", trace=_said("slot")),),
        stories=(
            Story(
                id="US-1",
                actor="receptionist",
                goal="book an appointment for a patient",
                benefit="the doctor knows who comes when",
                trace=_said("As a receptionist I want to book an appointment for a patient"),
            ),
            Story(id="US-2", actor="patient", goal="cancel my appointment", trace=_said("As a patient I want …")),
            Story(
                id="US-3",
                actor="administrator",
                goal="see how busy the clinic is",
                benefit="I can plan staff",
                trace=_said("As an administrator I want to see how busy the clinic is so that I can plan staff"),
            ),
            Story(
                id="US-4",
                actor="administrator",
                goal="assign a doctor to an appointment",
                derived=True,
                trace=_said("The administrator assigns a doctor to each appointment.", "sentence"),
            ),
        ),
        assumptions=(
            Assumption(
                id="A-1",
                subject="Appointment.end_time",
                statement="An appointment ends after it starts.",
                reason="Two times that bound a period are ordered.",
                change="Write “end time (optional)” in the list of fields.",
            ),
        ),
    )


def _tiny() -> DomainModel:
    return DomainModel(
        name="Notes",
        slug="notes",
        summary="People keep notes.",
        actors=(Actor(name="user", label="User", trace=_guessed("default-actor")),),
        entities=(
            Entity(name="Note", collection="notes", label="Note", fields=(_field("text"),), trace=_said("note")),
        ),
        operations=(_operation("write_note", OperationKind.CREATE, "Note"),),
    )


def _silent() -> DomainModel:
    """Return a product with nothing but things: no fields, no operations, no stories."""
    return DomainModel(
        name="Museum",
        slug="museum",
        summary="",
        actors=(Actor(name="visitor", label="Visitor", trace=_guessed("default-actor")),),
        entities=(Entity(name="Exhibit", collection="exhibits", label="Exhibit", trace=_guessed("noun")),),
    )


def _large() -> DomainModel:
    names = [f"Part{chr(65 + number)}" for number in range(20)]
    return DomainModel(
        name="Warehouse",
        slug="warehouse",
        summary="Twenty kinds of parts, each made from the one before.",
        actors=(Actor(name="storekeeper", label="Storekeeper", trace=_said("storekeeper")),),
        entities=tuple(
            Entity(
                name=name,
                collection=f"part_{name[-1].lower()}s",
                label=f"Part {name[-1]}",
                fields=(_field("sku", constraints=Constraints(unique=True)), _field("weight", FieldType.DECIMAL)),
                trace=_said(name),
            )
            for name in names
        ),
        relations=tuple(
            Relation(
                name=f"part_{before[-1].lower()}",
                kind=RelationKind.MANY_TO_ONE,
                source=after,
                target=before,
                inverse=f"part_{after[-1].lower()}s",
                trace=_said("made from", "belongs-to"),
            )
            for after, before in zip(names[1:], names[:-1], strict=True)
        ),
        operations=tuple(
            _operation(f"{verb}_part_{name[-1].lower()}", kind, name, actors=("storekeeper",))
            for name in names
            for verb, kind in (("receive", OperationKind.CREATE), ("view", OperationKind.READ))
        ),
    )


def _cyclic() -> DomainModel:
    """Return entities that need one another, and one that refers to itself."""
    link = {"kind": RelationKind.MANY_TO_ONE, "trace": _said("belongs to", "belongs-to")}
    return DomainModel(
        name="Org chart",
        slug="org-chart",
        summary="Employees work in teams, and a team has a lead.",
        actors=(Actor(name="hr_officer", label="HR officer", trace=_said("HR officer")),),
        entities=(
            Entity(name="Team", collection="teams", label="Team", fields=(_field("name"),), trace=_said("team")),
            Entity(
                name="Employee", collection="employees", label="Employee", fields=(_field("name"),), trace=_said("e")
            ),
        ),
        relations=(
            Relation.model_validate(
                {"name": "lead", "source": "Team", "target": "Employee", "inverse": "led_teams", **link}
            ),
            Relation.model_validate(
                {"name": "team", "source": "Employee", "target": "Team", "inverse": "members", **link}
            ),
            Relation.model_validate(
                {
                    "name": "manager",
                    "source": "Employee",
                    "target": "Employee",
                    "inverse": "reports",
                    "required": False,
                    "on_delete": "set-null",
                    **link,
                }
            ),
        ),
        operations=(
            _operation("create_team", OperationKind.CREATE, "Team", actors=("hr_officer",)),
            _operation("hire_employee", OperationKind.CREATE, "Employee", actors=("hr_officer",)),
            _operation("delete_employee", OperationKind.DELETE, "Employee", actors=("hr_officer",)),
        ),
    )


def _hostile() -> DomainModel:
    quoted = _said(HOSTILE)
    return DomainModel(
        name=HOSTILE,
        slug="hostile",
        summary=f"# {HOSTILE}\n\n| a | b |\n|---|---|\n",
        actors=(Actor(name="clerk", label=HOSTILE, trace=quoted),),
        entities=(
            Entity(
                name="End",
                collection="ends",
                label=HOSTILE,
                description=HOSTILE,
                fields=(
                    _field("class_name", description=HOSTILE, constraints=Constraints(pattern=r"^[a|b]`{2}\d+$")),
                    _field("state", FieldType.ENUM, enum="EndState"),
                ),
                trace=quoted,
            ),
        ),
        enums=(Enumeration(name="EndState", values=("end", "state", "note", "class"), trace=quoted),),
        lifecycles=(
            Lifecycle(
                entity="End",
                field="state",
                initial="end",
                transitions=(
                    Transition(name="note", sources=("end", "state"), target="note", event="EndNoted", trace=quoted),
                ),
                trace=quoted,
            ),
        ),
        operations=(
            _operation("add_end", OperationKind.CREATE, "End", actors=("clerk",), stories=("S|1",)),
            _operation("note_end", OperationKind.TRANSITION, "End", transition="note", event="EndNoted"),
        ),
        events=(DomainEvent(name="EndNoted", entity="End", operation="note_end", description=HOSTILE, trace=quoted),),
        policies=(StatedRule(name="rule", entity="End", statement=HOSTILE, trace=quoted),),
        non_functional=(
            NonFunctional(id="NFR-1", category="security", statement=HOSTILE, measure=HOSTILE, trace=quoted),
        ),
        glossary=(Term(term=HOSTILE, definition=HOSTILE, trace=quoted),),
        stories=(Story(id="S|1", actor="clerk", goal=HOSTILE, benefit=HOSTILE, trace=quoted),),
        assumptions=(Assumption(id="A-1", subject=HOSTILE, statement=HOSTILE, reason=HOSTILE, change=HOSTILE),),
    )


PRODUCTS: Mapping[str, Callable[[], DomainModel]] = {
    "clinic": _clinic,
    "tiny": _tiny,
    "silent": _silent,
    "large": _large,
    "cyclic": _cyclic,
    "hostile": _hostile,
}


def vision_document(model: DomainModel) -> VisionDocument:
    """Return a vision document whose draft is the model."""
    return VisionDocument(
        title=model.name,
        summary=model.summary or model.name,
        problem="Paper and telephone calls lose bookings." if model.slug == "greenfield-clinic" else "",
        goals=("Fewer missed appointments",) if model.slug == "greenfield-clinic" else (),
        out_of_scope=("Billing of insurers",) if model.slug == "greenfield-clinic" else (),
        draft=model,
    )


KINDS = ("product_requirements", "backlog", "architecture", "event_catalogue", "deployment", "pipeline", "release_plan")
REPORT = {
    "passed": 128,
    "failed": 0,
    "skipped": 1,
    "errors": 0,
    "checks": [{"name": "ruff", "passed": True, "output": ""}, {"name": "mypy", "passed": True, "output": ""}],
    "suites": [],
}
SPECIFICATION = (
    "openapi: 3.1.0\npaths:\n  /appointments: {get: {}, post: {}}\n  /patients/{id}: {get: {}, parameters: []}\n"
)


class Built:
    """Every artifact these skills make of one product, built as the factory builds them."""

    def __init__(self, model: DomainModel, report: Mapping[str, object] | None = None) -> None:
        self.model = model
        self.contents: dict[str, Content] = {
            "vision-document": Content(
                files={".factory/vision-document.json": vision_document(model).model_dump_json(indent=2)}
            ),
            "domain-model": Content(files={".factory/domain-model.json": model.model_dump_json(indent=2)}),
            "api-specification": Content(files={"specs/openapi.yaml": SPECIFICATION}),
            "test-report": Content(files={"test-report.json": json.dumps(report or REPORT)}),
        }
        self.made: dict[str, Content] = {}
        for module in KINDS:
            for skill in import_module(f"factory.skills.native.{module}").SKILLS:
                inputs = {kind: self.contents[kind] for kind in skill.consumes}
                result = skill.run(SkillContext(project=_project(model), inputs=inputs))
                self.contents[skill.produces] = self.made[skill.produces] = result.content

    @property
    def files(self) -> dict[str, str]:
        """Every file that was made, by path."""
        return {path: text for content in self.made.values() for path, text in content.files.items()}

    def text(self, path: str) -> str:
        """Return one file's text."""
        return self.files[path]

    def write(self, folder: Path) -> Path:
        """Write every file under the folder and return it."""
        for path, text in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        return folder


def _project(model: DomainModel) -> Project:
    return Project(
        id=UUID(int=7),
        name=model.name,
        slug=model.slug,
        blueprint="api-service",
        status=ProjectStatus.VISIONING,
        trace_id="0" * 31 + "1",
        created_at=CREATED,
        updated_at=CREATED,
    )


@cache
def _built(name: str) -> Built:
    return Built(PRODUCTS[name]())


@pytest.fixture(params=sorted(PRODUCTS))
def built(request: pytest.FixtureRequest) -> Built:
    """Everything made of each product in turn."""
    return _built(request.param)


@pytest.fixture
def clinic() -> Built:
    """Everything made of the ordinary product."""
    return _built("clinic")


@pytest.fixture
def build() -> Callable[..., Built]:
    """Return the builder, for products and reports that differ from the usual."""
    return Built


@pytest.fixture
def products() -> Mapping[str, Callable[[], DomainModel]]:
    """The makers of all products, by name."""
    return PRODUCTS
