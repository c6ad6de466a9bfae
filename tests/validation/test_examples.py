"""What the skills make of the shipped examples is found good by every rule."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from factory.control.blueprints import find_blueprint
from factory.domain.artifact import KINDS, Content
from factory.domain.ids import derived_id
from factory.domain.project import Project, ProjectStatus
from factory.skills.catalogue import load_catalogue
from factory.skills.skill import SkillContext, SkillResult
from factory.skills.validation import correct, validate
from tests.validation.library import project as library

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "visions").glob("*.md"))
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("vision", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_made_without_an_error_or_a_correction(vision: Path) -> None:
    # The project's own tests have a test of their own; here their report stands for those that passed.
    contents = {
        "vision": Content(files={".factory/vision.md": vision.read_text(encoding="utf-8")}),
        "test-report": library()["test-report"],
    }
    made_for = Project(
        id=derived_id(vision.stem),
        name=vision.stem,
        slug=vision.stem,
        blueprint="api-service",
        status=ProjectStatus.DEVELOPMENT,
        trace_id="1" * 32,
        created_at=MOMENT,
        updated_at=MOMENT,
    )
    # Plugins of other tests may have registered kinds of their own in this process.
    made = {step.produces for step in find_blueprint("api-service").steps}
    for kind in [kind for kind in KINDS if kind in made | contents.keys()]:
        if kind not in contents:
            contents[kind] = _make(kind, SkillContext(project=made_for, inputs=dict(contents)))
        _, corrections = correct(kind, contents[kind])
        assert corrections == ()
        siblings = {name: content for name, content in contents.items() if name != kind}
        assert [found for found in validate(kind, contents[kind], siblings) if found.severity == "error"] == []


def _make(kind: str, context: SkillContext) -> Content:
    skill = next(skill for skill in load_catalogue() if skill.produces == kind)
    result = skill.run(context)
    assert isinstance(result, SkillResult)
    return result.content
