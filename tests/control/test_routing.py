"""The tables of the routing rules."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from factory.control.routing import Received, RoutingRules, filled
from factory.domain.errors import BadInputError, TerminalError

BODY: dict[str, JsonValue] = {
    "title": "Clinic",
    "count": 3,
    "open": True,
    "author": {"name": "Ada"},
    "tags": ["a"],
    "nothing": None,
}


def rules(*entries: dict[str, Any]) -> RoutingRules:
    return RoutingRules.model_validate({"rules": entries})


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ({}, True),
        ({"kind": "note.added"}, True),
        ({"kind": "note.*"}, True),
        ({"kind": ["x", "note.added"]}, True),
        ({"kind": "vision.submitted"}, False),
        ({"source": "door"}, True),
        ({"source": "window"}, False),
        ({"topic": "vision"}, True),
        ({"topic": "system"}, False),
        ({"body": {"title": "Clinic"}}, True),
        ({"body": {"title": "clinic"}}, False),
        ({"body": {"author.name": "Ada"}}, True),
        ({"body": {"author.name.first": "Ada"}}, False),
        ({"body": {"author": {"name": "Ada"}}}, True),
        ({"body": {"open": True}}, True),
        ({"body": {"open": 1}}, False),
        ({"body": {"nothing": None}}, True),
        ({"body": {"missing": None}}, False),
        ({"body": {"title": {"exists": True}}}, True),
        ({"body": {"missing": {"exists": True}}}, False),
        ({"body": {"missing": {"exists": False}}}, True),
        ({"body": {"title": {"exists": False}}}, False),
        ({"body": {"title": {"any_of": ["Library", "Clinic"]}}}, True),
        ({"body": {"title": {"any_of": ["Library"]}}}, False),
        ({"body": {"title": {"like": "Cl*c"}}}, True),
        ({"body": {"count": {"like": "3"}}}, False),
        ({"body": {"count": {"at_least": 3}}}, True),
        ({"body": {"count": {"at_least": 3.5}}}, False),
        ({"body": {"count": {"at_least": 1, "at_most": 3}}}, True),
        ({"body": {"count": {"at_most": 2}}}, False),
        ({"body": {"open": {"at_least": 0}}}, False),
        ({"body": {"title": {"at_least": 0}}}, False),
        ({"body": {"title": "Clinic", "count": 4}}, False),
    ],
)
def test_a_rule_matches_by_kind_source_topic_and_body(when: dict[str, Any], matches: bool) -> None:  # noqa: FBT001
    event = Received(kind="note.added", source="door", topic="vision", body=BODY)
    found = rules({"name": "mine", "when": when, "to": {"nobody": "seen"}}).route(event)
    assert (found.rule == "mine") is matches
    assert ("mine" in found.passed_over) is not matches


def test_the_first_match_wins_and_the_others_say_why_not() -> None:
    found = rules(
        {"name": "one", "when": {"kind": "x"}, "to": {"nobody": "n"}},
        {"name": "two", "when": {"body": {"count": {"at_least": 5}}}, "to": {"nobody": "n"}},
        {"name": "three", "to": {"agent": "writer", "goal": "book"}},
        {"name": "four", "to": {"nobody": "n"}},
    ).route(Received(kind="note.added", body=BODY))
    assert found.rule == "three"
    assert str(found.target) == "agent writer for book"
    assert found.passed_over == {"one": "its kind is 'note.added', not x", "two": "count is 3, less than 5"}


def test_without_a_match_nobody_gets_it() -> None:
    found = rules().route(Received(kind="x"))
    assert (found.rule, found.target.nobody) == (None, "no rule matches it")


@pytest.mark.parametrize(
    ("template", "expected"),
    [("{title} by {author.name}", "Clinic by Ada"), ("{count}", "3"), ("{ title }", "{ title }"), ("", "")],
)
def test_texts_take_values_from_the_body(template: str, expected: str) -> None:
    assert filled(template, BODY) == expected


@pytest.mark.parametrize("template", ["{missing}", "{author}", "{open}", "{nothing}", "{tags}"])
def test_a_value_that_is_no_text_is_named(template: str) -> None:
    with pytest.raises(TerminalError, match=template[1:-1]):
        filled(template, BODY)


def test_a_value_is_never_read_as_a_template() -> None:
    assert filled("{title}", {"title": "{author.name}", "author": {"name": "Ada"}}) == "{author.name}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [{name: x, to: {}}]", "exactly one"),
        ("rules: [{name: x, to: {agent: a, goal: g, nobody: n}}]", "exactly one"),
        ("rules: [{name: x, to: {agent: a}}]", "needs a goal"),
        ("rules: [{name: x, to: {nobody: n, inputs: [book]}}]", "belong to an agent"),
        ("rules: [{name: x, to: {workflow: {name: y}}}]", "vision"),
        ("rules: [{name: x, when: {king: y}, to: {nobody: n}}]", "king"),
        ("rules: [{name: x, when: {body: {a: {any_of: []}}}, to: {nobody: n}}]", "any_of"),
        ("rules: [{name: vision-submitted, to: {nobody: n}}]", "named twice"),
        ("[]x", "cannot be used"),
        ("rules: 3", "cannot be used"),
    ],
)
def test_rules_that_make_no_sense_are_refused_with_their_fault(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=r"mine\.yaml") as caught:
        RoutingRules.load(path)
    assert said in str(caught.value)


def test_own_rules_come_first(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("rules: [{name: mine, to: {nobody: closed today}}]")
    found = RoutingRules.load(path).route(Received(kind="vision.submitted", body={"vision": "x"}))
    assert (found.rule, found.target.nobody) == ("mine", "closed today")
