"""A domain model that names what it does not have is refused, with every such name."""

from typing import Any

import pytest
from pydantic import ValidationError

from factory.domain.product import DomainModel

TRACE = {"start": 0, "end": 0, "text": "", "rule": "test", "confidence": 1}


def field(name: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "trace": TRACE, **more}


def model() -> dict[str, Any]:
    """A clinic of two entities, in which every kind of reference occurs once."""
    return {
        "name": "Clinic",
        "slug": "clinic",
        "summary": "Appointments.",
        "actors": [{"name": "clerk", "label": "Clerk", "entity": "Patient", "trace": TRACE}],
        "entities": [
            {
                "name": "Patient",
                "collection": "patients",
                "label": "Patient",
                "fields": [field("email")],
                "trace": TRACE,
            },
            {
                "name": "Visit",
                "collection": "visits",
                "label": "Visit",
                "fields": [
                    field("starts", "datetime"),
                    field("ends", "datetime"),
                    field("status", "enum", enum="VisitStatus"),
                ],
                "trace": TRACE,
            },
        ],
        "enums": [{"name": "VisitStatus", "values": ["booked", "cancelled"], "trace": TRACE}],
        "relations": [
            {
                "source": "Visit",
                "name": "patient",
                "target": "Patient",
                "kind": "many-to-one",
                "inverse": "visits",
                "trace": TRACE,
            }
        ],
        "lifecycles": [
            {
                "entity": "Visit",
                "field": "status",
                "initial": "booked",
                "transitions": [
                    {
                        "name": "cancel",
                        "sources": ["booked"],
                        "target": "cancelled",
                        "actors": ["clerk"],
                        "event": "VisitCancelled",
                        "trace": TRACE,
                    }
                ],
                "trace": TRACE,
            }
        ],
    }


def put(document: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    place: Any = document
    for part in parents:
        place = place[int(part) if part.isdecimal() else part]
    place[int(last) if last.isdecimal() else last] = value


def test_a_model_whose_names_agree_is_accepted() -> None:
    assert DomainModel.model_validate(model()).entity("Visit").collection == "visits"


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("actors.0.entity", "Person", "actor clerk names the unknown entity Person"),
        ("relations.0.target", "Person", "relation Visit.patient names the unknown entity Person"),
        ("entities.1.fields.2.enum", "Status", "Visit.status names the unknown enum Status"),
        ("entities.1.fields.1.name", "starts", "attribute of Visit 'starts' is named more than once"),
        ("entities.1.fields.1.name", "patient", "attribute of Visit 'patient' is named more than once"),
        ("entities.0.fields.0.name", "visits", "attribute of Patient 'visits' is named more than once"),
        ("entities.1.name", "Patient", "entity 'Patient' is named more than once"),
        ("entities.1.collection", "patients", "collection 'patients' is named more than once"),
        ("lifecycles.0.entity", "Person", "lifecycle of Person: no such entity"),
        ("lifecycles.0.field", "starts", "lifecycle of Visit: starts is not an enum field"),
        ("lifecycles.0.initial", "planned", "lifecycle of Visit: 'planned' is not a value of VisitStatus"),
        ("lifecycles.0.transitions.0.actors.0", "nurse", "transition cancel names the unknown actor nurse"),
    ],
)
def test_a_name_that_leads_nowhere_or_stands_twice_is_refused(path: str, value: str, problem: str) -> None:
    document = model()
    put(document, path, value)
    with pytest.raises(ValidationError) as refused:
        DomainModel.model_validate(document)
    assert problem in str(refused.value)


def test_every_problem_is_told_at_once() -> None:
    document = model()
    put(document, "actors.0.entity", "Person")
    put(document, "lifecycles.0.initial", "planned")
    with pytest.raises(ValidationError) as refused:
        DomainModel.model_validate(document)
    assert str(refused.value).count("; ") == 1
