"""What skills take from memory: fields a vision leaves open, decisions on the same question; with their origin."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from factory.domain.artifact import ArtifactRef, ArtifactStatus, Content
from factory.domain.documents import VisionDocument
from factory.domain.memory import RecalledPassage
from factory.domain.product import DomainModel, Entity
from factory.domain.project import Project, ProjectStatus
from factory.skills.native.architecture import write_architecture
from factory.skills.native.domain_model import write_domain_model
from factory.skills.native.vision_document import parse_vision
from factory.skills.skill import Recalled, SkillContext, SkillResult

NOW = datetime(2026, 3, 14, tzinfo=UTC)
SHOP = """# Book shop

A shop sells books.

- Book: title, isbn (unique), price (money), pages (number)?, genre (one of novel, poetry)

As a clerk I want to register a book so that it can be sold.
As a clerk I want to list books.
"""
LIBRARY = """# Library

As a librarian I want to register a book so that it can be lent.
As a librarian I want to list books.
"""


def project(name: str, number: int) -> Project:
    return Project(
        id=UUID(int=number),
        name=name,
        slug=name.lower(),
        blueprint="api-service",
        status=ProjectStatus.VISIONING,
        trace_id="0" * 31 + "1",
        created_at=NOW,
        updated_at=NOW,
    )


def recalled(content: Content | None, kind: str, *, path: str = "", title: str = "", number: int = 1) -> Recalled:
    ref = ArtifactRef(
        id=UUID(int=100 + number),
        project_id=UUID(int=number),
        kind=kind,
        version=1,
        hash="0" * 64,
        uri="file:///blob",
        status=ArtifactStatus.VALID,
        agent="solution-architect",
        trace_id="0" * 31 + "1",
        task_id=UUID(int=9),
        created_at=NOW,
    )
    passage = RecalledPassage(
        document_key=f"{number}/{kind}/{path}",
        project_id=str(UUID(int=number)),
        project="Book shop",
        kind=kind,
        version=1,
        path=path,
        title=title,
        text="",
        score=1.0,
        chunk_id=f"{number:032x}",
        artifact=ref,
    )
    return Recalled(passage, content)


def model_of(vision: str, name: str, *memory: Recalled) -> SkillResult:
    document: VisionDocument = parse_vision(vision, name)
    inputs = {"vision-document": Content(files={".factory/vision-document.json": document.model_dump_json()})}
    return write_domain_model(SkillContext(project(name, 7), inputs, memory=memory))


def read(result: SkillResult) -> DomainModel:
    return DomainModel.model_validate_json(result.content.text(".factory/domain-model.json"))


def shop() -> Recalled:
    page = "docs/domain-model.md"
    return recalled(model_of(SHOP, "Book shop").content, "domain-model", path=page, title="Entities > Book")


def fields(entity: Entity) -> dict[str, str]:
    return {item.name: item.type.value for item in entity.fields}


def test_fields_that_the_vision_leaves_open_are_reused_and_say_from_where() -> None:
    source = shop()
    alone, helped = model_of(LIBRARY, "Library"), model_of(LIBRARY, "Library", source)
    assert fields(read(alone).entity("Book")) == {"title": "text"}
    model = read(helped)
    assert fields(model.entity("Book")) == {
        "title": "text",
        "isbn": "text",
        "price": "money",
        "pages": "integer",
        "genre": "enum",
    }
    assert model.enum("BookGenre").values == ("novel", "poetry")
    assert {item.trace.rule for item in model.entity("Book").fields} == {"reused-definition"}
    page = helped.content.text("docs/domain-model.md")
    assert "| `isbn` | text | yes |" in page
    assert page.count("(reused from project Book shop, domain-model v1)") == 5
    assert "the definition is reused from project Book shop, domain-model v1" in page
    taken = cast("Mapping[str, str]", helped.metadata["reused_fields"])
    assert taken["Book.isbn"] == "reused from project Book shop, domain-model v1"
    assert helped.recalled == (source.passage,)


def test_equal_memory_gives_equal_bytes_and_none_changes_nothing() -> None:
    assert model_of(LIBRARY, "Library", shop()).content == model_of(LIBRARY, "Library", shop()).content
    alone = model_of(LIBRARY, "Library")
    assert (alone.recalled, "reused_fields" in alone.metadata) == ((), False)


def test_what_the_vision_states_is_never_replaced() -> None:
    stated = f"{LIBRARY}\n- Book: title, shelf\n"
    assert model_of(stated, "Library", shop()).content == model_of(stated, "Library").content


def test_a_guess_is_no_definition_and_the_next_one_is_taken() -> None:
    guess = recalled(model_of(LIBRARY, "Other").content, "domain-model", number=2)
    assert not model_of(LIBRARY, "Library", guess).recalled
    assert model_of(LIBRARY, "Library", guess, shop()).recalled == (shop().passage,)


@pytest.mark.parametrize(
    "content", [None, Content(files={}), Content(files={".factory/domain-model.json": '{"of": "another time"}'})]
)
def test_memory_that_cannot_be_read_is_done_without(content: Content | None) -> None:
    broken = recalled(content, "domain-model", number=3)
    assert model_of(LIBRARY, "Library", broken).content == model_of(LIBRARY, "Library").content


def test_a_reused_definition_gives_way_to_relations_and_values_of_the_new_vision() -> None:
    earlier = recalled(
        model_of(
            "# Shop\n\n- Book: title, shelf, genre (one of novel, poetry)\n\nAs a clerk I want to list books.\n", "Shop"
        ).content,
        "domain-model",
    )
    vision = (
        "# Library\n\nEach book belongs to a shelf.\n\n"
        "As a librarian I want to register a book so that it can be lent.\n"
        "As a librarian I want to list shelves.\n"
    )
    model = read(model_of(vision, "Library", earlier))
    names = [*fields(model.entity("Book")), *(relation.name for relation in model.relations_of("Book"))]
    assert len(names) == len(set(names))
    assert "shelf" in {relation.name for relation in model.relations_of("Book")}
    assert "genre" in names


def test_decisions_cite_the_earlier_one_on_the_same_question(clinic: Any, build: Any, products: Any) -> None:
    tiny = build(products["tiny"]())
    source = recalled(
        Content(
            files={path: text for path, text in tiny.files.items() if "architecture" in path or "decisions" in path}
        ),
        "architecture",
        path="docs/decisions/0001-keep-the-data-in-postgresql.md",
    )
    inputs = {**clinic.contents}
    alone = write_architecture(SkillContext(project("Clinic", 7), inputs))
    helped = write_architecture(SkillContext(project("Clinic", 7), inputs, memory=(source,)))
    same = helped.content.text("docs/decisions/0001-keep-the-data-in-postgresql.md")
    assert "project Book shop, architecture v1, 0001-keep-the-data-in-postgresql.md chose the same." in same
    other = helped.content.text("docs/decisions/0002-separate-domain-persistence-api-and-events.md")
    assert 'chose: "Four packages under src/tiny' in other.replace("\\", "") or "chose: " in other
    assert helped.metadata["cited"] == 4
    assert helped.recalled == (source.passage,)
    outbox = next(path for path in helped.content.files if "outbox" in path)
    assert "Earlier decision" not in helped.content.text(outbox)
    assert alone.recalled == ()
    assert not any("Earlier decision" in text for text in alone.content.files.values())
