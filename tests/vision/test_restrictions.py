"""Rules that say when a record may be changed, by whom, and what people are told."""

from collections.abc import Callable

import pytest

from factory.domain.product import Condition, DomainModel, FieldType, Invariant, Operation, OperationKind, StatedRule
from factory.skills.native.domain_model.page import render_model

Read = Callable[[str], DomainModel]

CLAIMS = (
    "## Entities\n- Claim: title, visit date (date), start time, status (draft | submitted | approved | paid)\n\n"
    "## Features\n- Clerks file claims.\n- Clerks submit claims.\n- Managers approve claims.\n- Clerks pay claims.\n"
    "- Clerks edit claims.\n- Clerks delete claims.\n- Clerks reschedule claims.\n\n## Rules\n- "
)


def named(model: DomainModel, name: str) -> Operation:
    return next(operation for operation in model.operations if operation.name == name)


@pytest.mark.parametrize(
    ("rule", "operation", "states"),
    [
        ("Only draft claims can be edited.", "edit_claim", ("draft",)),
        ("Only draft or submitted claims can be rescheduled.", "reschedule_claim", ("draft", "submitted")),
        ("A submitted claim cannot be edited.", "edit_claim", ("draft", "approved", "paid")),
        ("A submitted claim cannot be deleted.", "delete_claim", ("draft", "approved", "paid")),
        ("Claims can only be deleted while they are draft.", "delete_claim", ("draft",)),
        ("A claim can be edited until it is submitted.", "edit_claim", ("draft",)),
        ("Once a claim is approved it can no longer be changed.", "edit_claim", ("draft", "submitted")),
        ("Clerks cannot edit paid claims.", "edit_claim", ("draft", "submitted", "approved")),
        ("Claims that are paid can't be removed.", "delete_claim", ("draft", "submitted", "approved")),
    ],
)
def test_a_rule_limits_a_change_to_states(read: Read, rule: str, operation: str, states: tuple[str, ...]) -> None:
    model = read(CLAIMS + rule)
    assert named(model, operation).states == states
    assert not [policy for policy in model.policies if isinstance(policy, StatedRule)]
    assert " or ".join(states) in render_model(model)


def test_a_rule_about_people_limits_no_states(read: Read) -> None:
    assert named(read(CLAIMS + "Only managers can edit submitted claims."), "edit_claim").states == ()


@pytest.mark.parametrize(
    ("rule", "minutes"),
    [
        ("A claim can only be rescheduled up to 2 hours before it starts.", 120),
        ("Claims cannot be rescheduled less than 1 day before they start.", 1440),
    ],
)
def test_a_limit_in_time_guards_a_change_in_the_authors_words(read: Read, rule: str, minutes: int) -> None:
    model = read(CLAIMS + rule)
    assert named(model, "reschedule_claim").guards == (
        Condition(left="start_time", op="ge", right_kind="now", offset_minutes=minutes, statement=rule),
    )
    assert rule in render_model(model)


def test_a_guard_of_a_transition_keeps_the_authors_words(read: Read) -> None:
    rule = "An order can only be cancelled at least 3 hours before the delivery time."
    model = read(
        "## Entities\n- Order: delivery time, status (open | cancelled)\n\n## Features\n- Buyers place orders.\n"
        "- Buyers cancel orders.\n\n## Rules\n- " + rule
    )
    (step,) = model.lifecycles[0].transitions
    assert [guard.statement for guard in step.guards] == [rule]


def test_a_change_only_a_rule_names_is_added_and_noted(read: Read) -> None:
    model = read(
        "## Entities\n- Report: title, status (open | signed)\n\n## Features\n- Nurses write reports.\n"
        "- Doctors sign reports.\n\n## Rules\n- A signed report cannot be edited."
    )
    update = next(item for item in model.operations if item.kind is OperationKind.UPDATE)
    assert (update.entity, update.states) == ("Report", ("open",))


def test_who_alone_may_do_something_is_a_permission(read: Read) -> None:
    model = read(CLAIMS + "Claims can only be approved by managers.")
    assert named(model, "approve_claim").actors == ("manager",)
    assert model.policies == ()


@pytest.mark.parametrize(
    ("rule", "bounds"),
    [
        ("A donation must have a volume of at least 200 ml.", {("ge", 200)}),
        ("A donation shall have a volume between 200 and 500 ml.", {("ge", 200), ("le", 500)}),
    ],
)
def test_what_a_record_must_have_is_an_invariant(read: Read, rule: str, bounds: set[tuple[str, int]]) -> None:
    model = read("## Entities\n- Donation: volume\n\n## Rules\n- " + rule)
    found = {(item.condition.op, item.condition.right) for item in model.policies if isinstance(item, Invariant)}
    assert found == bounds


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("location", FieldType.TEXT),
        ("place", FieldType.TEXT),
        ("venue", FieldType.TEXT),
        ("location (gps)", FieldType.GEO_POINT),
        ("coordinates", FieldType.GEO_POINT),
        ("map position", FieldType.GEO_POINT),
    ],
)
def test_a_place_is_text_unless_it_is_on_a_map(read: Read, written: str, kind: FieldType) -> None:
    assert read(f"## Entities\n- Event: title, {written}").entity("Event").fields[1].type is kind
