"""Does the pipeline call what exists, does the release plan name all epics, did the project's tests pass?"""

import re
from collections.abc import Iterator

import yaml

from factory.skills.validation.rules import LOADER, SEMANTIC, Problem, Rule, Subject

_TARGET = re.compile(r"^([A-Za-z0-9][\w .-]*?)\s*::?(?!=)", re.MULTILINE)
_MAKE = re.compile(r"(?:^|[;&|\n])\s*make((?:[ \t]+[^\s;&|]+)+)")


def pipeline_calls_targets_that_exist(subject: Subject) -> Iterator[Problem]:
    """Every `make` target that the workflow calls is in the Makefile."""
    targets = {word for found in _TARGET.findall(subject.files.get("Makefile", "")) for word in found.split()}
    for path, text in subject.files_of("pipeline").items():
        for command in _commands(text):
            for word in (word for called in _MAKE.findall(command) for word in called.split()):
                if not word.startswith("-") and "=" not in word and word not in targets:
                    yield Problem(f"the pipeline calls make {word}, which the Makefile has not.", path)


def release_plan_names_every_epic(subject: Subject) -> Iterator[Problem]:
    """The release plan names each epic of the backlog that has something to release."""
    text = " ".join(subject.files_of("release-plan").get("docs/release-plan.md", "").split())
    items = subject.backlog.items if subject.backlog else ()
    for epic in dict.fromkeys(item.epic for item in items if item.operations):
        if epic not in text:
            yield Problem(f"the release plan does not name the epic {epic!r}.", "docs/release-plan.md")


def project_tests_pass(subject: Subject) -> Iterator[Problem]:
    """The project's own tests and checks passed."""
    if subject.report is not None:
        yield from (Problem(finding.message, finding.path) for finding in subject.report.findings())


def _commands(text: str) -> Iterator[str]:
    try:
        document = yaml.load(text, Loader=LOADER)  # noqa: S506 - a safe loader
    except yaml.YAMLError:
        return
    jobs = document.get("jobs") if isinstance(document, dict) else None
    for job in (jobs or {}).values():
        for step in (job or {}).get("steps") or []:
            if isinstance(step, dict) and isinstance(step.get("run"), str):
                yield step["run"]


_LAST = "test-report"
RULES = (
    Rule(
        "pipeline-calls-targets-that-exist",
        SEMANTIC,
        pipeline_calls_targets_that_exist,
        kinds=frozenset({"pipeline", _LAST}),
        needs=frozenset({"pipeline", "backend"}),
    ),
    Rule(
        "release-plan-names-every-epic",
        SEMANTIC,
        release_plan_names_every_epic,
        kinds=frozenset({"release-plan"}),
        needs=frozenset({"release-plan", "backlog"}),
    ),
    Rule("project-tests-pass", SEMANTIC, project_tests_pass, kinds=frozenset({_LAST}), needs=frozenset({"report"})),
)
