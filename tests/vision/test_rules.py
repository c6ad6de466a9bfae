"""Each rule of reading, in a table: what is written and what it must become."""

from collections.abc import Callable

import pytest

from factory.domain.product import DomainModel, FieldType, OperationKind, RelatedLimit, UniqueTogether

Read = Callable[[str], DomainModel]

FIELDS = [
    ("price", FieldType.MONEY, {"minimum": 0}, True),
    ("due date", FieldType.DATE, {}, True),
    ("email (unique)", FieldType.EMAIL, {"unique": True}, True),
    ("phone number?", FieldType.PHONE, {}, False),
    ("address", FieldType.TEXT, {}, True),
    ("discount", FieldType.PERCENTAGE, {"minimum": 0, "maximum": 100}, True),
    ("quantity (positive)", FieldType.INTEGER, {"minimum": 1}, True),
    ("quantity >= 0", FieldType.INTEGER, {"minimum": 0}, True),
    ("duration", FieldType.DURATION, {"minimum": 0}, True),
    ("website url", FieldType.URL, {}, True),
    ("photo", FieldType.FILE, {}, True),
    ("gps location", FieldType.GEO_POINT, {}, True),
    ("note?", FieldType.RICH_TEXT, {}, False),
    ("rating between 1 and 5", FieldType.INTEGER, {"minimum": 1, "maximum": 5}, True),
    ("score (1 to 10)", FieldType.INTEGER, {"minimum": 1, "maximum": 10}, True),
    ("points 0-10", FieldType.INTEGER, {"minimum": 0, "maximum": 10}, True),
    ("reason (at most 200 characters)", FieldType.TEXT, {"max_length": 200}, True),
    ("isbn (13 characters)", FieldType.TEXT, {"min_length": 13, "max_length": 13}, True),
    ("price: money, > 0", FieldType.MONEY, {"minimum": 0.01}, True),
    ("weight in kg", FieldType.DECIMAL, {}, True),
    ("active (yes/no)", FieldType.BOOLEAN, {}, True),
    ("starts at", FieldType.DATETIME, {}, True),
    ("opening time", FieldType.TIME, {}, True),
    ("optional nickname", FieldType.TEXT, {}, False),
    ("number (unique)", FieldType.TEXT, {"unique": True}, True),
    ("code - text, required", FieldType.TEXT, {}, True),
    ("tags", FieldType.JSON, {}, True),
]


@pytest.mark.parametrize(("written", "kind", "constraints", "required"), FIELDS, ids=[row[0] for row in FIELDS])
def test_a_field_gets_its_type_limits_and_mark(
    read: Read,
    written: str,
    kind: FieldType,
    constraints: dict[str, object],
    required: bool,  # noqa: FBT001 - a column of the table
) -> None:
    model = read(f"## Entities\n- Thing: label, {written}")
    field = model.entity("Thing").fields[1]
    found = field.constraints.model_dump(exclude_defaults=True)
    assert (field.type, field.required) == (kind, required)
    assert found == constraints


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("status (open | closed)", ("open", "closed")),
        ("status: draft -> sent -> paid", ("draft", "sent", "paid")),
        ("size (S/M/L)", ("s", "m", "l")),
        ("kind (one of 2D, 3D)", ("n_2d", "n_3d")),
        ("status open | in progress | no-show", ("open", "in_progress", "no_show")),
        ("level (low, normal, high)", ("low", "normal", "high")),
    ],
)
def test_a_closed_list_becomes_an_enum(read: Read, written: str, values: tuple[str, ...]) -> None:
    model = read(f"## Entities\n- Thing: label, {written}")
    field = model.entity("Thing").fields[1]
    assert field.type is FieldType.ENUM
    assert model.enum(field.enum or "").values == values


@pytest.mark.parametrize(
    "written",
    [
        "- Visit: start time; belongs to Patient\n- Patient: name",
        "- **Visit**: start time; belongs to Patient\n- **Patient**: name",
        "* Visit\n  * start time\n  * belongs to Patient\n* Patient\n  * name",
        "- Visit (start time, belongs to Patient)\n- Patient (name)",
        "### Visit\n- start time\n- belongs to a Patient\n### Patient\n- name",
        "| Entity | Fields |\n|---|---|\n| Visit | start time; belongs to Patient |\n| Patient | name |",
        "1. Visit - start time; belongs to one Patient\n2. Patient - name",
        "- Visit: start time, patient\n- Patient: name",
        "- Visit: start time\n- Patient: name; has many visits",
        "- Visits: start time; belongs to Patient\n- Patients: name",
    ],
)
def test_an_entity_may_be_declared_in_many_shapes(read: Read, written: str) -> None:
    model = read(f"## What we keep\n\n{written}\n")
    assert [entity.name for entity in model.entities] == ["Visit", "Patient"]
    assert "start_time" in {field.name for field in model.entity("Visit").fields}
    (relation,) = model.relations
    assert (relation.source, relation.name, relation.target, relation.inverse) == (
        "Visit",
        "patient",
        "Patient",
        "visits",
    )


def test_two_relations_to_one_target_keep_their_roles(read: Read) -> None:
    model = read(
        "## Entities\n- Account: number\n- Transfer: amount; belongs to Account as sender; belongs to Account as recipient"  # noqa: E501 - a list of words
    )
    assert {relation.name for relation in model.relations} == {"sender", "recipient"}
    assert len({relation.inverse for relation in model.relations}) == 2


def test_a_thing_may_have_a_parent_of_its_kind(read: Read) -> None:
    model = read("## Entities\n- Category: name; belongs to Category as parent")
    (relation,) = model.relations
    assert (relation.name, relation.source, relation.target, relation.required) == (
        "parent",
        "Category",
        "Category",
        False,
    )


@pytest.mark.parametrize(
    ("story", "kind", "name"),
    [
        ("book an appointment", OperationKind.CREATE, "book_appointment"),
        ("reschedule an appointment", OperationKind.CHANGE, "reschedule_appointment"),
        ("cancel an appointment", OperationKind.TRANSITION, "cancel_appointment"),
        ("mark an appointment as done", OperationKind.TRANSITION, "mark_appointment_done"),
        ("search appointments by date", OperationKind.LIST, "search_appointments"),
        ("see an appointment", OperationKind.READ, "see_appointment"),
        ("edit an appointment", OperationKind.UPDATE, "edit_appointment"),
        ("delete an appointment", OperationKind.DELETE, "delete_appointment"),
        ("assign a doctor to an appointment", OperationKind.CHANGE, "assign_doctor_to_appointment"),
        ("change the reason of an appointment", OperationKind.CHANGE, "change_appointment_reason"),
    ],
)
def test_a_verb_names_the_operation(read: Read, story: str, kind: OperationKind, name: str) -> None:
    model = read(
        f"As a clerk I want to {story} so that it is right.\n\n## Entities\n"
        "- Appointment: start time, end time, reason, status (booked | cancelled | done); belongs to Doctor\n- Doctor: name"  # noqa: E501 - a list of words
    )
    found = {operation.name: operation for operation in model.operations}
    assert name in found
    assert found[name].kind is kind
    assert found[name].stories == ("US-1",)
    assert found[name].actors == ("clerk",)


@pytest.mark.parametrize(
    ("verb", "event"),
    [
        ("book", "Booked"),
        ("send", "Sent"),
        ("withdraw", "Withdrawn"),
        ("submit", "Submitted"),
        ("write", "Written"),
        ("pay", "Paid"),
    ],
)
def test_events_are_in_the_past_tense(read: Read, verb: str, event: str) -> None:
    model = read(f"As a clerk I want to {verb} an invoice.\n\n## Entities\n- Invoice: total")
    assert f"Invoice{event}" in {item.name for item in model.events}


def test_states_limit_where_a_transition_may_start(read: Read) -> None:
    model = read(
        "## Entities\n- Claim: title, status (draft | submitted | approved | rejected | paid)\n\n## Rules\n"
        "- Only approved claims can be paid.\n\n## Features\n- Clerks submit claims.\n- Managers approve or reject claims.\n- Clerks pay claims."  # noqa: E501 - a list of words
    )
    lifecycle = model.lifecycle_of("Claim")
    assert lifecycle is not None
    sources = {step.name: step.sources for step in lifecycle.transitions}
    assert sources == {"submit": ("draft",), "approve": ("submitted",), "reject": ("submitted",), "pay": ("approved",)}


def test_opposites_lead_back(read: Read) -> None:
    model = read(
        "## Entities\n- Case: title, status (open | closed)\n\n## Features\n- Lawyers close cases.\n- Lawyers reopen cases."  # noqa: E501 - a list of words
    )
    lifecycle = model.lifecycle_of("Case")
    assert lifecycle is not None
    assert {(step.name, step.sources, step.target) for step in lifecycle.transitions} == {
        ("close", ("open",), "closed"),
        ("reopen", ("closed",), "open"),
    }


RULES = "## Entities\n- Member: name\n- Book: title\n- Loan: from date, due date, status (active | returned); belongs to Member; belongs to Book\n\n## Rules\n- "  # noqa: E501 - a list of words


def test_a_limit_counts_the_states_it_names(read: Read) -> None:
    (limit,) = [
        policy
        for policy in read(RULES + "A member may have at most 3 active loans.").policies
        if isinstance(policy, RelatedLimit)
    ]
    assert (limit.entity, limit.relation, limit.limit, limit.states) == ("Loan", "member", 3, ("active",))


def test_what_cannot_be_in_two_records_at_once_is_unique(read: Read) -> None:
    model = read(RULES + "A book cannot be in two loans at the same time.")
    (rule,) = [policy for policy in model.policies if isinstance(policy, UniqueTogether)]
    assert (rule.entity, rule.relations, rule.except_states) == ("Loan", ("book",), ("returned",))


def test_a_rule_that_fits_no_shape_is_written_down(read: Read) -> None:
    policies = read(RULES + "The library is closed on Sundays and on holidays.").policies
    assert [policy.statement for policy in policies if policy.kind == "stated"] == [
        "The library is closed on Sundays and on holidays."
    ]


def test_my_records_are_only_mine(read: Read) -> None:
    model = read(
        "As a tenant I want to see my defects.\nAs a tenant I want to report a defect.\nAs a caretaker I want to see all defects."  # noqa: E501 - a list of words
    )
    listing = next(
        operation
        for operation in model.operations
        if operation.kind is OperationKind.LIST and operation.entity == "Defect"
    )
    assert listing.own_only == ("tenant",)
    assert set(listing.actors) == {"tenant", "caretaker"}
    assert any(relation.source == "Defect" and relation.target == "Tenant" for relation in model.relations)


def test_what_is_out_of_scope_is_not_built(read: Read) -> None:
    model = read("Clerks create invoices.\n\nWe do not need reminders.\n\n## Out of scope\n- Customers pay fines\n")
    assert [entity.name for entity in model.entities] == ["Invoice"]


def test_borrowing_leaves_a_loan(read: Read) -> None:
    model = read(
        "As a member I want to borrow a book so that I can read it.\nAs a member I want to return a book.\nAs a librarian I want to add a book."  # noqa: E501 - a list of words
    )
    assert {entity.name for entity in model.entities} == {"Book", "Loan", "Member"}
    assert {(relation.source, relation.target) for relation in model.relations} == {
        ("Loan", "Book"),
        ("Loan", "Member"),
    }
    assert "borrow_book" in {operation.name for operation in model.operations}
    assert any(note.subject == "Loan" for note in model.assumptions)


def test_every_guess_says_how_to_change_it(read: Read) -> None:
    for note in read("Users create tasks and mark them as done.").assumptions:
        assert note.id.startswith("A-")
        assert note.reason
        assert note.change


def test_stories_about_the_interface_make_no_things(read: Read) -> None:
    model = read(
        "As a clerk I want to add an order.\nAs a user I want to log in.\nAs a user I want to see a button on the page.\n"  # noqa: E501 - a list of words
        "As a user I want to click the menu so that the dashboard opens."
    )
    assert [entity.name for entity in model.entities] == ["Order"]


def test_code_comments_and_links_are_not_read(read: Read) -> None:
    model = read(
        "Clerks create [orders](https://example.org/users).\n\n```\nUsers delete planets.\n```\n<!-- Managers create rockets. -->\n"  # noqa: E501 - a list of words
    )
    assert [entity.name for entity in model.entities] == ["Order"]


def test_names_that_are_not_ascii_are_written_in_ascii(read: Read) -> None:
    model = read("## Entities\n- Käufer: Straße, größe (klein | groß)")
    entity = model.entity("Kaeufer")
    assert [field.name for field in entity.fields] == ["strasse", "groesse"]
