"""What a project taught is said once, plainly, and names what it is from."""

from collections.abc import Callable, Mapping

import pytest

from factory.actors.utility.knowledge import distil
from factory.domain.artifact import Content
from factory.domain.product import DomainModel
from factory.events.contracts.memory import KnowledgeCurated

Products = Mapping[str, Callable[[], DomainModel]]


def contents(model: DomainModel) -> dict[str, Content]:
    return {
        "domain-model": Content(files={".factory/domain-model.json": model.model_dump_json()}),
        "backend": Content(files={"a.py": "x = 1\n", "b.py": "y = 2\n"}),
    }


def test_each_entity_has_one_note(products: Products) -> None:
    model = products["clinic"]()
    notes = {note.name: note for note in distil("Clinic", contents(products["clinic"]()))}
    assert {f"entity/{entity.name}" for entity in model.entities} | {"product"} <= notes.keys()
    assert notes["product"].sources == ["backend", "domain-model"]
    assert "- backend: 2 files, 2 lines" in notes["product"].text
    for entity in model.entities:
        text = notes[f"entity/{entity.name}"].text
        assert all(f"- {field.name}: " in text for field in entity.fields)
        assert text.startswith(f"# {entity.label} in Clinic\n")


def test_equal_artifacts_teach_the_same(products: Products) -> None:
    assert distil("Clinic", contents(products["clinic"]())) == distil("Clinic", contents(products["clinic"]()))


@pytest.mark.parametrize("name", ["clinic", "hostile", "large", "silent", "tiny", "cyclic"])
def test_the_notes_of_any_product_fit_into_an_event(products: Products, name: str) -> None:
    curated = KnowledgeCurated(revision=1, notes=distil("Any", contents(products[name]())))
    assert len(curated.notes) > 1
    assert all(note.text.strip() and len(note.text) <= 4_000 for note in curated.notes)
    assert len(curated.model_dump_json()) < 256 * 1024


@pytest.mark.parametrize("kept", [{}, {"domain-model": Content(files={"docs/domain-model.md": "# x\n"})}])
def test_a_project_without_a_model_teaches_nothing(kept: dict[str, Content]) -> None:
    assert distil("Odd", kept) == []
