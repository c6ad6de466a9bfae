"""The release plan and the changelog: what the evidence says, steps that match the manifests."""

import re
from typing import Any

import yaml


def test_the_answer_follows_the_evidence(build: Any, products: Any) -> None:
    clean = build(products["clinic"]())
    assert "the answer is **go**" in clean.text("docs/release-plan.md")
    report = {"passed": 3, "failed": 1, "skipped": 0, "checks": [{"name": "mypy", "passed": False, "output": "x"}]}
    failed = build(products["clinic"](), report)
    plan = failed.text("docs/release-plan.md")
    assert "the answer is **no-go**" in plan
    assert "| Does `mypy` pass? | failed | no-go |" in plan
    assert "3 tests passed, 1 failed" in plan


def test_no_test_at_all_is_no_evidence(build: Any, products: Any) -> None:
    plan = build(products["tiny"](), {"passed": 0, "failed": 0}).text("docs/release-plan.md")
    assert "the answer is **no-go**" in plan


def test_the_steps_name_objects_of_the_manifests(clinic: Any) -> None:
    plan = clinic.text("docs/release-plan.md")
    names = {
        f"{document['kind'].lower()}/{document['metadata']['name']}"
        for path, text in clinic.files.items()
        if path.startswith("deploy/base/")
        for document in yaml.safe_load_all(text)
        if document["kind"] != "Kustomization"
    }
    named = set(re.findall(r"\b((?:job|deployment|service)/[a-z-]+)", plan))
    assert named
    assert named <= names
    for path in re.findall(r"deploy/[a-z/.-]+", plan):
        assert any(found.startswith(path.rstrip("/.")) for found in clinic.files), path


def test_scope_counts_the_operations_of_the_specification(clinic: Any) -> None:
    assert "3 operations in the [API specification]" in clinic.text("docs/release-plan.md")


def test_assumptions_and_open_stories_are_risks(clinic: Any) -> None:
    risks = clinic.text("docs/release-plan.md").partition("## Risks")[2]
    for expected in ("A-1", "US-3", "NFR-2", "Patients are reminded a day before."):
        assert expected in risks


def test_the_changelog_keeps_the_form_and_the_words_of_the_domain(clinic: Any) -> None:
    changelog = clinic.text("CHANGELOG.md")
    assert "## [1.0.0] - 2026-03-14\n\n### Added\n" in changelog
    assert "  - Receptionists can book, complete and reschedule an appointment." in changelog
    assert "- Patients can list and cancel their own appointments only." in changelog


def test_dates_come_from_the_project_alone(built: Any) -> None:
    dates: set[Any] = set(
        re.findall(r"20\d\d-\d\d-\d\d", built.text("docs/release-plan.md") + built.text("CHANGELOG.md"))
    )
    assert dates == {"2026-03-14"}
