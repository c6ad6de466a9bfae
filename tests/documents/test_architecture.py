"""The architecture and its decisions: they follow from the model and claim nothing else."""

import re
from typing import Any

from factory.skills.native.service_design.design import design_service


def titles(built: Any) -> list[str]:
    return [
        text.splitlines()[0].partition(". ")[2]
        for path, text in sorted(built.files.items())
        if path.startswith("docs/decisions/")
    ]


def test_decisions_are_numbered_without_a_gap_and_linked(built: Any) -> None:
    paths = sorted(path for path in built.files if path.startswith("docs/decisions/"))
    assert [int(path.split("/")[-1][:4]) for path in paths] == list(range(1, len(paths) + 1))
    for path in paths:
        assert path.removeprefix("docs/") in built.text("docs/architecture.md")
        assert re.search(r"^Date: 2026-03-14$", built.text(path), re.MULTILINE)


def test_a_plain_product_makes_no_decision_it_does_not_need(build: Any, products: Any) -> None:
    assert titles(build(products["tiny"]())) == [
        "Keep the data in PostgreSQL",
        "Separate domain, persistence, API and events",
        "Authenticate with JWT that carry a role",
        "Answer errors with problem documents",
    ]


def test_the_model_causes_decisions(clinic: Any, build: Any, products: Any) -> None:
    assert {
        "Publish events through an outbox",
        "Change states by named transitions only",
        "Let the database hold uniqueness",
        "Count under a lock where a number is limited",
        "Derive ownership from relations",
        "Keep plain links in link tables",
        "Delete only what nothing refers to",
        "Send exact numbers as strings",
        "Mark personal data in the model",
        "Leave some stated rules to people",
    } <= set(titles(clinic))
    assert "Relax references that close a circle" in titles(build(products["cyclic"]()))


def test_every_operation_stands_in_the_table_of_permissions(built: Any) -> None:
    document = built.text("docs/architecture.md")
    for resource in design_service(built.model).resources:
        for endpoint in resource.endpoints:
            assert f"| `{endpoint.method.upper()} {endpoint.path}` |" in document


def test_permissions_tell_own_from_all(clinic: Any) -> None:
    assert "| `POST /appointments/{id}/cancel` | yes | \N{EN DASH} | own |" in clinic.text("docs/architecture.md")


def test_no_event_is_promised_where_there_are_none(build: Any, products: Any) -> None:
    document = build(products["tiny"]()).text("docs/architecture.md")
    assert "stays empty: the product publishes no events" in document
    assert "relay pod" not in document
    assert "receiver" not in document
    assert "asyncapi" not in document


def test_qualities_without_a_figure_are_open_points(clinic: Any) -> None:
    document = clinic.text("docs/architecture.md")
    assert "- NFR-2 (usability) has no figure to hold it to." in document
    assert "95 % of bookings answer within 300 ms, shown by a load test against staging" in document
