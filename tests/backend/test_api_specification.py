"""The API specification is valid and says what the model says."""

from typing import Any

import pytest
import yaml
from openapi_spec_validator import validate

from tests.backend.conftest import generate
from tests.backend.models import MODELS


def specification(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(generate(MODELS[name]())["specs/openapi.yaml"])
    return document


@pytest.mark.parametrize("name", MODELS)
def test_it_is_valid(name: str) -> None:
    validate(specification(name))


def test_operations_have_the_names_of_the_domain() -> None:
    paths = specification("clinic")["paths"]
    assert paths["/appointments/{id}/cancel"]["post"]["operationId"] == "cancel_appointment"
    assert paths["/appointments"]["post"]["operationId"] == "book_appointment"
    assert set(paths["/doctors"]) == {"get", "post"}
    assert set(paths["/doctors/{id}"]) == {"delete"}


def test_a_change_takes_its_fields_and_no_others() -> None:
    schemas = specification("clinic")["components"]["schemas"]
    assert set(schemas["RescheduleAppointment"]["properties"]) == {"start", "end"}
    assert set(schemas["AssignAppointment"]["properties"]) == {"doctor_id"}
    assert "status" not in schemas["BookAppointment"]["properties"]
    assert "status" in schemas["Appointment"]["properties"]


def test_every_operation_documents_its_problems() -> None:
    for path, item in specification("clinic")["paths"].items():
        for operation in item.values():
            if path.startswith("/health"):
                continue
            responses = operation["responses"]
            assert {"401", "403", "422"} <= set(responses)
            assert ("404" in responses) == ("{id}" in path)
            for status, response in responses.items():
                if int(status) >= 400:
                    assert set(response["content"]) == {"application/problem+json"}


def test_operations_of_one_kind_share_an_endpoint() -> None:
    operation = specification("school")["paths"]["/students"]["post"]
    assert operation["operationId"] == "admit_student"
    assert operation["description"] == "For: registrar. For their own records only: student."
