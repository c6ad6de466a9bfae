from pathlib import Path

import pytest
import yaml

from factory.control.blueprints import find_blueprint, load_blueprint, load_blueprints
from factory.domain.errors import BadInputError, NotFoundError

UNDO: dict[str, object] = {"agent": "product-owner", "goal": "apology"}


def write(folder: Path, **changes: object) -> Path:
    document = {
        "name": "tiny",
        "title": "Tiny",
        "steps": [
            {
                "id": "understand",
                "agent": "vision-architect",
                "inputs": {"all": ["vision"]},
                "produces": "vision-document",
                "phase": "visioning",
            },
            {
                "id": "model",
                "agent": "solution-architect",
                "inputs": {"all": ["vision-document"]},
                "produces": "domain-model",
                "phase": "architecture-modelling",
            },
        ],
        **changes,
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def steps(*changes: dict[str, object]) -> list[dict[str, object]]:
    base: dict[str, object] = {
        "id": "understand",
        "agent": "vision-architect",
        "inputs": {"all": ["vision"]},
        "produces": "vision-document",
        "phase": "visioning",
    }
    return [{**base, **change} for change in changes]


def test_the_package_ships_the_api_service_blueprint() -> None:
    blueprint = find_blueprint("api-service")
    assert blueprint.step("backend").inputs.all == ("domain-model", "api-specification", "event-catalogue")
    assert blueprint.agents[0] == "vision-architect"
    assert blueprint.agents[-1] == "release-manager"


def test_a_folder_adds_blueprints_and_replaces_those_of_the_same_name(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "own.yaml").write_text(write(tmp_path).read_text().replace("tiny", "api-service"))
    found = load_blueprints(tmp_path)
    assert set(found) == {"tiny", "api-service"}
    assert len(found["api-service"].steps) == 2


def test_a_step_may_name_what_undoes_it(tmp_path: Path) -> None:
    changed = steps({"compensation": UNDO, "on_failure": "compensate"}, {"id": "plan", "produces": "backlog"})
    blueprint = load_blueprint(write(tmp_path, steps=changed))
    assert blueprint.compensations["understand"].goal == "apology"
    assert blueprint.agents == ("vision-architect", "product-owner")
    assert blueprint.dependants("understand") == frozenset()
    assert find_blueprint("api-service").dependants("backend") == {
        "deployment",
        "pipeline",
        "test-report",
        "release-plan",
    }


def test_an_unknown_blueprint_is_refused_with_the_known_names() -> None:
    with pytest.raises(NotFoundError, match="Known: api-service"):
        find_blueprint("mobile-game")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": []}, "steps"),
        ({"colour": "red"}, "colour"),
        ({"steps": steps({}, {})}, "named twice"),
        ({"steps": steps({}, {"id": "again"})}, "produced by two steps"),
        ({"steps": steps({"produces": "poem"})}, "unknown kind 'poem'"),
        ({"steps": steps({"inputs": {}})}, "reads nothing"),
        ({"steps": steps({"inputs": {"all": ["backlog"]}})}, "which no step produces"),
        ({"steps": steps({"when": {"artifact": "backlog", "metadata": "stories"}})}, "depends on 'backlog'"),
        ({"steps": steps({"timeout_seconds": 0})}, "timeout_seconds"),
        ({"steps": steps({"phase": "released"})}, "phase"),
        ({"steps": steps({"compensation": "forget"})}, "compensation"),
        ({"steps": steps({"compensation": {"agent": "product-owner"}})}, "goal"),
        ({"steps": steps({"compensation": UNDO | {"max_attempts": 0}})}, "max_attempts"),
        ({"steps": steps({"compensation": UNDO | {"goal": "vision"}})}, "is a step's to produce"),
        ({"steps": steps({"compensation": UNDO | {"goal": "vision-document"}})}, "is a step's to produce"),
        ({"steps": steps({"compensation": UNDO | {"compensation": "withdraw"}})}, "cannot be compensated itself"),
        ({"steps": steps({"on_failure": "shrug"})}, "on_failure"),
        (
            {
                "steps": steps(
                    {"inputs": {"all": ["backlog"]}},
                    {"id": "plan", "inputs": {"all": ["vision-document"]}, "produces": "backlog"},
                )
            },
            "form a circle",
        ),
    ],
)
def test_what_is_wrong_with_a_blueprint_is_named(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        load_blueprint(write(tmp_path, **changed))


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("steps: [")
    with pytest.raises(BadInputError, match="is not YAML"):
        load_blueprint(path)
