"""The difference between two versions of an artifact, file by file."""

import difflib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from factory.domain.artifact import Content

_CONTEXT_LINES = 3
_NO_NEWLINE = "\\ No newline at end of file\n"
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r", '"': '\\"'}


class Change(StrEnum):
    """What happened to a file."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file's difference.

    Attributes:
        added: Lines the new version has more.
        removed: Lines the old version has more.
        text: The difference in Git's form; `git apply` understands it.
    """

    path: str
    change: Change
    added: int
    removed: int
    text: str


@dataclass(frozen=True, slots=True)
class ContentDiff:
    """The files that differ, by path."""

    files: tuple[FileDiff, ...]

    @property
    def text(self) -> str:
        """The whole difference as one patch."""
        return "".join(file.text for file in self.files)

    def to_dict(self) -> dict[str, Any]:
        """Return the difference as plain JSON values."""
        return asdict(self)


def diff(before: Content, after: Content) -> ContentDiff:
    """Compare two artifacts' files; equal files are left out."""
    paths = sorted(before.files.keys() | after.files.keys())
    return ContentDiff(
        tuple(
            _diff_file(path, before.files.get(path), after.files.get(path))
            for path in paths
            if before.files.get(path) != after.files.get(path)
        )
    )


def _diff_file(path: str, before: str | None, after: str | None) -> FileDiff:
    hunks = list(_hunks(_lines(before or ""), _lines(after or "")))
    change = Change.ADDED if before is None else Change.REMOVED if after is None else Change.MODIFIED
    old, new = _quoted(f"a/{path}"), _quoted(f"b/{path}")
    header = [f"diff --git {old} {new}\n"]
    if before is None:
        header.append("new file mode 100644\n")
    if after is None:
        header.append("deleted file mode 100644\n")
    if hunks:
        # The tab ends a name with spaces in it, as Git writes it.
        end = "\t\n" if " " in path else "\n"
        header.append(f"--- {'/dev/null' if before is None else old + end.rstrip(chr(10))}\n")
        header.append(f"+++ {'/dev/null' if after is None else new + end.rstrip(chr(10))}\n")
    return FileDiff(
        path=path,
        change=change,
        added=sum(line.startswith("+") for line in hunks),
        removed=sum(line.startswith("-") for line in hunks),
        text="".join([*header, *hunks]),
    )


def _hunks(before: list[str], after: list[str]) -> Iterator[str]:
    lines = difflib.unified_diff(before, after, n=_CONTEXT_LINES)
    for number, line in enumerate(lines):
        # The first two lines name the files, which the header does already.
        if number > 1:
            yield line
            if not line.endswith("\n"):
                yield "\n" + _NO_NEWLINE


def _lines(text: str) -> list[str]:
    """Split after line feeds only: Git knows no other line ends, while `str.splitlines` knows ten."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _quoted(name: str) -> str:
    """Write a file name as Git does: in C quotes where it holds a control character, a quote or a backslash."""
    if not any(character in _ESCAPES or character == "\\" or ord(character) < 32 for character in name):  # noqa: PLR2004 - the first printable character
        return name
    escaped = (_ESCAPES.get(c, f"\\{ord(c):03o}" if ord(c) < 32 else c) for c in name)  # noqa: PLR2004 - same
    return f'"{"".join(escaped)}"'
