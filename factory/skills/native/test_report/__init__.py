"""Runs a generated project's own tests and checks in the sandbox and reports what came of them."""

from factory.skills.native.test_report.run import run_project_tests
from factory.skills.skill import Make, Skill

SKILLS = (
    Skill(
        name="run-project-tests",
        produces="test-report",
        consumes=("backend",),
        make=Make.NATIVE,
        run=run_project_tests,
    ),
)
