"""How an artifact becomes commits: which files go together, and under which subject."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from factory.domain.artifact import KINDS, KindSpec
from factory.domain.errors import BadInputError

# Long lists of files in a message hide what it says; the commit itself has them all.
_LISTED_PATHS = 20


@dataclass(frozen=True, slots=True)
class _Group:
    first: str
    later: str
    matches: Callable[[tuple[str, ...]], bool]


def _has(*names: str) -> Callable[[tuple[str, ...]], bool]:
    wanted = set(names)

    def matches(parts: tuple[str, ...]) -> bool:
        # The package's own name says nothing of a file: a product may be called "events".
        inner = parts[2:] if parts[0] == "src" else parts
        return any(PurePosixPath(part).stem in wanted for part in inner)

    return matches


def _below(*names: str) -> Callable[[tuple[str, ...]], bool]:
    wanted = set(names)
    return lambda parts: len(parts) > 1 and parts[0] in wanted


def _is_document(parts: tuple[str, ...]) -> bool:
    return parts[0] == "docs" or (len(parts) == 1 and PurePosixPath(parts[0]).suffix == ".md")


_SETUP = _Group("Set up the project", "Update the project's set-up", lambda _: True)
_DOMAIN = _Group("Add the domain rules", "Update the domain rules", _has("domain"))
_PERSISTENCE = _Group(
    "Add persistence and the first migration",
    "Update persistence and its migrations",
    _has("persistence", "migrations", "alembic", "seed"),
)
_EVENTS = _Group("Publish domain events through an outbox", "Update the domain events", _has("events", "outbox"))
_API = _Group("Add the HTTP API", "Update the HTTP API", _has("api", "main", "app", "asgi", "server", "__main__"))
_TESTS = _Group("Add the tests", "Update the tests", _below("tests"))
_DOCUMENTS = _Group("Document the service", "Update the service's documentation", _is_document)

# The first group that matches a path takes it, so the narrow ones stand first; the commits follow the layers.
_BACKEND_MATCHING = (_TESTS, _DOCUMENTS, _PERSISTENCE, _DOMAIN, _EVENTS, _API, _SETUP)
_BACKEND_ORDER = (_SETUP, _DOMAIN, _PERSISTENCE, _EVENTS, _API, _TESTS, _DOCUMENTS)


def committable(kind: str) -> bool:
    """Tell whether artifacts of this kind belong into the project's repository."""
    return kind in KINDS and KINDS[kind].commit_subject is not None


def split(kind: str, paths: Iterable[str], *, first: bool = True) -> list[tuple[str, tuple[str, ...]]]:
    """Group an artifact's files into commits, each with its subject, in the order to commit them.

    Args:
        kind: The artifact's kind.
        paths: The files that differ from what is committed, vanished ones included.
        first: Whether it is the first version of its kind.

    Returns:
        At least one group; none but a single one may be empty.

    Raises:
        BadInputError: Artifacts of this kind stay out of the repository.
    """
    ordered = tuple(sorted(paths))
    if kind != "backend" or not ordered:
        return [(_subject(kind, first=first), ordered)]
    groups: dict[str, list[str]] = {}
    for path in ordered:
        parts = PurePosixPath(path).parts
        group = next(group for group in _BACKEND_MATCHING if group.matches(parts))
        groups.setdefault(group.first, []).append(path)
    return [
        (group.first if first else group.later, tuple(groups[group.first]))
        for group in _BACKEND_ORDER
        if group.first in groups
    ]


def body(added: Sequence[str], changed: Sequence[str], removed: Sequence[str]) -> str:
    """Return the part of a commit message that lists what a later version changed."""
    verbs = (("Add", added), ("Change", changed), ("Remove", removed))
    lines = [f"- {verb} {path}" for verb, paths in verbs for path in sorted(paths)]
    if not lines:
        return "No file changed."
    hidden = len(lines) - _LISTED_PATHS
    if hidden > 1:
        lines[_LISTED_PATHS:] = [f"- and {hidden} more"]
    return "\n".join(lines)


def check_committable(kind: str) -> KindSpec:
    """Return what is known of a kind whose artifacts are committed.

    Raises:
        BadInputError: Artifacts of this kind stay out of the repository.
    """
    if not committable(kind):
        known = ", ".join(name for name in KINDS if committable(name))
        raise BadInputError(
            f"artifacts of kind {kind!r} are not committed.", remedy=f"Kinds that are: {known}.", field="kind"
        )
    return KINDS[kind]


def _subject(kind: str, *, first: bool) -> str:
    subject = check_committable(kind).commit_subject or ""
    return subject if first else f"Update {subject.split(' ', 1)[1]}"
