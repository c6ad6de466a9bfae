"""Whatever a document holds, chunks keep within the limit and lose nothing; an edit changes only what it touches."""

import json
import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.domain.errors import BadInputError
from factory.memory.chunking import TokenCounter, chunk_document
from factory.memory.documents import Chunk, Document
from tests.memory.passages import chunks_of, dense, words

LIMIT = 64
SMALL = LIMIT / 8
LOSSLESS = ["a.txt", "a.md", "a.py", "a.js", "a.ts", "a.tsx"]
EVERY = [*LOSSLESS, "a.yaml", "a.json"]


def bytes_of(text: str) -> int:
    return len(text.encode())


def whimsical(text: str) -> int:
    """Count so that the whole may have fewer tokens than a part of it."""
    return len(text) % 97 + len(text) // 10


_FRAGMENTS = st.sampled_from(
    [
        "# h\n", "## h\n", "h\n===\n", "```\n", "~~~\n", "<!--", "-->", "---\n", "a: b\n", "| a | b |\n|---|---|\n",
        "> ",
        "- a\n", "1. ", "def f():\n", "class A:\n", "    ", "\t", "\n", "\n\n", "\r\n", "\r", "\x00", "\ud800",
        "\ufeff",
        "é", "😀", "\u200b", "\u2028", "\x0b", "\x85", "{", "}", "[", "]", "(", ")", "/*", "*/", "//", "# c\n",
        "export ",
        "function f(a) {", "class B {", "m() {}", "@d\n", '"""', "'", "`${", ";", "word " * 30, "x" * 300, " " * 300,
        "=>",
        "const a = ", "interface I { a: string }\n", "a, ", ". ", "<b>", "&a ", "*a ", "openapi: 3\n", "paths:\n",
        '"a": ',
    ]
)  # fmt: skip
_TEXTS = st.text() | st.lists(_FRAGMENTS, max_size=30).map("".join)
_COUNTERS = st.sampled_from([words, len, bytes_of, whimsical])


@pytest.mark.parametrize("path", EVERY)
@settings(deadline=None)
@given(text=_TEXTS, counter=_COUNTERS, limit=st.integers(12, 100))
def test_any_text_is_cut_within_the_limit_in_its_order(path: str, text: str, counter: TokenCounter, limit: int) -> None:
    chunks = chunks_of(text, path, counter=counter, limit=limit)
    assert all(chunk.tokens == counter(chunk.text) <= limit for chunk in chunks)
    assert all(chunk.text.strip() and len(chunk.text) <= 16 * limit for chunk in chunks)
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    assert chunks == chunks_of(text, path, counter=counter, limit=limit)
    clean = re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)
    place = 0
    for chunk in chunks:
        place = clean.index(chunk.text, place) + len(chunk.text)
    if path in LOSSLESS:
        assert "".join(dense(chunk.text) for chunk in chunks) == dense(text)


NASTY = {
    "one line": "x" * 300_000,
    "one line of words": "word " * 60_000,
    "NUL": "\x00" * 20_000,
    "surrogates": "\udfff\ud800" * 10_000,
    "carriage returns": "line\r\n" * 30_000,
    "brackets": "[" * 50_000,
    "braces": '{"a":' * 20_000,
    "parentheses": "(" * 50_000,
    "quotations": "> " * 50_000,
    "items": "- " * 50_000,
    "fences": "```\n" * 20_000,
    "headings": "# a\n" * 10_000,
    "a long heading": "# " + "word " * 20_000,
    "front matter that does not end": "---\na: b\n" + "c: d\r\n" * 20_000,
    "gaps of every width": "".join("x" + "\n" * i for i in range(700)),
    "an island in white space": " " * 100_000 + "x" + "\n" * 100_000,
    "broken code": "def f(:\n" * 5_000,
    "anchors": "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]\n" for i in range(1, 30)),
    "zero width": "\u200b\u200d" * 10_000,
}


@pytest.mark.parametrize("path", ["a.txt", "a.md", "a.py", "a.ts", "a.yaml", "a.json"])
@pytest.mark.parametrize("name", NASTY)
def test_hostile_documents_are_cut_too(name: str, path: str) -> None:
    chunks = chunks_of(NASTY[name], path)
    assert chunks
    assert all(chunk.tokens <= 256 and len(chunk.text) <= 4096 and len(chunk.title) <= 200 for chunk in chunks)
    for chunk in chunks:
        chunk.text.encode()
        chunk.title.encode()
    if path in LOSSLESS:
        assert "".join(dense(chunk.text) for chunk in chunks) == dense(NASTY[name])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", ["a.txt", "a.md", "a.py"])
def test_five_megabytes_are_no_trouble(path: str) -> None:
    text = "".join(f"## Section {i}\n\n{'Some words of a paragraph. ' * 20}\n\n" for i in range(9_000))
    assert len(text) > 5_000_000 - 200_000
    assert sum(len(dense(chunk.text)) for chunk in chunks_of(text, path)) == len(dense(text))


@pytest.mark.parametrize("path", EVERY)
@pytest.mark.parametrize("text", ["", " ", "\n\r\n\t\u2003"])
def test_nothing_gives_nothing(path: str, text: str) -> None:
    assert chunks_of(text, path) == []


def test_titles_can_be_encoded_too() -> None:
    text = json.dumps({"\ud800": "word " * 300})
    chunks = chunks_of(text, "a.json")
    assert {chunk.title for chunk in chunks} == {"/\N{REPLACEMENT CHARACTER}"}


def test_a_limit_that_nothing_can_meet_is_refused() -> None:
    with pytest.raises(BadInputError, match="limit of a chunk is 0 tokens"):
        chunks_of("text", limit=0)
    with pytest.raises(BadInputError, match=r"U\+0074 alone has more than 2 tokens"):
        chunks_of("text", limit=2)


def test_ids_depend_on_whose_document_it_is_and_not_on_its_version() -> None:
    def ids(**changed: object) -> list[bytes]:
        fields: dict[str, object] = {"key": "k", "text": "same\n\n" * 400, "tenant": "t", "version": 1}
        return [chunk.id for chunk in chunk_document(Document(**(fields | changed)), words)]  # type: ignore[arg-type]

    assert ids() == ids(version=2, path="other.txt", agent="x")
    assert len(set(ids()) | set(ids(key="l")) | set(ids(tenant="u"))) == 3 * len(ids())
    # Equal chunks are told apart by how many of them stand before.
    assert len(set(ids())) == len(ids()) > 1


# --- Edits. An item is a section or a definition; its number is in its heading or name, and nowhere else.

_VALUES = st.lists(st.integers(0, 999), max_size=60)
_PARAGRAPHS = st.sampled_from(
    ["few words", "many words " * 30, "- one\n- two", "```\na = 1\n\n# b\n```", "| a | b |\n|---|---|\n| c | d |"]
)


def section(number: int, values: list[int], blocks: list[str]) -> str:
    return "\n\n".join([f"## item{number}x", *blocks, *(["### More", *map(str, values)] if len(values) > 20 else [])])


def definition(number: int, values: list[int], blocks: list[str]) -> str:
    comment = "".join(f"# {block.split()[0]}\n" for block in blocks if block[0].isalpha())
    match len(values) % 3:
        case 0:
            return f"{comment}def item{number}x(a):\n    return {values}"
        case 1:
            methods = "".join(
                f"\n    def m{i}(self):\n        return {value, values}\n" for i, value in enumerate(blocks)
            )
            return f"{comment}@decorated\nclass item{number}x:\n    a = {values}\n{methods}"
        case _:
            return f"{comment}item{number}x = {values}"


Write = Callable[[int, list[int], list[str]], str]
_CONTENT = st.tuples(_VALUES, st.lists(_PARAGRAPHS, max_size=5))
_FORMS = pytest.mark.parametrize(("path", "write"), [("a.md", section), ("a.py", definition)])


@_FORMS
@settings(deadline=None)
@given(
    data=st.data(),
    contents=st.lists(_CONTENT, min_size=1, max_size=10),
    edit=st.sampled_from(["insert", "edit", "delete"]),
)
def test_an_edit_changes_only_its_own_chunks_and_those_of_small_neighbours(
    path: str, write: Write, data: st.DataObject, contents: list[tuple[list[int], list[str]]], edit: str
) -> None:
    before = [write(number, *content) for number, content in enumerate(contents)]
    at = data.draw(st.integers(0, len(before) - 1))
    new = write(99 if edit == "insert" else at, *data.draw(_CONTENT))
    after = before[:at] + ([] if edit == "delete" else [new]) + before[at + (edit != "insert") :]
    touched = _touched(before, at, 0 if edit == "insert" else 1) | _touched(after, at, 0 if edit == "delete" else 1)
    assert _untouched(before, path, touched) == _untouched(after, path, touched)


def _touched(items: list[str], at: int, width: int) -> set[str]:
    """Return the names of what may change: the edited item, and the run of small ones on either side of it."""
    first, last = at, at + width
    while first > 0 and words(items[first - 1]) < SMALL:
        first -= 1
    while last < len(items) and words(items[last]) < SMALL:
        last += 1
    return {name for item in items[first:last] for name in re.findall(r"item\d+x", item)}


def _untouched(items: list[str], path: str, touched: set[str]) -> list[Chunk]:
    head = "# Product\n\n" + "Introduction. " * 20 if path == "a.md" else '"""' + "Introduction. " * 20 + '"""'
    chunks = chunks_of("\n\n".join([head, *items]), path, limit=LIMIT)
    kept = [c for c in chunks if not touched & set(re.findall(r"item\d+x", f"{c.title}\n{c.text}"))]
    return [Chunk(c.id, 0, c.title, c.text, c.tokens) for c in kept]


@pytest.mark.parametrize(
    ("path", "items"),
    [
        ("a.txt", [f"Paragraph {i} of a long text without any headings." for i in range(400)]),
        ("a.md", [f"## Section {i}\n\nShort." for i in range(400)]),
        ("a.py", [f"def f{i}():\n    return {i}" for i in range(400)]),
        ("a.yaml", [f"key{i}: value {i}" for i in range(400)]),
    ],
)
def test_where_much_is_packed_an_insertion_shifts_little(path: str, items: list[str]) -> None:
    before, after = (
        {chunk.id for chunk in chunks_of("\n\n".join(version), path, limit=LIMIT)}
        for version in (items, [*items[:40], items[0], *items[40:]])
    )
    assert len(before) > 40
    assert len(before - after) <= 6


def test_chunks_do_not_overlap() -> None:
    chunks = chunks_of("\n\n".join(f"word{i}" for i in range(2000)))
    for one, other in pairwise(chunks):
        assert not set(one.text.split()) & set(other.text.split())
