"""From the vision document to what the product must do, in EARS form."""

from factory.domain.artifact import Content
from factory.domain.documents import ProductRequirements, VisionDocument
from factory.skills.native.product_requirements.document import render
from factory.skills.native.product_requirements.measures import success_measures
from factory.skills.native.product_requirements.requirements import argue
from factory.skills.skill import Make, Skill, SkillContext, SkillResult

JSON_PATH = ".factory/product-requirements.json"
DOCUMENT_PATH = "docs/requirements.md"


def write_product_requirements(context: SkillContext) -> SkillResult:
    """Derive every requirement of the vision's draft, with its priority and the reason for it."""
    vision = VisionDocument.model_validate_json(context.input("vision-document").text(".factory/vision-document.json"))
    argued = argue(vision.draft)
    requirements = ProductRequirements(
        title=vision.title,
        requirements=tuple(entry.requirement for entry in argued),
        success_measures=success_measures(vision),
        assumptions=vision.draft.assumptions,
    )
    files = {
        JSON_PATH: requirements.model_dump_json(indent=2) + "\n",
        DOCUMENT_PATH: render(vision, requirements, argued),
    }
    return SkillResult(
        content=Content(files=files),
        metadata={
            "requirements": len(requirements.requirements),
            "must": sum(entry.requirement.priority == "must" for entry in argued),
        },
    )


SKILLS: tuple[Skill, ...] = (
    Skill(
        name="native-product-requirements",
        produces="product-requirements",
        consumes=("vision-document",),
        make=Make.NATIVE,
        run=write_product_requirements,
    ),
)
