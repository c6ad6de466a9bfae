"""Artifacts: immutable, versioned, addressed by the hash of their content.

Every artifact is a small tree of text files with paths relative to the project's repository.
Its bytes are one canonical JSON document, so that equal trees have equal hashes.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from factory.domain.errors import BadInputError

TREE_MEDIA_TYPE = "application/vnd.factory.tree+json"


class ArtifactStatus(StrEnum):
    """Where an artifact stands with the validator, or that a compensation took it back."""

    PENDING = "pending"
    VALID = "valid"
    INVALID = "invalid"
    WITHDRAWN = "withdrawn"


class KindSpec(BaseModel):
    """What is known of a kind before any artifact of it exists.

    Attributes:
        name: The kind, in kebab case.
        title: The kind in words.
        primary: Path of the file a person reads first; a glob is not allowed.
        commit_subject: Subject of the Git commit, or None where the kind stays out of the repository.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    primary: str
    commit_subject: str | None = None


KINDS: dict[str, KindSpec] = {
    spec.name: spec
    for spec in (
        KindSpec(name="vision", title="Vision", primary=".factory/vision.md", commit_subject="Record the vision"),
        KindSpec(
            name="vision-document",
            title="Vision document",
            primary="docs/vision.md",
            commit_subject="Add the vision document",
        ),
        KindSpec(
            name="product-requirements",
            title="Product requirements",
            primary="docs/requirements.md",
            commit_subject="Add the product requirements",
        ),
        KindSpec(
            name="backlog",
            title="Backlog",
            primary="docs/backlog.md",
            commit_subject="Add the backlog with acceptance criteria",
        ),
        KindSpec(
            name="domain-model",
            title="Domain model",
            primary="docs/domain-model.md",
            commit_subject="Add the domain model",
        ),
        KindSpec(
            name="architecture",
            title="Architecture blueprint",
            primary="docs/architecture.md",
            commit_subject="Add the architecture and its decisions",
        ),
        KindSpec(
            name="event-catalogue",
            title="Event catalogue",
            primary="specs/asyncapi.yaml",
            commit_subject="Add the event catalogue",
        ),
        KindSpec(
            name="api-specification",
            title="API specification",
            primary="specs/openapi.yaml",
            commit_subject="Add the API specification",
        ),
        KindSpec(name="backend", title="Backend", primary="README.md", commit_subject="Add the service and its tests"),
        KindSpec(
            name="deployment",
            title="Container image and manifests",
            primary="Dockerfile",
            commit_subject="Add the container image and the Kubernetes manifests",
        ),
        KindSpec(
            name="pipeline",
            title="Pipeline",
            primary=".github/workflows/ci.yml",
            commit_subject="Add the CI pipeline",
        ),
        KindSpec(
            name="release-plan",
            title="Release plan and notes",
            primary="docs/release-plan.md",
            commit_subject="Add the release plan and the release notes",
        ),
        KindSpec(name="test-report", title="Test report", primary="test-report.json"),
    )
}


def register_kind(spec: KindSpec) -> None:
    """Make a further kind known, for agents and skills that come as plugins. Registering it again does no harm.

    Raises:
        BadInputError: Another kind has that name.
    """
    if KINDS.setdefault(spec.name, spec) != spec:
        raise BadInputError(
            f"there is another kind {spec.name!r} already.", remedy="Choose another name.", field="kind"
        )


class Content(BaseModel):
    """The files of one artifact: path relative to the repository → UTF-8 text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: Mapping[str, str]

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: JSON with sorted paths, UTF-8, one trailing newline.

        Raises:
            BadInputError: A path is absolute, leaves the tree, or is not in normal form.
        """
        for path in self.files:
            check_path(path)
        document = {"files": {path: self.files[path] for path in sorted(self.files)}}
        return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Content":
        """Read back what `to_bytes` wrote."""
        return cls.model_validate_json(data)

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical bytes, 64 hexadecimal digits."""
        return content_hash(self.to_bytes())

    def text(self, path: str) -> str:
        """Return one file's text.

        Raises:
            BadInputError: There is no such file; the message names those that exist.
        """
        try:
            return self.files[path]
        except KeyError:
            known = ", ".join(sorted(self.files)) or "none"
            raise BadInputError(
                f"the artifact has no file {path!r}.", remedy=f"Files: {known}.", field="path"
            ) from None


class ArtifactRef(BaseModel):
    """Metadata of one stored artifact version (R22)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    project_id: UUID
    kind: str
    version: int = Field(ge=1)
    hash: str
    uri: str
    media_type: str = TREE_MEDIA_TYPE
    status: ArtifactStatus
    agent: str
    trace_id: str
    task_id: UUID
    created_at: datetime
    inputs: tuple[UUID, ...] = ()


def content_hash(data: bytes) -> str:
    """Return the SHA-256 of the bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def check_path(path: str) -> None:
    """Refuse a path that is empty, absolute, not normal, or reaches out of the tree or into `.git`.

    Raises:
        BadInputError: The path is refused; the message says why.
    """
    pure = PurePosixPath(path)
    bad = (
        not path
        or "\x00" in path
        or "\\" in path
        or pure.is_absolute()
        or ".." in pure.parts
        or str(pure) != path
        or pure.parts[0] == ".git"
    )
    if bad:
        raise BadInputError(
            f"{path!r} is not a path inside a repository.",
            remedy="Use a relative path in normal form, without '..'.",
            field="path",
        )
