"""All documents: deterministic, well-formed Markdown in which the author's text stays text."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from factory.skills.native.rendering import english, markdown


def documents(built: Any) -> dict[str, str]:
    return {path: text for path, text in built.files.items() if path.endswith(".md")}


def test_equal_products_give_equal_bytes(build: Any, built: Any) -> None:
    again = build(built.model)
    assert {kind: content.to_bytes() for kind, content in again.made.items()} == {
        kind: content.to_bytes() for kind, content in built.made.items()
    }


def test_no_two_kinds_write_the_same_path(built: Any) -> None:
    paths = [path for content in built.made.values() for path in content.files]
    assert len(paths) == len(set(paths))


def test_every_document_passes_the_markdown_linter(built: Any, tmp_path: Path) -> None:
    for path, text in documents(built).items():
        (tmp_path / path.replace("/", "_")).write_text(text)
    # Lines follow sentences, and numbered commands are indented under their step.
    command = [sys.executable, "-m", "pymarkdown", "--disable-rules", "md013", "scan", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_row_of_a_table_has_the_cells_of_its_head(built: Any) -> None:
    for path, text in documents(built).items():
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(widths) == 1, f"{path}: {table}"


def test_text_of_the_author_is_never_markup(built: Any) -> None:
    for path, text in documents(built).items():
        html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
        assert "<script" not in html, path


def test_links_inside_the_repository_lead_somewhere(built: Any) -> None:
    elsewhere = {"domain-model.md", "../specs/openapi.yaml"}
    for path, text in documents(built).items():
        folder = path.rpartition("/")[0]
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            if "://" not in target and target not in elsewhere:
                resolved = re.sub(r"[^/]+/\.\./", "", f"{folder}/{target}").lstrip("/")
                assert resolved in built.files, f"{path} links to {target}"


def test_diagrams_quote_every_label(built: Any) -> None:
    diagrams = re.findall(r"```mermaid\n(.*?)```", built.text("docs/architecture.md"), re.DOTALL)
    assert len(diagrams) >= 5
    for diagram in diagrams:
        assert "<script" not in diagram
        for line in diagram.splitlines():
            assert line.count('"') % 2 == 0, line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a | b", r"a \| b"),
        ("`x` *y* _z_ snake_case", r"\`x\` \*y\* \_z\_ snake_case"),
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        ("# no heading\n- no list", r"\# no heading - no list"),
        ("- no list", r"\- no list"),
        ("1. no list", r"1\. no list"),
        ("99.9 %", "99.9 %"),
        ("$5 and $6", r"\$5 and \$6"),
    ],
)
def test_escape_keeps_text_literal(text: str, shown: str) -> None:
    assert markdown.escape(text) == shown
    assert markdown.escape(markdown.escape(text)) == shown


@pytest.mark.parametrize(("text", "shown"), [("a", "`a`"), ("a`b", "``a`b``"), ("`a", "`` `a ``"), ("a|b", r"`a\|b`")])
def test_code_spans_hold_any_text(text: str, shown: str) -> None:
    assert markdown.code(text) == shown


@pytest.mark.parametrize(
    ("verb", "form"),
    [
        ("book", "books"),
        ("carry", "carries"),
        ("pay", "pays"),
        ("go", "goes"),
        ("fix", "fixes"),
        ("check in", "checks in"),
    ],
)
def test_third_person(verb: str, form: str) -> None:
    assert english.third_person(verb) == form


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [("appointment", "an appointment"), ("user", "a user"), ("hour", "an hour"), ("HR officer", "an HR officer")],
)
def test_articles(noun: str, phrase: str) -> None:
    assert english.with_article(noun) == phrase


def test_names_of_fields_are_noun_phrases() -> None:
    assert [english.field_words(name) for name in ("start_time", "issued_on", "vat_id", "approved_by")] == [
        "start time",
        "issued-on date",
        "VAT ID",
        "approved-by name",
    ]
    assert [english.is_or_are(noun) for noun in ("days", "address", "status", "stars")] == ["are", "is", "is", "are"]
