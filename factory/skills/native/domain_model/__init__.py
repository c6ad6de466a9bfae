"""Vision document → domain model: the product, precise enough to derive code from, as data and as a page."""

from factory.domain.artifact import Content
from factory.domain.documents import VisionDocument
from factory.skills.native.domain_model.page import render_model
from factory.skills.skill import Make, Skill, SkillContext, SkillResult

__all__ = ["SKILLS", "write_domain_model"]


def write_domain_model(context: SkillContext) -> SkillResult:
    """Take the model out of the vision document, check it again and describe it."""
    document = VisionDocument.model_validate_json(
        context.input("vision-document").text(".factory/vision-document.json")
    )
    model = document.draft
    files = {
        ".factory/domain-model.json": model.model_dump_json(indent=2) + "\n",
        "docs/domain-model.md": render_model(model),
    }
    return SkillResult(
        content=Content(files=files),
        metadata={
            "entities": len(model.entities),
            "relations": len(model.relations),
            "operations": len(model.operations),
            "events": len(model.events),
            "policies": len(model.policies),
        },
    )


SKILLS: tuple[Skill, ...] = (
    Skill(
        name="native-domain-model",
        produces="domain-model",
        consumes=("vision-document",),
        make=Make.NATIVE,
        run=write_domain_model,
    ),
)
