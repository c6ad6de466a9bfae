"""Every file on its own: it parses, follows its schema, and Python is clean."""

import ast
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

import yaml
from pydantic import ValidationError

from factory.domain.artifact import KINDS, check_path
from factory.domain.errors import BadInputError
from factory.skills.validation.linting import lint
from factory.skills.validation.rules import DOCUMENTS, LOADER, STRUCTURAL, Problem, Rule, Subject, read_json

_FENCE = re.compile(r"^(`{3,}|~{3,})\s*(\S*)")
_DIAGRAMS = (
    "C4Component",
    "C4Container",
    "C4Context",
    "C4Deployment",
    "C4Dynamic",
    "classDiagram",
    "erDiagram",
    "flowchart",
    "gantt",
    "graph",
    "journey",
    "mindmap",
    "pie",
    "sequenceDiagram",
    "stateDiagram",
    "timeline",
)
_QUOTED = re.compile(r'"[^"\n]*"')
# Arrow heads and crow's feet of Mermaid hold brackets that open nothing.
_MARKS = re.compile(r"[|}o]+[|o{]?(?:--|\.\.)[|o{}]+|-?->>?|<\|--|--\|>|-\)|\[\*\]|>[^\s\]]+\]")
_PAIRS = {")": "(", "]": "[", "}": "{"}


def paths_are_inside(subject: Subject) -> Iterator[Problem]:
    """Every path stays in the repository, and the kind's primary file exists."""
    for path in subject.content.files:
        try:
            check_path(path)
        except BadInputError as error:
            yield Problem(str(error), path)
    spec = KINDS.get(subject.kind)
    if spec is None:
        yield Problem(f"{subject.kind!r} is no known kind.")
    elif spec.primary not in subject.content.files:
        yield Problem(f"the file {spec.primary} is missing.", spec.primary)


def paths_belong_to_one_kind(subject: Subject) -> Iterator[Problem]:
    """No two kinds write the same path."""
    for kind, content in subject.contents.items():
        if kind != subject.kind:
            for path in sorted(subject.content.files.keys() & content.files.keys()):
                yield Problem(f"{path} is also written by the {kind}.", path)


def files_parse(subject: Subject) -> Iterator[Problem]:
    """JSON, YAML, TOML, Python and Markdown parse."""
    for path, text in subject.content.files.items():
        if not text.strip() and PurePosixPath(path).name not in _MAY_BE_EMPTY:
            yield Problem("the file is empty.", path)
        for message in _parse(path, text):
            yield Problem(message, path)


def documents_follow_their_schema(subject: Subject) -> Iterator[Problem]:
    """Each JSON artifact is what its type says."""
    for path, schema in DOCUMENTS.items():
        text = subject.content.files.get(path)
        if text is None:
            continue
        try:
            schema.model_validate_json(text)
        except ValidationError as error:
            for found in error.errors(include_url=False)[:_MOST]:
                where = ".".join(map(str, found["loc"])) or "the document"
                yield Problem(f"{where}: {found['msg']}", path)


def python_is_clean(subject: Subject) -> Iterator[Problem]:
    """Ruff finds nothing under the project's own configuration."""
    yield from lint(subject.content.files)


def _parse(path: str, text: str) -> Iterable[str]:
    match PurePosixPath(path).suffix:
        case ".json":
            return _attempt(read_json, text, json.JSONDecodeError)
        case ".yaml" | ".yml":
            return _attempt(_read_yaml, text, yaml.YAMLError)
        case ".toml":
            return _attempt(tomllib.loads, text, tomllib.TOMLDecodeError)
        case ".py":
            return _attempt(ast.parse, text, SyntaxError, ValueError)
        case ".md":
            return _markdown(text)
        case _:
            return ()


def _attempt(read: object, text: str, *errors: type[Exception]) -> Iterator[str]:
    try:
        read(text)  # type: ignore[operator]
    except errors as error:
        yield f"it does not parse: {' '.join(str(error).split())}"


class _StrictLoader(LOADER):  # type: ignore[misc, valid-type]
    """Refuses a key that is given twice, which YAML forbids and the library overlooks."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> object:  # noqa: FBT001, FBT002 - inherited
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        for key in sorted({key for key in keys if keys.count(key) > 1}):
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _read_yaml(text: str) -> object:
    return list(yaml.load_all(text, Loader=_StrictLoader))


def _markdown(text: str) -> Iterator[str]:
    fence, language = "", ""
    body: list[str] = []
    for line in text.splitlines():
        found = _FENCE.match(line.strip())
        if not fence and found:
            fence, language, body = found[1], found[2], []
        elif fence and found and not found[2] and found[1].startswith(fence):
            if language == "mermaid":
                yield from _mermaid(body)
            fence = ""
        elif fence:
            body.append(line)
    if fence:
        yield f"the code block that opens with {fence}{language} is never closed."


def _mermaid(lines: list[str]) -> Iterator[str]:
    said = [line.strip() for line in lines if line.strip() and not line.strip().startswith("%%")]
    if not said or not said[0].startswith(_DIAGRAMS):
        yield f"a Mermaid block starts with {said[0] if said else 'nothing'!r}, which is no diagram."
        return
    # Elsewhere these are words like any other: a state may be called `critical`.
    opens = next((words for diagram, words in _OPENS.items() if said[0].startswith(diagram)), frozenset())
    blocks = sum(line.split()[0] in opens for line in said) - sum(line == "end" for line in said)
    if opens and blocks != 0:
        yield f"the {said[0]} has {abs(blocks)} {'too few' if blocks > 0 else 'too many'} 'end'."
    open_brackets: list[str] = []
    for line in said:
        for letter in _MARKS.sub(" ", _QUOTED.sub("", line)):
            if letter in _PAIRS.values():
                open_brackets.append(letter)
            elif letter in _PAIRS and (not open_brackets or open_brackets.pop() != _PAIRS[letter]):
                yield f"the {said[0]} closes a bracket that is not open: {line!r}."
                return
    if open_brackets:
        yield f"the {said[0]} leaves {open_brackets[-1]!r} open."


_OPENS = {
    "flowchart": frozenset({"subgraph"}),
    "graph": frozenset({"subgraph"}),
    "sequenceDiagram": frozenset({"alt", "opt", "loop", "par", "critical", "break", "rect", "box"}),
}
_MAY_BE_EMPTY = frozenset({"__init__.py", "py.typed", ".gitkeep"})
_MOST = 20

RULES = (
    Rule("paths-are-inside", STRUCTURAL, paths_are_inside),
    Rule("paths-belong-to-one-kind", STRUCTURAL, paths_belong_to_one_kind),
    Rule("files-parse", STRUCTURAL, files_parse),
    Rule("documents-follow-their-schema", STRUCTURAL, documents_follow_their_schema),
    Rule("python-is-clean", STRUCTURAL, python_is_clean, kinds=frozenset({"backend"})),
)
