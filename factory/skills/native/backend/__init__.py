"""The backend: a service made from the domain model, with its tests, migration and commands."""

from factory.domain.artifact import Content
from factory.domain.product import DomainModel
from factory.skills.native.backend.project import project_files
from factory.skills.native.service_design.design import design_service
from factory.skills.skill import Make, Skill, SkillContext, SkillResult


def write_backend(context: SkillContext) -> SkillResult:
    """Return the service for the project's domain model."""
    model = DomainModel.model_validate_json(context.input("domain-model").text(".factory/domain-model.json"))
    design = design_service(model)
    files = project_files(design)
    return SkillResult(
        content=Content(files=files),
        metadata={
            "package": design.package,
            "files": len(files),
            "endpoints": sum(len(one.endpoints) for one in design.resources),
        },
    )


SKILLS: tuple[Skill, ...] = (
    Skill(
        name="native-backend",
        produces="backend",
        consumes=("domain-model", "api-specification", "event-catalogue"),
        make=Make.NATIVE,
        run=write_backend,
    ),
)
