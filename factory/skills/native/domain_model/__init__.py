"""Vision document → domain model: the product, precise enough to derive code from, as data and as a page."""

from pydantic import JsonValue

from factory.domain.artifact import Content
from factory.domain.documents import VisionDocument
from factory.skills.native.domain_model.page import render_model
from factory.skills.native.domain_model.reuse import MODEL_PATH, reuse
from factory.skills.skill import Make, Skill, SkillContext, SkillResult

__all__ = ["SKILLS", "write_domain_model"]


def write_domain_model(context: SkillContext) -> SkillResult:
    """Take the model out of the vision document, fill in from memory what it leaves open, check and describe it."""
    document = VisionDocument.model_validate_json(
        context.input("vision-document").text(".factory/vision-document.json")
    )
    reused = reuse(document.draft, context.memory)
    model = reused.model
    files = {
        MODEL_PATH: model.model_dump_json(indent=2) + "\n",
        "docs/domain-model.md": render_model(model, reused.origins),
    }
    taken: dict[str, JsonValue] = {f"{entity}.{name}": origin for (entity, name), origin in reused.origins.items()}
    return SkillResult(
        content=Content(files=files),
        metadata={
            "entities": len(model.entities),
            "relations": len(model.relations),
            "operations": len(model.operations),
            "events": len(model.events),
            "policies": len(model.policies),
            **({"reused_fields": taken} if taken else {}),
        },
        recalled=reused.recalled,
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
