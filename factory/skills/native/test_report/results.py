"""Reads what pytest left in the work folder, without trusting it, and makes texts that do not vary between runs."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

from factory.skills.native.test_report.report import CaseReport, SuiteReport

JUNIT_PATH = ".report/junit.xml"
_LARGEST = 32 * 1024 * 1024
_MESSAGE_LENGTH = 500
_OUTPUT_LENGTH = 4000
_VARYING = (
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"\bin \d+(\.\d+)?s( \(\d+:\d\d:\d\d\))?"), "in a while"),
    (re.compile(r"\b0x[0-9a-f]{6,}\b"), "0x…"),
    (re.compile(r"/tmp/[\w.-]+(/[\w.-]+)*"), "/tmp/…"),  # noqa: S108 - text to replace
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(Z|[+-]\d\d:?\d\d)?"), "<time>"),
)


def steady(text: str, folders: Mapping[str, str]) -> str:
    """Return output without what differs between two runs or machines: durations, addresses, ids, times, folders.

    Args:
        text: The output.
        folders: What to write in place of each folder; longer ones first where one holds another.
    """
    for folder, name in folders.items():
        text = text.replace(f"{folder}/", f"{name}/" if name else "").replace(folder, name or ".")
    for pattern, replacement in _VARYING:
        text = pattern.sub(replacement, text)
    return text.strip()


def last_lines(text: str) -> str:
    """Return the end of an output, at most 4000 characters, from the start of a line."""
    if len(text) <= _OUTPUT_LENGTH:
        return text
    return text[-_OUTPUT_LENGTH:].partition("\n")[2]


def read_suites(workdir: Path, folders: Mapping[str, str]) -> tuple[SuiteReport, ...]:
    """Return the suites of the JUnit file, sorted by name; none where there is no readable file.

    Args:
        workdir: The work folder; generated code has written to it and may have left links.
        folders: As for `steady`.
    """
    try:
        root = ET.fromstring(_read_plain(workdir))  # noqa: S314 - bounded in size, and expat bounds expansion
    except (OSError, ET.ParseError):
        return ()
    suites: dict[str, list[CaseReport]] = {}
    for element in root.iter("testcase"):
        outcome, message = _outcome(element)
        case = CaseReport(
            name=element.get("name", ""),
            outcome=outcome,
            message=None if message is None else steady(message, folders)[:_MESSAGE_LENGTH],
        )
        suites.setdefault(element.get("classname") or "project", []).append(case)
    return tuple(
        SuiteReport(name=name, tests=tuple(sorted(cases, key=lambda case: case.name)))
        for name, cases in sorted(suites.items())
    )


def _read_plain(workdir: Path) -> bytes:
    """Read the file where it and its folder are what they seem; a link could lead to any file of the host."""
    path = workdir / JUNIT_PATH
    if path.parent.is_symlink():
        raise OSError("the report's folder is a link.")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("the report is not a plain file.")
        return file.read(_LARGEST)


def _outcome(element: ET.Element) -> tuple[Literal["passed", "failed", "error", "skipped"], str | None]:
    for tag, outcome in _OUTCOMES.items():
        found = element.find(tag)
        if found is not None:
            return outcome, found.get("message") or (found.text or "").strip()
    return "passed", None


_OUTCOMES: dict[str, Literal["failed", "error", "skipped"]] = {
    "failure": "failed",
    "error": "error",
    "skipped": "skipped",
}
