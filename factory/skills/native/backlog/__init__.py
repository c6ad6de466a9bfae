"""From the vision document and the requirements to stories in the order to build them."""

from factory.domain.artifact import Content
from factory.domain.documents import Backlog, ProductRequirements, VisionDocument
from factory.skills.native.backlog.document import render
from factory.skills.native.backlog.items import write_items
from factory.skills.skill import Make, Skill, SkillContext, SkillResult

JSON_PATH = ".factory/backlog.json"
DOCUMENT_PATH = "docs/backlog.md"


def write_backlog(context: SkillContext) -> SkillResult:
    """Turn every story, and every operation no story names, into an item with acceptance criteria."""
    vision = VisionDocument.model_validate_json(context.input("vision-document").text(".factory/vision-document.json"))
    requirements = ProductRequirements.model_validate_json(
        context.input("product-requirements").text(".factory/product-requirements.json")
    )
    planned = write_items(vision.draft, requirements)
    backlog = Backlog(title=vision.title, items=tuple(entry.item for entry in planned))
    files = {
        JSON_PATH: backlog.model_dump_json(indent=2) + "\n",
        DOCUMENT_PATH: render(vision.draft, backlog, planned),
    }
    return SkillResult(
        content=Content(files=files),
        metadata={"stories": len(backlog.items), "points": sum(item.points for item in backlog.items)},
    )


SKILLS: tuple[Skill, ...] = (
    Skill(
        name="native-backlog",
        produces="backlog",
        consumes=("vision-document", "product-requirements"),
        make=Make.NATIVE,
        run=write_backlog,
    ),
)
