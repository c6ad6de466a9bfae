"""The product requirements: complete, in EARS form, argued."""

import re
from typing import Any

from factory.domain.documents import ProductRequirements
from factory.domain.product import DomainModel

EARS = re.compile(r"^(When|While|If) .+, (then )?the system shall .+\.$")


def requirements(built: Any) -> ProductRequirements:
    return ProductRequirements.model_validate_json(built.text(".factory/product-requirements.json"))


def test_every_operation_has_a_functional_requirement(built: Any) -> None:
    named = {
        name
        for requirement in requirements(built).requirements
        if requirement.kind == "functional"
        for name in requirement.operations
    }
    assert named == {operation.name for operation in built.model.operations}


def test_functions_and_automated_rules_are_in_ears_form(built: Any) -> None:
    stated = {policy.statement for policy in built.model.policies if policy.kind == "stated"}
    for requirement in requirements(built).requirements:
        if requirement.kind != "non-functional" and requirement.statement.rstrip(".") not in {
            statement.rstrip(".") for statement in stated
        }:
            assert EARS.match(requirement.statement), requirement.statement


def test_ids_are_unique_and_stand_in_the_document(built: Any) -> None:
    found = [requirement.id for requirement in requirements(built).requirements]
    assert len(found) == len(set(found))
    for name in found:
        assert f"| {name} |" in built.text("docs/requirements.md")


def test_guards_states_limits_and_policies_become_refusals(clinic: Any) -> None:
    statements = {requirement.statement for requirement in requirements(clinic).requirements}
    assert {
        "While an appointment is “cancelled”, “done” or “no show”, the system shall refuse to cancel or complete it.",
        "If the start time is at most 24 hours from now, then the system shall refuse to cancel the appointment.",
        (
            "If an appointment is submitted whose fee is below 0 or above 5000, then the system shall refuse "
            "it and name "
            "the field."
        ),
        (
            "If an appointment is submitted whose end time is not after the start time, then the system shall "
            "refuse it "
            "and say which rule it breaks."
        ),
        (
            "If an appointment is submitted and another appointment has the same doctor and start time and is not "
            "“cancelled”, then the system shall refuse it and say which rule it breaks."
        ),
        (
            "If an appointment is submitted and the patient already has 3 appointments that are “booked”, "
            "then the system "
            "shall refuse it and say which rule it breaks."
        ),
        (
            "If anyone other than a receptionist attempts to book, complete or reschedule an appointment, "
            "then the system "
            "shall refuse and change nothing."
        ),
        (
            "If a patient attempts to cancel an appointment that is not their own, then the system shall "
            "refuse and change "
            "nothing. When a patient lists appointments, the system shall return only their own."
        ),
        "If appointments still refer to the patient, then the system shall refuse to delete the patient.",
    } <= statements


def test_priorities_follow_the_vision(clinic: Any) -> None:
    by_operation = {
        requirement.operations[0]: requirement.priority
        for requirement in requirements(clinic).requirements
        if requirement.kind == "functional"
    }
    assert by_operation["book_appointment"] == "must"
    assert by_operation["register_patient"] == "must", "a booking cannot be stored without a patient"
    assert by_operation["list_appointments"] == "should"
    assert by_operation["complete_appointment"] == "could"


def test_success_measures_are_figures_of_the_vision_or_counts_of_events(clinic: Any) -> None:
    assert requirements(clinic).success_measures == (
        "Booking answers quickly: 95 % of bookings answer within 300 ms.",
        (
            "Share of appointments that end “cancelled” or “done”, counted from the events AppointmentCancelled and "
            "AppointmentCompleted."
        ),
    )


def test_what_is_left_out_is_said(clinic: Any) -> None:
    document = clinic.text("docs/requirements.md")
    assert "- Billing of insurers" in document
    assert "Story US-3: no operation of the product serves it yet." in document
    assert "Patients are reminded a day before." in document


def test_the_words_of_the_author_outrank_the_rules(build: Any, products: Any) -> None:
    model = products["tiny"]().model_dump()
    model["operations"][0]["trace"]["text"] = "It would be nice to have notes."
    built = build(DomainModel.model_validate(model))
    wish = next(entry for entry in requirements(built).requirements if entry.operations == ("write_note",))
    assert wish.priority == "could"
    assert "the vision says “nice to have”" in built.text("docs/requirements.md")
