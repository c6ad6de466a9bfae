"""The design: shapes, names, owners, order, and what is left out with a reason."""

import pytest

from factory.domain.product import Condition
from factory.skills.native.service_design.conditions import is_checkable
from factory.skills.native.service_design.design import design_service
from factory.skills.native.service_design.events import envelope_schema, payload_schema, subject_of
from factory.skills.native.service_design.naming import package_name, relation_key, singular
from factory.skills.native.service_design.ordering import relaxed_references, table_order
from factory.skills.native.service_design.ownership import ownerships
from factory.skills.native.service_design.parts import HopKind
from factory.skills.native.service_design.shapes import usable_pattern
from tests.backend import models


def test_an_events_payload_has_the_record_its_fields_and_its_relations() -> None:
    clinic = models.clinic()
    booked = next(event for event in clinic.events if event.name == "AppointmentBooked")
    assert payload_schema(clinic, booked)["required"] == [
        "appointment_id",
        "start",
        "status",
        "patient_id",
        "doctor_id",
    ]
    assert subject_of(clinic, booked) == "appointments/{appointment_id}"
    properties = envelope_schema(clinic, booked)["properties"]
    assert isinstance(properties, dict)
    assert properties["type"] == {"const": "AppointmentBooked"}


def test_a_many_to_many_relation_is_a_list_of_ids() -> None:
    school = models.school()
    keys = {relation.name: relation_key(school, relation) for relation in school.relations}
    assert keys["tags"] == "tag_ids"
    assert keys["friends"] == "friend_ids"
    assert keys["mentor"] == "mentor_id"


def test_a_circle_of_required_references_is_opened() -> None:
    school = models.school()
    assert relaxed_references(school) == {("Student", "mentor"), ("Building", "main_room")}
    order = table_order(school)
    assert order.index("Building") < order.index("Room")
    assert order.index("Student") < order.index("Enrollment")


def test_owners_are_found_over_references_or_remembered() -> None:
    clinic, school = models.clinic(), models.school()
    [invoice] = ownerships(clinic, "Invoice")
    assert [hop.member for hop in invoice.paths[0]] == ["appointment_id", "patient_id"]
    [patient] = ownerships(clinic, "Patient")
    assert patient.paths[0][0].kind is HopKind.SELF
    [guest] = ownerships(school, "Tag")
    assert guest.paths[0][0].kind is HopKind.CREATOR


def test_conditions_that_cannot_be_compared_are_left_out() -> None:
    clinic = models.clinic()
    appointment = clinic.entity("Appointment")
    assert is_checkable(clinic, appointment, Condition(left="start", op="gt", right_kind="now"))
    assert not is_checkable(clinic, appointment, Condition(left="note", op="gt", right_kind="now"))
    assert not is_checkable(clinic, appointment, Condition(left="start", op="gt", right_kind="literal", right="soon"))
    assert not is_checkable(clinic, appointment, Condition(left="status", op="lt", right_kind="literal", right="done"))


def test_stated_rules_are_told_to_the_reader() -> None:
    assert design_service(models.clinic()).unenforced == ("Reception is polite.",)


def test_bounds_that_a_schema_cannot_state_become_rules() -> None:
    doctor = design_service(models.clinic()).resource("Doctor")
    assert [rule.name for rule in doctor.rules] == ["fee_minimum", "fee_maximum"]


@pytest.mark.parametrize(
    ("slug", "package"),
    [
        ("json", "json_service"),
        ("pet-clinic", "pet_clinic"),
        ("fastapi", "fastapi_service"),
        ("class", "class_service"),
    ],
)
def test_a_package_hides_no_module(slug: str, package: str) -> None:
    assert package_name(slug) == package


@pytest.mark.parametrize(
    ("plural", "word"), [("tags", "tag"), ("team_members", "team_member"), ("addresses", "address"), ("staff", "staff")]
)
def test_singulars(plural: str, word: str) -> None:
    assert singular(plural) == word


def test_a_pattern_the_service_cannot_run_is_dropped() -> None:
    assert usable_pattern("^[A-Z]+$") == "^[A-Z]+$"
    assert usable_pattern("^(?!x)") is None
