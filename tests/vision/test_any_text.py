"""Whatever is written: a model with true traces, or an error that says what to do."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from factory.domain.errors import BadInputError
from factory.domain.product import DomainModel, Trace
from factory.skills.native.vision_document import check_vision, parse_vision

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "visions").glob("*.md"))
PIECES = st.sampled_from(
    [
        "# Shop", "## Entities", "## Rules", "## Who uses it", "## Stories", "\n", "---", "| a | b |", "```", "<!-- x", "**", "- ", "  - ",  # noqa: E501 - a list of words
        "- Order: date, status (open | paid | open), total; belongs to Customer; belongs to Customer as buyer",
        (
                "- Customer: name, email (unique), note?, class, from, id, 2nd phone, created at"
            ), "- Straße: größe (klein|groß)",
        (
                "As a clerk I want to book an order for a customer so that it is done."
            ), "As a  I want", "As a clerk, I want to cancel my order.",
        (
                "Customers can pay orders and cancel them until 2 days before they start."
            ), (
                "A customer may have at most 3 open orders."
            ),
        "The total must be positive.", "An order is either new, paid or lost.", "Order: -> paid -> shipped", (
                "Items belong to orders and orders consist of items."
            ),
        "Ω∑ 漢字 🚀", "status: a -> b", "- X:", ": y", "- A: b; belongs to B; belongs to A; has many A", "\ufeff", "\r\n", "name: x", "As a user I want to log in.",  # noqa: E501 - a list of words
        "- " + "very " * 30 + "long: field", "We keep 3, 4 and 5.", "Users assign tickets to agents.", (
                "Parents have children; children have parents."
            ),
    ]
)  # fmt: skip


def traces(value: object) -> list[Trace]:
    if isinstance(value, Trace):
        return [value]
    if isinstance(value, BaseModel):
        return [trace for name in type(value).model_fields for trace in traces(getattr(value, name))]
    if isinstance(value, tuple):
        return [trace for item in value for trace in traces(item)]
    return []


def check(text: str) -> DomainModel | None:
    try:
        model = parse_vision(text, "sample").draft
    except BadInputError as error:
        if not (error.message and error.remedy):
            pytest.fail("an error must say what is wrong and what to do")
        return None
    assert model.entities
    assert all(text[trace.start : trace.end] == trace.text for trace in traces(model))
    return model


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_trace_of_an_example_is_a_slice_of_the_vision(path: Path) -> None:
    model = check(path.read_text(encoding="utf-8"))
    assert model is not None
    stated = [trace for trace in traces(model) if trace.end > trace.start]
    assert len(stated) > 20


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_line_endings_and_byte_order_mark_change_nothing_but_offsets(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    plain, windows = check(text), check("\ufeff" + text.replace("\n", "\r\n"))
    assert plain is not None
    assert windows is not None
    assert [entity.name for entity in plain.entities] == [entity.name for entity in windows.entities]
    assert [operation.name for operation in plain.operations] == [operation.name for operation in windows.operations]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_same_text_gives_the_same_bytes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    first = parse_vision(text, "sample").model_dump_json()
    parse_vision.cache_clear()
    assert parse_vision(text, "sample").model_dump_json() == first


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, min_size=1, max_size=12).map("\n".join))
def test_any_mixture_of_lines_is_a_model_or_a_clear_error(text: str) -> None:
    check(text)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=300))
def test_any_characters_are_a_model_or_a_clear_error(text: str) -> None:
    check(text)


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(EXAMPLES), st.integers(0, 4000), st.integers(0, 4000))
def test_any_piece_of_an_example_is_a_model_or_a_clear_error(path: Path, start: int, length: int) -> None:
    check(path.read_text(encoding="utf-8")[start : start + length])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("   \n\n\t", "empty"),
        ("<!-- nothing -->", "empty"),
        ("\x00\x01\x02\x03binary", "binary"),
        ("# A title alone", "no thing"),
        ("It will be great and everybody will love it.", "no thing"),
        ("---\nname: Shop\ncolour: red\n---\nUsers create orders.", "'colour'"),
        ("---\nname: 3\n---\nUsers create orders.", "'name'"),
        ("---\nname: [a, b]\n---\nUsers create orders.", "'name'"),
        ("---\nblueprint: Not A Name\n---\nUsers create orders.", "'blueprint'"),
        ("---\nname: : :\n---\nUsers create orders.", "YAML"),
    ],
)
def test_a_vision_from_which_nothing_can_be_built_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(BadInputError) as refused:
        check_vision(text)
    assert said in refused.value.message
    assert refused.value.remedy
