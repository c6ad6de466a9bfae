"""Vision → vision document: a vision's text understood as a product, with every guess written down."""

from factory.domain.artifact import Content
from factory.skills.native.language.parser import language
from factory.skills.native.vision_document.render import render_vision
from factory.skills.native.vision_document.vision import check_vision, parse_vision
from factory.skills.skill import Make, Skill, SkillContext, SkillResult

__all__ = ["SKILLS", "check_vision", "parse_vision", "write_vision_document"]


def write_vision_document(context: SkillContext) -> SkillResult:
    """Read the vision and write the vision document.

    Raises:
        BadInputError: Nothing can be built from the vision.
    """
    text = context.input("vision").text(".factory/vision.md")
    document = parse_vision(text, context.project.name)
    files = {
        "docs/vision.md": render_vision(document),
        ".factory/vision-document.json": document.model_dump_json(indent=2) + "\n",
    }
    return SkillResult(
        content=Content(files=files),
        metadata={
            "actors": len(document.draft.actors),
            "entities": len(document.draft.entities),
            "stories": len(document.draft.stories),
            "assumptions": len(document.draft.assumptions),
        },
    )


SKILLS: tuple[Skill, ...] = (
    Skill(
        name="native-vision-document",
        produces="vision-document",
        consumes=("vision",),
        make=Make.NATIVE,
        run=write_vision_document,
        prepare=language,
    ),
)
