"""Ways of writing that are no sections and lists: requirements, notes, tables of duties, long sentences."""

from collections.abc import Callable

from factory.domain.product import DomainModel, FieldType, RelatedLimit, UniqueTogether

Read = Callable[[str], DomainModel]


def operations(model: DomainModel) -> dict[str, tuple[str, ...]]:
    return {item.name: item.actors for item in model.operations}


def links(model: DomainModel) -> set[tuple[str, str]]:
    return {(relation.source, relation.target) for relation in model.relations}


def test_numbered_requirements_grant_people_what_they_do(read: Read) -> None:
    model = read(
        "1. The system shall allow a coordinator to create a donation day with a date, a venue and a number of beds.\n"
        "2. The system shall allow a nurse to defer a donor with a reason.\n"
        "3. The system shall let the coordinator see all donation days."
    )
    assert operations(model)["create_donation_day"] == ("coordinator",)
    assert operations(model)["defer_donor"] == ("nurse",)
    assert {field.name for field in model.entity("DonationDay").fields} == {"date", "venue", "number_of_beds"}


def test_lines_with_labels_are_duties_and_things(read: Read) -> None:
    model = read(
        "Observers: visit stations, fill in checklists, report incidents\nAnalysts: export incidents\n\n"
        "Station: code, name, location (GPS)\nIncident: kind (violence / fraud), time\n"
        "Checklist: queue length, ballots received; one per observer and station"
    )
    assert operations(model)["report_incident"] == ("observer",)
    assert "analyst" in operations(model)["export_incidents"]
    assert {("Checklist", "Observer"), ("Checklist", "Station")} <= links(model)
    fields = {field.name: field.type for field in model.entity("Checklist").fields}
    assert fields["ballots_received"] is FieldType.INTEGER


def test_a_table_of_roles_says_what_each_does(read: Read) -> None:
    model = read(
        "## Users\n\n| Role | Does |\n|---|---|\n| Technician | Registers samples, enters results |\n"
        "| Manager | Approves results |\n\n## Entities\n- Sample: barcode\n- Result: value, approved (yes/no)\n"
    )
    assert operations(model)["register_sample"] == ("technician",)
    approve = next(item for item in model.operations if item.name == "approve_result")
    assert (approve.actors, approve.fields) == (("manager",), ("approved",))


def test_a_table_of_fields_may_begin_with_a_name(read: Read) -> None:
    model = read("## Data\n\n### Client\n\n| Field | Type |\n|---|---|\n| name | text |\n| email | email |\n")
    assert [field.name for field in model.entity("Client").fields] == ["name", "email"]


def test_one_line_that_declares_does_not_silence_the_others(read: Read) -> None:
    model = read(
        "* Room list with number, floor and type (single, double, suite)\n"
        "* Rooms are dirty, being cleaned, clean or inspected\n* Supervisors inspect rooms\n"
        "* Housekeepers report faults with a photo\n* Lost items: item, found date, storage place"
    )
    assert {"Room", "Fault", "LostItem"} <= {entity.name for entity in model.entities}
    assert {"number", "floor"} <= {field.name for field in model.entity("Room").fields}
    assert "inspect_room" in operations(model)


def test_it_means_the_thing_of_the_sentence_before(read: Read) -> None:
    model = read(
        "Apprentices write entries. An entry is a draft until the apprentice submits it. A trainer then signs it off "
        "or returns it with a comment. A signed entry can no longer be changed."
    )
    lifecycle = model.lifecycle_of("Entry")
    assert lifecycle is not None
    assert {step.name: step.sources for step in lifecycle.transitions} == {
        "submit": ("draft", "returned"),
        "sign_off": ("submitted",),
        "return": ("submitted",),
    }
    update = next(item for item in model.operations if item.kind.value == "update")
    assert update.states == ("draft", "submitted", "returned")


def test_a_request_is_for_what_it_names(read: Read) -> None:
    model = read(
        "A route has a name and a school. Parents register their children with a name and a grade, and request a seat "
        "for a child on a route. Clerks approve seat requests. A child can only have one approved seat request."
    )
    assert {("SeatRequest", "Child"), ("SeatRequest", "Route"), ("Child", "Parent")} <= links(model)
    assert operations(model)["request_seat"] == ("parent",)
    (limit,) = [policy for policy in model.policies if isinstance(policy, RelatedLimit)]
    assert (limit.entity, limit.relation, limit.limit, limit.states) == ("SeatRequest", "child", 1, ("approved",))


def test_one_of_each_per_thing_is_unique(read: Read) -> None:
    model = read(
        "## Entities\n- Station: name\n- Observer: name\n- Checklist: note; belongs to Observer; belongs to Station\n\n"
        "## Rules\n- An observer may only submit one checklist per station."
    )
    (rule,) = [policy for policy in model.policies if isinstance(policy, UniqueTogether)]
    assert (rule.entity, set(rule.relations)) == ("Checklist", {"observer", "station"})


def test_machines_act_too(read: Read) -> None:
    model = read("Sensors submit readings. A reading has a value and a time. Clerks review readings.")
    assert "sensor" in operations(model)["submit_reading"]
    fields = {field.name: field.type for field in model.entity("Reading").fields}
    assert (fields["value"], fields["time"]) == (FieldType.DECIMAL, FieldType.DATETIME)


def test_what_happens_to_a_thing_happens_to_its_loan(read: Read) -> None:
    model = read(
        "## Entities\n- Object: title\n- Loan: status (requested | shipped | returned); belongs to Object\n\n"
        "## Features\n- Registrars ship objects and take them back."
    )
    assert {"ship_loan", "take_back_loan"} <= set(operations(model))


def test_scores_have_the_bounds_the_story_gives(read: Read) -> None:
    model = read(
        "As a reviewer, I want to score applications from 1 to 10.\nAs an author, I want to submit an application."
    )
    (points,) = model.entity("Score").fields
    assert (points.constraints.minimum, points.constraints.maximum) == (1, 10)
    assert {("Score", "Application"), ("Score", "Reviewer")} <= links(model)


def test_signs_are_values(read: Read) -> None:
    model = read("## Entities\n- Donation: bag number, blood group (O+, O-, A+)")
    assert model.enums[0].values == ("o_plus", "o_minus", "a_plus")


def test_progress_on_a_grant_is_reported_and_makes_no_grant(read: Read) -> None:
    model = read("As a maintainer, I want to report progress on my grant.\nAs a manager, I want to award a grant.")
    report = next(item for item in model.operations if item.name == "report_grant_progress")
    assert (report.kind.value, report.fields, report.event) == ("change", ("progress",), "GrantProgressReported")


def test_who_sees_only_their_own_changes_only_their_own(read: Read) -> None:
    model = read(
        "As a tenant I want to see my defects.\nAs a tenant I want to report a defect.\n"
        "As a tenant I want to edit a defect.\n"
        "As a caretaker I want to see all defects.\nAs a caretaker I want to close defects."
    )
    edit = next(item for item in model.operations if item.name == "edit_defect")
    assert edit.own_only == ("tenant",)


def test_moving_to_another_place_is_named_after_what_moves(read: Read) -> None:
    model = read(
        "## Entities\n- Room: name\n- Session: start time; belongs to Room\n\n## Features\n"
        "- Organisers move a session to another room."
    )
    move = next(item for item in model.operations if item.verb == "move")
    assert (move.name, move.relations, move.event) == ("move_session_to_room", ("room",), "SessionMoved")


def test_a_list_begun_by_with_belongs_to_what_is_made(read: Read) -> None:
    model = read(
        "A beekeeper owns hives; each hive has a name, a location with coordinates and a breed. Beekeepers record "
        "inspections of their hives with a date, the number of frames, a temperament and notes."
    )
    fields = {field.name for field in model.entity("Inspection").fields}
    assert fields == {"date", "number_of_frames", "temperament", "notes"}
    located = {field.name: field.type for field in model.entity("Hive").fields}
    assert located == {"name": FieldType.TEXT, "location": FieldType.GEO_POINT, "breed": FieldType.TEXT}
    assert ("Inspection", "Hive") in links(model)
