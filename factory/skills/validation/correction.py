"""Mends what needs no judgement, and records each file that was mended."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

from factory.domain.artifact import Content
from factory.domain.task import Finding
from factory.skills.validation.linting import tidy
from factory.skills.validation.rules import STRUCTURAL

_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
# Two spaces at the end of a line break it in Markdown; one, or a tab, means nothing.
_TRAILING_IN_MARKDOWN = re.compile(r"(?<=\S)(?: |[ \t]*\t[ \t]*)$|^[ \t]+$", re.MULTILINE)


def correct(kind: str, content: Content) -> tuple[Content, tuple[Finding, ...]]:
    """Return the artifact with minor failures mended, and a finding of severity `corrected` for each.

    Line ends, trailing blanks, the newline at the end of a file, and the format and imports of Python. The
    vision is the author's and stays as it is. Correcting twice changes nothing more.
    """
    if kind == "vision":
        return content, ()
    files = dict(content.files)
    findings: list[Finding] = []
    for path in content.files:
        for rule, what, mend in _MENDS:
            mended = mend(path, files[path])
            if mended != files[path]:
                findings.append(_corrected(rule, what, path))
                files[path] = mended
    for path, text in tidy(files).items():
        files[path] = text
        findings.append(_corrected("python-is-formatted", "was formatted and its imports were sorted", path))
    return (Content(files=files) if findings else content), tuple(findings)


def _corrected(rule: str, what: str, path: str) -> Finding:
    return Finding(rule=rule, level=STRUCTURAL, severity="corrected", message=f"{path} {what}.", path=path)


def _line_ends(_path: str, text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _trailing_blanks(path: str, text: str) -> str:
    # A trailing blank inside a Python string is part of a value; the formatter takes away the others.
    match PurePosixPath(path).suffix:
        case ".py":
            return text
        case ".md":
            return _TRAILING_IN_MARKDOWN.sub("", text)
        case _:
            return _TRAILING.sub("", text)


def _final_newline(_path: str, text: str) -> str:
    return text.rstrip("\n") + "\n" if text.strip() else text


_MENDS: tuple[tuple[str, str, Callable[[str, str], str]], ...] = (
    ("line-ends", "had other line ends than \\n", _line_ends),
    ("trailing-blanks", "had blanks at the end of lines", _trailing_blanks),
    ("final-newline", "did not end with one newline", _final_newline),
)
