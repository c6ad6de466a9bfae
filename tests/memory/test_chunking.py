"""Each format is cut along its own structure."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from factory.memory.chunking import Format, format_of
from factory.memory.documents import Document
from tests.backend.conftest import generate
from tests.backend.models import MODELS
from tests.memory.passages import chunks_of, dense, titles, words

ROOT = Path(__file__).parents[2]
FILLER = "Some words that make this section long enough to stand alone, since small ones are packed together. " * 3


@pytest.mark.parametrize(
    ("media_type", "path", "expected"),
    [
        ("text/markdown; charset=utf-8", "a.py", Format.MARKDOWN),
        ("text/x-python", "", Format.PYTHON),
        ("application/javascript", "", Format.JAVASCRIPT),
        ("application/vnd.oai.openapi+json", "", Format.JSON),
        ("application/vnd.aai.asyncapi+yaml", "", Format.YAML),
        ("text/plain", "a.md", Format.TEXT),
        ("application/octet-stream", "a.md", Format.MARKDOWN),
        ("", "docs/Page.MD", Format.MARKDOWN),
        ("", "a/b.tsx", Format.TYPESCRIPT),
        ("", "a.yml", Format.YAML),
        ("", "Makefile", Format.TEXT),
        ("", "", Format.TEXT),
    ],
)
def test_the_media_type_tells_the_format_and_otherwise_the_path(media_type: str, path: str, expected: Format) -> None:
    assert format_of(Document(key="k", text="", media_type=media_type, path=path)) is expected


def test_sections_of_markdown_carry_the_headings_above_them() -> None:
    text = (
        f"---\ntitle: x\n---\n# A\n\n{FILLER}\n\n## B\n\n{FILLER}\n\n### C ##\n{FILLER}\nD\n-\n\n{FILLER}\n\n"
        f"# E\n\n```sh\n# no heading\n```\n\n<!--\n# none either\n-->\n\n{FILLER}"
    )
    chunks = chunks_of(text.replace(f"{FILLER}\nD", f"{FILLER}\n\nD"), "a.md")
    assert titles(chunks) == ["", "A", "A > B", "A > B > C", "A > D", "E"]
    assert chunks[-1].text.startswith("# E\n\n```sh\n# no heading\n```\n\n<!--\n# none either\n-->")


def test_fences_and_tables_are_cut_only_where_they_do_not_fit() -> None:
    fence = "```python\n" + "first = call(a, b)\n\n" * 20 + "```"
    table = "| a | b |\n|---|---|\n" + "| one | two |\n" * 20
    text = f"# T\n\n{FILLER}\n\n{FILLER}\n\n{fence}\n\n{FILLER}\n\n{table}\n{FILLER}"
    chunks = chunks_of(text, "a.md")
    assert any(fence in chunk.text for chunk in chunks)
    assert any(table.strip() in chunk.text for chunk in chunks)
    assert len(chunks) > 2
    long = chunks_of(f"# T\n\n{fence * 3}", "a.md")
    assert len(long) > 1
    assert all(
        line in fence or line == "# T" for chunk in long for line in chunk.text.splitlines() if "```" not in line
    )


def test_small_paragraphs_and_sections_are_packed() -> None:
    assert titles(chunks_of("# A\n\none\n\ntwo\n\n## B\n\nthree\n\n## C\n\nfour\n", "a.md")) == ["A"]
    separate = chunks_of(f"# A\n\n## B\n\n{FILLER}\n\n## C\n\nsmall\n\n## D\n\n{FILLER}", "a.md")
    assert titles(separate) == ["A", "A > B", "A > C", "A > D"]


_BLOCKS = st.sampled_from(
    [
        "# One", "## Two ##", "### `Three` *x*", "Four\n====", "Five\nsix\n---", "text", "text\nmore text",
        "#no heading",
        "####### none", "- item\n- item\n\n  more", "- item\n---", "> quote\n---", "> # quoted", "***", "    # code",
        "```\n# fenced\n```", "~~~~ x\n```\n# fenced\n~~~\n~~~~", "- a\n\n  ```\n  # in a list\n  ```",
        "<!-- x\n\n# y\n-->",
        "<pre>\n\n# raw\n</pre>", "| a | b |\n|---|---|\n| c | d |", "1. one\n2. two", "#", "#\ttab", "text\n# Seven",
    ]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(_BLOCKS, min_size=1, max_size=8))
def test_sections_begin_where_a_parser_of_markdown_finds_headings(blocks: list[str]) -> None:
    text = "\n\n".join(blocks)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    headings = {
        token.map[0]: " ".join(tokens[i + 1].content.split())
        for i, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0 and token.map
    }
    # To this counter no section is small and none too long, so each is one chunk.
    chunks = chunks_of(text, "a.md", counter=lambda _: 40)
    starts = []
    place = 0
    for chunk in chunks:
        place = text.index(chunk.text, place)
        starts.append(text.count("\n", 0, place))
        place += len(chunk.text)
    assert starts == sorted({0} | headings.keys())
    for start, chunk in zip(starts, chunks, strict=True):
        assert chunk.title.endswith(headings.get(start, ""))


PYTHON = f'''#!/usr/bin/env python
"""Module."""

import os
import sys

LIMITS = {{{", ".join(f"'name {i}': {i}" for i in range(20))}}}


# About first.
@decorated
def first(a: int) -> int:
    """Return it."""
    values = [{", ".join(map(str, range(20)))}]
    return a  # trailing


class Second(Base):
    """Has members."""

    attribute: int = 1

    # About long.
    @property
    def long(self) -> list[int]:
        return [{", ".join(map(str, range(40)))}]

    async def longer(self) -> list[int]:
        return [{", ".join(map(str, range(100)))}]


def tiny():
    pass


def tinier():
    pass
'''


def test_code_is_cut_by_definitions() -> None:
    chunks = chunks_of(PYTHON, "a.py")
    assert titles(chunks) == ["", "LIMITS", "first", "Second", "Second.long", "Second.longer", ""]
    assert chunks[2].text.startswith("# About first.\n@decorated\ndef first(")
    assert chunks[2].text.endswith("# trailing")
    assert chunks[3].text.startswith("class Second(Base):")
    assert chunks[3].text.endswith("attribute: int = 1")
    assert chunks[4].text.startswith("    # About long.\n    @property\n    def long(")
    assert chunks[6].text.startswith("def tiny():")
    assert chunks[6].text.endswith("pass")


def test_a_class_that_fits_is_one_chunk() -> None:
    text = "class A:\n" + "".join(f"    def m{i}(self):\n        return {i} + {i} + {i} + {i}\n\n" for i in range(8))
    assert titles(chunks_of(text, "a.py")) == ["A"]


def test_typescript_and_javascript_have_more_ways_to_define() -> None:
    values = ", ".join(map(str, range(60)))
    text = f"""
/** About A. */
@Component({{}})
export default class A extends B {{
  @Input() field: number = 1;
  /** About run. */
  @Listen()
  run(): number[] {{ return [{values}]; }}
  arrow = () => [{values}];
}}
export const load = async (x: number) => [{values}];
export interface Shape {{ {" ".join(f"a{i}: string;" for i in range(20))} }}
namespace Inner {{ export function nested() {{ return [{values}]; }} }}
"""
    expected = ["A", "A.run", "A.arrow", "load", "Shape", "Inner"]
    chunks = chunks_of(text, "a.ts")
    assert titles(chunks) == expected
    assert chunks[0].text.startswith("/** About A. */\n@Component({})\nexport default class A")
    assert chunks[1].text.startswith("  /** About run. */\n  @Listen()\n  run()")
    script = f"module.exports.make = function () {{ return [{values}]; }};\nconst el = () => <b>{{[{values}]}}</b>;\n"
    assert titles(chunks_of(script, "a.jsx")) == ["module.exports.make", "el"]
    assert titles(chunks_of(f"const el = () => <b>{{[{values}]}}</b>;\n", "a.tsx")) == ["el"]


def test_code_that_does_not_parse_is_still_cut_by_what_is_recognised() -> None:
    broken = PYTHON.replace("def first(a: int) -> int:", "def first(a: int -> int:").replace("return a", "return ((a")
    chunks = chunks_of(broken, "a.py")
    assert "".join(dense(chunk.text) for chunk in chunks) == dense(broken)
    assert {"LIMITS"} <= set(titles(chunks))


@pytest.fixture(scope="module")
def specifications() -> dict[str, str]:
    return generate(MODELS["clinic"]())


@pytest.mark.parametrize("notation", ["yaml", "json"])
def test_openapi_is_cut_by_operation_and_schema(specifications: dict[str, str], notation: str) -> None:
    text = specifications["specs/openapi.yaml"]
    specification = yaml.safe_load(text)
    if notation == "json":
        text = json.dumps(specification, indent=2)
    found = titles(chunks_of(text, f"openapi.{notation}"))
    operations = {f"{method.upper()} {path}" for path, item in specification["paths"].items() for method in item}
    schemas = {f"schema {name}" for name in specification["components"]["schemas"]}
    assert operations | schemas <= set(found)
    whole = chunks_of(text, f"openapi.{notation}", limit=100_000)
    assert len([title for title in titles(whole) if title in operations | schemas]) == len(operations | schemas)
    (book,) = [chunk for chunk in whole if chunk.title == "POST /appointments"]
    loaded = yaml.safe_load(book.text if notation == "yaml" else "{" + book.text + "}")
    assert loaded == {"post": specification["paths"]["/appointments"]["post"]}


def test_asyncapi_is_cut_by_channel_operation_and_message(specifications: dict[str, str]) -> None:
    found = titles(chunks_of(specifications["specs/asyncapi.yaml"], "asyncapi.yaml"))
    assert {"channel patients", "operation send_patients", "message PatientRegistered"} <= set(found)


def test_other_yaml_and_json_are_cut_by_subtree() -> None:
    settings = {"name": "x", "a/b": {"c": list(range(60)), "d": {"e": list(range(120)), "f": "text " * 60}}, "z": [1]}
    expected = ["/name", "/a~1b/c", "/a~1b/d/e", "/a~1b/d/f", "/z"]
    assert titles(chunks_of(json.dumps(settings), "a.json")) == expected
    assert titles(chunks_of(yaml.safe_dump(settings, sort_keys=False, default_flow_style=None), "a.yaml")) == expected
    assert titles(chunks_of(json.dumps({"a": 1, "b": [2]}), "a.json")) == [""]
    assert titles(chunks_of("# Licence\n\nkey: &a [1]\nother: *a\n---\nsecond: 1\n", "a.yaml")) == [""]


def test_elements_have_the_pointer_of_their_sequence() -> None:
    text = json.dumps({"items": [{"id": i, "text": "word " * 50} for i in range(5)]})
    chunks = chunks_of(text, "a.json")
    assert titles(chunks) == ["/items"] * 5
    assert json.loads(chunks[4].text)["id"] == 4


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@settings(deadline=None)
@given(_JSON, st.booleans(), st.sampled_from([None, 1]))
def test_every_value_of_json_is_in_a_chunk(value: object, ascii_only: bool, indent: int | None) -> None:  # noqa: FBT001
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    place = 0
    kept = ""
    for chunk in chunks_of(text, "a.json", limit=40):
        place = text.index(chunk.text, place) + len(chunk.text)
        kept += dense(chunk.text)
    leaves = [value]
    while leaves:
        leaf = leaves.pop()
        if isinstance(leaf, dict):
            leaves += leaf.values()
        elif isinstance(leaf, list):
            leaves += leaf
        else:
            assert dense(json.dumps(leaf, ensure_ascii=ascii_only)) in kept


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.json", '{"a": 1'),
        ("a.json", '{"a": 1}\n{"a": 2}'),
        ("a.yaml", "a: [b\n\nc: d"),
        ("a.yaml", "\ta: b"),
        ("a.yaml", "just a sentence"),
        ("a.yaml", "[" * 100_000),
        ("a.json", "[" * 100_000 + "]" * 100_000),
    ],
)
def test_what_is_malformed_is_read_as_text(path: str, text: str) -> None:
    assert "".join(dense(chunk.text) for chunk in chunks_of(text, path)) == dense(text)


REAL = sorted(
    path
    for pattern in ("docs/**/*.md", "examples/**/*.md", "factory/events/**/*.py", "factory/control/blueprints/*.y*ml")
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_files_of_this_repository(path: Path) -> None:
    text = path.read_text()
    chunks = chunks_of(text, path.name)
    assert all(chunk.tokens == words(chunk.text) <= 256 for chunk in chunks)
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    if path.suffix != ".yaml":
        assert "".join(dense(chunk.text) for chunk in chunks) == dense(text)
    # Structure is of no use if it leaves crumbs.
    assert sum(chunk.tokens < 20 for chunk in chunks) <= max(2, len(chunks) // 3)
