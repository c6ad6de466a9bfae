"""From the domain model to the pipeline that checks every change of the generated service."""

from pathlib import Path

from factory.domain.artifact import Content
from factory.domain.product import DomainModel
from factory.skills.native.deployment import object_name
from factory.skills.native.rendering.templates import code_environment
from factory.skills.skill import Make, Skill, SkillContext, SkillResult

PATH = ".github/workflows/ci.yml"
_TEMPLATES = code_environment(Path(__file__).parent / "templates")


def write_pipeline(context: SkillContext) -> SkillResult:
    """Write the workflow; it runs the Makefile's targets and builds the image."""
    model = DomainModel.model_validate_json(context.input("domain-model").text(".factory/domain-model.json"))
    text = _TEMPLATES.get_template("ci.yml.jinja").render(name=object_name(model.slug))
    return SkillResult(content=Content(files={PATH: text}))


SKILLS: tuple[Skill, ...] = (
    Skill(
        name="native-pipeline",
        produces="pipeline",
        consumes=("domain-model",),
        make=Make.NATIVE,
        run=write_pipeline,
    ),
)
