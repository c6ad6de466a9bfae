"""The way from a vision's text to the vision document."""

from functools import lru_cache

from factory.domain.documents import VisionDocument
from factory.domain.errors import BadInputError
from factory.skills.native.vision_document.assembly import assemble
from factory.skills.native.vision_document.completion import complete_entities, connect_actors, settle_operations
from factory.skills.native.vision_document.declarations import declare
from factory.skills.native.vision_document.deeds import find_deeds
from factory.skills.native.vision_document.draft import Draft
from factory.skills.native.vision_document.guards import find_guards
from factory.skills.native.vision_document.lifecycles import find_lifecycles
from factory.skills.native.vision_document.operations import build_operations
from factory.skills.native.vision_document.people import find_actors
from factory.skills.native.vision_document.policies import find_policies
from factory.skills.native.vision_document.qualities import find_goals, find_out_of_scope, find_problem, find_title
from factory.skills.native.vision_document.readings import read_statements
from factory.skills.native.vision_document.source import read_source
from factory.skills.native.vision_document.things import find_things


@lru_cache(maxsize=8)
def parse_vision(text: str, name_hint: str | None = None) -> VisionDocument:
    """Understand a vision.

    Args:
        text: The Markdown a person wrote.
        name_hint: Name to use where the vision has none, such as the file's.

    Raises:
        BadInputError: Nothing can be built from it; the message names what is missing and how to add it.
    """
    draft = Draft(read_source(text))
    blocks = draft.source.blocks
    used = declare(draft, blocks)
    statements = read_statements(draft, blocks, used)
    find_actors(draft, blocks, statements)
    find_things(draft, statements)
    if not draft.entities:
        raise BadInputError(
            "the vision names no thing that the product keeps, so there is nothing to build.",
            remedy="Say what people do with which things ('Receptionists book appointments for patients'), or "
            "add a section "
            "'## Entities' with lines such as '- Appointment: start time, end time, status (booked | "
            "cancelled | done)'.",
            field="vision",
        )
    connect_actors(draft)
    find_deeds(draft, statements)
    complete_entities(draft)
    find_lifecycles(draft, statements)
    find_guards(draft, statements)
    build_operations(draft)
    settle_operations(draft)
    find_policies(draft, statements)
    title = find_title(draft, name_hint)
    model = assemble(draft, title)
    return VisionDocument(
        title=title,
        summary=model.summary,
        problem=find_problem(draft),
        goals=tuple(find_goals(draft)),
        out_of_scope=tuple(find_out_of_scope(draft)),
        draft=model,
    )


def check_vision(text: str) -> None:
    """Refuse a vision from which nothing can be built.

    Raises:
        BadInputError: As `parse_vision`.
    """
    parse_vision(text)
