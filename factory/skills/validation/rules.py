"""What a validation rule is, and what it may look at."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ValidationError

from factory.domain.artifact import KINDS, Content
from factory.domain.documents import Backlog, ProductRequirements, VisionDocument
from factory.domain.product import DomainModel
from factory.skills.native.test_report.report import ProjectTestReport

STRUCTURAL, SEMANTIC, COMPLIANCE = "structural", "semantic", "compliance"

DOCUMENTS: dict[str, type[BaseModel]] = {
    ".factory/vision-document.json": VisionDocument,
    ".factory/product-requirements.json": ProductRequirements,
    ".factory/backlog.json": Backlog,
    ".factory/domain-model.json": DomainModel,
    "test-report.json": ProjectTestReport,
}


class Problem(NamedTuple):
    """One thing that is wrong, and the file it is wrong in."""

    message: str
    path: str | None = None
    severity: str = "error"


class Subject:
    """The artifact under validation among the latest artifacts of its project.

    What does not parse is None here: the structural rules say so, and the rules that need it are left out.

    Args:
        kind: The kind under validation.
        content: Its content.
        siblings: The latest content of the other kinds.
    """

    def __init__(self, kind: str, content: Content, siblings: Mapping[str, Content]) -> None:
        self.kind = kind
        self.content = content
        self.contents = {**siblings, kind: content}

    @cached_property
    def files(self) -> dict[str, str]:
        """All files of the project as the repository will hold them."""
        return {
            path: text
            for kind, spec in KINDS.items()
            if spec.commit_subject and kind in self.contents
            for path, text in self.contents[kind].files.items()
        }

    def files_of(self, kind: str) -> Mapping[str, str]:
        """Return the files of one kind; none where the project has no artifact of it."""
        return self.contents[kind].files if kind in self.contents else {}

    def python(self, *prefixes: str) -> dict[str, str]:
        """Return the backend's Python files below the prefixes."""
        files = self.files_of("backend").items()
        return {path: text for path, text in files if path.endswith(".py") and path.startswith(prefixes)}

    def _document(self, kind: str, path: str) -> Any:  # noqa: ANN401 - each property below names the type
        text = self.files_of(kind).get(path)
        try:
            return None if text is None else DOCUMENTS[path].model_validate_json(text)
        except ValidationError:
            return None

    @cached_property
    def vision(self) -> str | None:
        """The text of the vision."""
        return self.files_of("vision").get(".factory/vision.md")

    @cached_property
    def model(self) -> DomainModel | None:
        """The domain model."""
        found: DomainModel | None = self._document("domain-model", ".factory/domain-model.json")
        return found

    @cached_property
    def requirements(self) -> ProductRequirements | None:
        """The product requirements."""
        found: ProductRequirements | None = self._document("product-requirements", ".factory/product-requirements.json")
        return found

    @cached_property
    def backlog(self) -> Backlog | None:
        """The backlog."""
        found: Backlog | None = self._document("backlog", ".factory/backlog.json")
        return found

    @cached_property
    def vision_document(self) -> VisionDocument | None:
        """The vision document."""
        found: VisionDocument | None = self._document("vision-document", ".factory/vision-document.json")
        return found

    @cached_property
    def report(self) -> ProjectTestReport | None:
        """The report on the project's own tests."""
        found: ProjectTestReport | None = self._document("test-report", "test-report.json")
        return found

    @cached_property
    def openapi(self) -> dict[str, Any] | None:
        """The API specification."""
        return read_mapping(self.files_of("api-specification").get("specs/openapi.yaml"))

    @cached_property
    def asyncapi(self) -> dict[str, Any] | None:
        """The event catalogue."""
        return read_mapping(self.files_of("event-catalogue").get("specs/asyncapi.yaml"))

    def has(self, need: str) -> bool:
        """Tell whether a need of a rule is there: a kind, or one of the parsed documents above."""
        return need in self.contents if need in KINDS else getattr(self, need) is not None


Check = Callable[[Subject], Iterable[Problem]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        id: Its name in findings.
        level: `structural`, `semantic` or `compliance`.
        kinds: The kinds it judges; empty means every kind. A rule over several artifacts judges the one that
            is made last, since the others could not have known better; the test report, made when all are
            there, is judged by all of them once more.
        needs: Kinds and parsed documents without which it does not apply.
        check: Yields the problems.
    """

    id: str
    level: str
    check: Check
    kinds: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()

    def applies(self, subject: Subject) -> bool:
        """Tell whether the rule judges the subject."""
        judged = not self.kinds or subject.kind in self.kinds
        return judged and all(subject.has(need) for need in self.needs)


def read_mapping(text: str | None) -> dict[str, Any] | None:
    """Return a YAML or JSON document that is a mapping; None where it is absent, broken or something else."""
    if text is None:
        return None
    try:
        found = yaml.load(text, Loader=LOADER)  # noqa: S506 - a safe loader, in C where there is one
    except yaml.YAMLError:
        return None
    return found if isinstance(found, dict) else None


def read_json(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Return a JSON document; ValueError where it is none."""
    return json.loads(text)


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
