"""The backlog: every story, every operation, criteria that can be checked, an order that can be built."""

from typing import Any

from factory.domain.documents import Backlog


def backlog(built: Any) -> Backlog:
    return Backlog.model_validate_json(built.text(".factory/backlog.json"))


def test_every_story_and_every_operation_is_an_item(built: Any) -> None:
    items = backlog(built).items
    assert {story.id for story in built.model.stories} <= {item.story.id for item in items}
    assert {name for item in items for name in item.operations} == {op.name for op in built.model.operations}


def test_every_item_has_criteria_with_unique_ids(built: Any) -> None:
    found = [criterion.id for item in backlog(built).items for criterion in item.criteria]
    assert all(item.criteria for item in backlog(built).items)
    assert len(found) == len(set(found))


def test_every_refusal_of_an_operation_is_a_criterion_once(clinic: Any) -> None:
    checks = [(check.given, check.when, check.then) for item in backlog(clinic).items for check in item.criteria]
    assert len(checks) == len(set(checks))
    assert (
        "a receptionist is signed in",
        "they book an appointment without the start time, the end time, the patient or the doctor",
        "the request is refused, the answer names what is missing, and nothing is stored",
    ) in checks
    assert (
        (
            "a patient is signed in, and an appointment of their own is “booked” but the start time is at "
            "most 24 hours "
            "from now"
        ),
        "they try to cancel the appointment",
        "the request is refused and nothing changes",
    ) in checks
    assert (
        "a patient is signed in and an appointment belongs to someone else",
        "they try to cancel the appointment",
        "the request is refused and nothing changes",
    ) in checks
    assert (
        "an administrator or a patient is signed in",
        "they try to book an appointment",
        "the request is refused and nothing changes",
    ) in checks


def test_an_item_comes_after_what_it_needs(build: Any, products: Any) -> None:
    items = backlog(build(products["large"]())).items
    creations = [name for item in items for name in item.operations if name.startswith("receive")]
    assert creations == [f"receive_part_{letter}" for letter in "abcdefghijklmnopqrst"]
    place = {name: index for index, item in enumerate(items) for name in item.operations}
    assert all(place[f"view_part_{letter}"] > place[f"receive_part_{letter}"] for letter in "abcdefghijklmnopqrst")


def test_a_circle_of_needs_is_cut(build: Any, products: Any) -> None:
    assert [item.story.goal for item in backlog(build(products["cyclic"]())).items] == [
        "create a team",
        "hire an employee",
        "delete an employee",
    ]


def test_a_story_that_nothing_serves_stands_last_and_unsized(clinic: Any) -> None:
    last = backlog(clinic).items[-1]
    assert (last.story.id, last.points, last.operations) == ("US-3", 0, ())
    assert last.epic == "Open questions"


def test_requirements_are_linked(clinic: Any) -> None:
    item = next(item for item in backlog(clinic).items if item.story.id == "US-2")
    assert "FR-03" in item.requirements
    assert any(name.startswith("BR-") for name in item.requirements)


def test_points_grow_with_the_rules(clinic: Any) -> None:
    points = {item.story.goal: item.points for item in backlog(clinic).items}
    assert points["list doctors"] == 1
    assert points["view a patient"] == 1
    assert points["book an appointment for a patient"] == 8
