"""What was released before: contracts read from a folder, from a Git revision, or from every released tag."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dulwich.errors import NotGitRepository
from dulwich.object_store import BaseObjectStore, iter_tree_contents
from dulwich.objects import Blob, Commit, Tag, Tree
from dulwich.objectspec import parse_commit
from dulwich.repo import Repo

from factory.domain.errors import BadInputError

_FILE = re.compile(r"^([A-Za-z][A-Za-z0-9_]*)/v([1-9][0-9]*)\.json$")
_RELEASE = re.compile(r"^v?(\d+)\.(\d+)(?:\.(\d+))?$")
_REVISION = re.compile(r"(.*?)((?:~\d*|\^)*)", re.DOTALL)
_TAGS = b"refs/tags/"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The contracts of one release.

    Attributes:
        name: How people know it: a tag, a revision or a folder.
        contracts: Schemas by event type and major version.
    """

    name: str
    contracts: Mapping[tuple[str, int], Mapping[str, Any]]


def from_folder(folder: Path) -> Baseline:
    """Read the schema files of a folder.

    Raises:
        BadInputError: A file is not JSON.
    """
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*/v*.json")}
    return Baseline(str(folder), _parse(files, str(folder)))


def from_revision(folder: Path, revision: str) -> Baseline:
    """Read the schema files of a folder as they were in a Git revision.

    Raises:
        BadInputError: There is no repository around the folder, no such revision, or a file in it is not JSON.
    """
    with closing(_repository(folder)) as repo:
        try:
            commit = _commit(repo, revision)
        except (KeyError, ValueError, IndexError):
            raise BadInputError(
                f"{revision!r} is neither a folder nor a revision of the Git repository.",
                remedy="Name a folder, a tag, a branch or a commit.",
                field="against",
            ) from None
        return _read(repo, commit, folder, revision)


def released(folder: Path) -> list[Baseline]:
    """Return the contracts of every released tag (`v1.2.3`, `1.2.3`), oldest first, and without any those of HEAD.

    Where there is no Git repository, or one without a commit, the folder itself is what was released last.
    """
    try:
        repo = _repository(folder)
    except BadInputError:
        return [from_folder(folder)]
    with closing(repo):
        tags = sorted(_tags(repo))
        if tags:
            return [_read(repo, commit, folder, name) for _, name, commit in tags]
        try:
            head = repo[repo.head()]
        except KeyError:
            return [from_folder(folder)]
        return [_read(repo, head, folder, "HEAD")] if isinstance(head, Commit) else []


def _tags(repo: Repo) -> Iterator[tuple[tuple[int, ...], str, Commit]]:
    for reference in repo.refs.keys(base=_TAGS):  # type: ignore[arg-type]
        name = reference.decode("utf-8", "replace")
        matched = _RELEASE.match(name)
        found: object = repo[repo.refs[_TAGS + reference]] if matched else None  # type: ignore[index]
        while isinstance(found, Tag):
            found = repo[found.object[1]]
        if matched and isinstance(found, Commit):
            yield tuple(int(part or 0) for part in matched.groups()), name, found


def _commit(repo: Repo, revision: str) -> Commit:
    """Find a commit by its name; `~n` and `^` after it lead to its first parents."""
    name, steps = _REVISION.fullmatch(revision).groups()  # type: ignore[union-attr]
    commit = parse_commit(repo, name)
    for step in re.findall(r"~\d*|\^", steps):
        for _ in range(int(step[1:] or 1)):
            parent = repo[commit.parents[0]]
            if not isinstance(parent, Commit):
                raise KeyError(revision)
            commit = parent
    return commit


def _repository(folder: Path) -> Repo:
    try:
        return Repo.discover(str(folder))
    except NotGitRepository:
        raise BadInputError(
            f"{folder} is in no Git repository.", remedy="Name a folder of contracts with --against.", field="against"
        ) from None


def _read(repo: Repo, commit: Commit, folder: Path, name: str) -> Baseline:
    inside = folder.resolve().relative_to(Path(repo.path).resolve())
    store: BaseObjectStore = repo.object_store
    tree = store[commit.tree]
    for part in inside.parts:
        entry = tree[part.encode()] if isinstance(tree, Tree) and part.encode() in tree else None
        if entry is None:
            return Baseline(name, {})
        tree = store[entry[1]]
    files: dict[str, bytes] = {}
    for item in iter_tree_contents(store, tree.id):
        blob = store[item.sha] if item.sha is not None else None
        if item.path is not None and isinstance(blob, Blob):
            files[item.path.decode("utf-8", "replace")] = blob.data
    return Baseline(name, _parse(files, name))


def _parse(files: Mapping[str, bytes], origin: str) -> dict[tuple[str, int], Mapping[str, Any]]:
    found: dict[tuple[str, int], Mapping[str, Any]] = {}
    for path, data in sorted(files.items()):
        matched = _FILE.match(path)
        if matched is None:
            continue
        try:
            schema = json.loads(data)
        except ValueError as error:
            raise BadInputError(
                f"{path} in {origin} is not JSON: {error}.", remedy="Mend or remove the file.", field="against"
            ) from None
        if not isinstance(schema, dict):
            raise BadInputError(f"{path} in {origin} is not a JSON Schema object.", field="against")
        found[matched[1], int(matched[2])] = schema
    return found
