"""The table of licences says what the packages say of themselves."""

import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata

import pytest

from factory.skills.validation.licences import LICENCES, is_allowed


def test_table_agrees_with_the_packages_that_are_installed() -> None:
    stated = {}
    for name in LICENCES:
        with suppress(PackageNotFoundError):
            stated[name] = metadata(name).get_all("License-Expression")
    known = {name: expressions[0] for name, expressions in stated.items() if expressions}

    assert len(known) > 10
    assert {name: _identifiers(text) for name, text in known.items()} == {
        name: _identifiers(LICENCES[name]) for name in known
    }


def test_everything_in_the_table_is_allowed() -> None:
    assert [name for name, licence in LICENCES.items() if not is_allowed(licence)] == []


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [("MIT", True), ("GPL-3.0-only", False), ("GPL-3.0-only OR MIT", True), ("MIT AND AGPL-3.0-only", False)],
)
def test_choice_and_combination_of_licences(expression: str, allowed: bool) -> None:  # noqa: FBT001 - a column
    assert is_allowed(expression) is allowed


def _identifiers(expression: str) -> set[str]:
    return set(re.split(r"\s+(?:AND|OR)\s+|[()]", expression)) - {""}
