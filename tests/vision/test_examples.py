"""The shipped visions, and what must be read from them."""

from pathlib import Path

import pytest

from factory.domain.artifact import Content
from factory.domain.documents import VisionDocument
from factory.domain.product import Condition, DomainModel, OperationKind, RelatedLimit, UniqueTogether
from factory.skills.native.domain_model.page import render_model
from factory.skills.native.vision_document import parse_vision
from factory.skills.native.vision_document.render import render_vision

FOLDER = Path(__file__).parents[2] / "examples" / "visions"
ENTITIES = {
    "clinic": {"Patient", "Doctor", "Appointment", "Prescription"},
    "conference": {
        "Conference",
        "Room",
        "Speaker",
        "Talk",
        "Session",
        "Review",
        "Reviewer",
        "Attendee",
        "Registration",
        "Tag",
    },
    "fleet": {"Depot", "Vehicle", "Driver", "Defect", "Repair"},
    "food-coop": {"Farm", "Product", "Household", "PickupPoint", "Order", "OrderLine", "Complaint", "Member", "Farmer"},
    "library": {"Book", "Copy", "Member", "Loan", "Reservation"},
    "tool-sharing": {"Tool", "Rental", "Damage", "Neighbour", "Rating"},
}


def document(name: str) -> VisionDocument:
    return parse_vision((FOLDER / f"{name}.md").read_text(encoding="utf-8"), name)


def names(model: DomainModel) -> set[str]:
    return {operation.name for operation in model.operations}


@pytest.mark.parametrize("name", sorted(ENTITIES))
def test_an_example_has_its_entities_and_no_others(name: str) -> None:
    assert {entity.name for entity in document(name).draft.entities} == ENTITIES[name]


@pytest.mark.parametrize("name", sorted(ENTITIES))
def test_every_entity_can_be_made_found_and_read_and_says_so(name: str) -> None:
    model = document(name).draft
    for entity in model.entities:
        kinds = {operation.kind for operation in model.operations_of(entity.name)}
        assert {OperationKind.CREATE, OperationKind.LIST, OperationKind.READ} <= kinds
        assert entity.fields
        assert any(event.entity == entity.name for event in model.events)


@pytest.mark.parametrize("name", sorted(ENTITIES))
def test_the_pages_name_every_entity_and_assumption(name: str) -> None:
    read = document(name)
    vision, model = render_vision(read), render_model(read.draft)
    for entity in read.draft.entities:
        assert f"**{entity.label}**" in vision
        assert f"    {entity.name} {{" in model
    for note in read.draft.assumptions:
        assert f"| {note.id} |" in vision
    assert ("stateDiagram-v2" in model) == bool(read.draft.lifecycles)
    Content(files={"docs/vision.md": vision, "docs/domain-model.md": model}).to_bytes()


def test_the_clinic_in_detail() -> None:
    read = document("clinic")
    model = read.draft
    assert model.name == "Clinic"
    assert [actor.name for actor in model.actors] == ["receptionist", "doctor", "patient", "practice_manager"]
    lifecycle = model.lifecycle_of("Appointment")
    assert lifecycle is not None
    assert lifecycle.initial == "booked"
    assert {step.name: (step.sources, step.target, step.actors) for step in lifecycle.transitions} == {
        "cancel": (("booked",), "cancelled", ("patient",)),
        "mark_done": (("booked",), "done", ("doctor",)),
        "mark_no_show": (("booked",), "no_show", ("receptionist",)),
    }
    cancel = next(step for step in lifecycle.transitions if step.name == "cancel")
    said = "An appointment can only be cancelled at least 24 hours before it starts."
    assert cancel.guards == (
        Condition(left="start_time", op="ge", right_kind="now", offset_minutes=1440, statement=said),
    )
    reschedule = next(item for item in model.operations if item.name == "reschedule_appointment")
    assert reschedule.states == ("booked",)
    assert {
        "register_patient",
        "book_appointment",
        "reschedule_appointment",
        "cancel_appointment",
        "mark_appointment_done",
        "add_doctor",
    } <= names(model)
    (double,) = [policy for policy in model.policies if isinstance(policy, UniqueTogether)]
    assert (double.entity, double.fields, double.relations) == ("Appointment", ("start_time",), ("doctor",))
    (limit,) = [policy for policy in model.policies if isinstance(policy, RelatedLimit)]
    assert (limit.limit, limit.states) == (3, ("booked",))
    assert any(item.category == "compliance" for item in model.non_functional)
    assert read.out_of_scope == (
        "No online payment and no invoices in the first version.",
        "We do not send text messages.",
    )
    assert {"PatientRegistered", "AppointmentBooked", "AppointmentRescheduled", "AppointmentCancelled"} <= {
        event.name for event in model.events
    }


def test_prose_alone_gives_fields_states_and_relations() -> None:
    model = document("food-coop").draft
    assert {"name", "unit", "price", "quantity"} <= {field.name for field in model.entity("Product").fields}
    links = {(relation.source, relation.target) for relation in model.relations}
    assert {
        ("OrderLine", "Order"),
        ("OrderLine", "Product"),
        ("Product", "Farm"),
        ("Household", "PickupPoint"),
    } <= links
    lifecycle = model.lifecycle_of("Order")
    assert lifecycle is not None
    assert {step.name: step.sources for step in lifecycle.transitions}["cancel"] == ("open",)
    assert {"add_product", "change_product_price", "withdraw_product", "place_order", "report_complaint"} <= names(
        model
    )


def test_stories_alone_give_things_and_records_of_deeds() -> None:
    model = document("tool-sharing").draft
    assert {"list_tool", "rent_tool", "rate_tool", "report_damage", "suspend_neighbour", "approve_rental"} <= names(
        model
    )
    assert model.entity("Tool").fields[2].type.value == "money"
