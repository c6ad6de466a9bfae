"""Citations: what an earlier project decided on the same question."""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from factory.domain.memory import RecalledPassage
from factory.skills.native.architecture.decisions import Decision
from factory.skills.native.rendering.markdown import one_line
from factory.skills.skill import Recalled

_RECORD = re.compile(r"docs/decisions/\d{4}-(?P<question>[a-z0-9-]+)\.md")
_CHOICE = re.compile(r"^## Decision\n+(?P<choice>.+?)(?=\n\n|\n*\Z)", re.MULTILINE | re.DOTALL)
_ESCAPED = re.compile(r"\\([^\w\s])")
_LONGEST = 240


def cite(
    decisions: Sequence[Decision], memory: Sequence[Recalled]
) -> tuple[tuple[Decision, ...], tuple[RecalledPassage, ...]]:
    """Return the decisions, each with the first earlier one on its question, and what was cited.

    Two records answer the same question where their files are named alike, but for the number.
    """
    earlier: dict[str, tuple[str, str, Recalled]] = {}
    for question, path, text, item in _records(memory):
        earlier.setdefault(question, (path, text, item))
    cited: list[Decision] = []
    recalled: dict[str, RecalledPassage] = {}
    for decision in decisions:
        found = earlier.get(_question(f"docs/decisions/{decision.file_name}"))
        if found is None:
            cited.append(decision)
            continue
        path, text, item = found
        cited.append(replace(decision, earlier=_words(decision, path, text, item)))
        recalled.setdefault(item.passage.chunk_id, item.passage)
    return tuple(cited), tuple(recalled.values())


def _records(memory: Sequence[Recalled]) -> Iterator[tuple[str, str, str, Recalled]]:
    """Yield the decision records of recalled artifacts: question, path, text, and the passage that was found of it."""
    seen: set[object] = set()
    for item in memory:
        if item.content is None or item.passage.kind != "architecture" or item.passage.artifact is None:
            continue
        if item.passage.artifact.id in seen:
            continue
        seen.add(item.passage.artifact.id)
        of_it = [other for other in memory if other.passage.artifact == item.passage.artifact]
        for path, text in sorted(item.content.files.items()):
            question = _question(path)
            if question:
                yield question, path, text, next((other for other in of_it if other.passage.path == path), item)


def _question(path: str) -> str:
    match = _RECORD.fullmatch(path)
    return match["question"] if match else ""


def _words(decision: Decision, path: str, text: str, item: Recalled) -> str:
    match = _CHOICE.search(text)
    choice = _plain(match["choice"]) if match else ""
    where = f"{item.origin}, {path.rpartition('/')[2]}"
    if not choice or choice == one_line(decision.choice):
        return f"{where} chose the same."
    shown = choice if len(choice) <= _LONGEST else f"{choice[: _LONGEST - 1]}…"
    return f'{where} chose: "{shown}"'


def _plain(text: str) -> str:
    """Return the text that a record's Markdown shows, so that it can be compared and shown again."""
    return one_line(html.unescape(_ESCAPED.sub(r"\1", text)))
