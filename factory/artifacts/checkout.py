"""The repository a person gets: a working checkout that the factory can bring forward without losing work.

Nothing of a person's is overwritten: a folder is touched only if it is new, empty, or a repository of the same
product on `main` with nothing uncommitted. While files are replaced, a journal in `.git` names the commits
whose files may stand in the working tree, so that a killed update can be told from a person's edit.
"""

import io
import json
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dulwich.config import ConfigFile
from dulwich.ignore import IgnoreFilterManager
from dulwich.index import Index, IndexEntry, index_entry_from_stat
from dulwich.objects import Blob, ObjectID
from dulwich.repo import Repo

from factory.artifacts.files import make_directory, sweep, sync_directory, write_atomic
from factory.artifacts.git import MAIN, REGULAR_FILE, GitRepository
from factory.domain.errors import ConflictError, FactoryError

_UNFINISHED = ".git-unfinished"
_JOURNAL = "factory-checkout.json"
_MANIFEST = ".factory/manifest.json"
_OPERATIONS = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")
_NAMED_FILES = 5
_SHORT_ID = 12


@dataclass(frozen=True, slots=True)
class Source:
    """What to check out: a commit of a project's repository."""

    repository: GitRepository
    head: str
    project: str
    slug: str


def check_out_dir(path: Path, *, slug: str | None = None) -> None:
    """Refuse a folder that `materialise` would refuse, before any work is spent.

    Args:
        path: Where the repository is to go.
        slug: The product's slug, where it is known already.

    Raises:
        ConflictError: The folder holds something else than a repository of this product, or uncommitted work,
            or cannot be written. The message says what to do.
    """
    target = path.expanduser().absolute()
    _check_writable(target)
    if _is_free(target):
        return
    _check_repository(target, slug)
    with GitRepository(target / ".git").opened() as repository:
        _check_clean(target, repository)


def materialise(source: Source, target: Path) -> None:
    """Check a commit out at `target`; see `RepositoryStore.materialise`.

    Raises:
        ConflictError: The folder cannot be used; nothing in it was changed.
    """
    check_out_dir(target, slug=source.slug)
    if _is_free(target):
        _create(source, target)
    with GitRepository(target / ".git").opened() as repository:
        sweep(repository.staging, older_than=time.time())
        standing = repository.reference(MAIN)
        is_ahead = repository.is_ancestor(source.head, standing)
        if not is_ahead or (repository.directory / _JOURNAL).exists():
            head = standing if is_ahead and standing is not None else source.head
            _bring_forward(source, target, repository, head)


def _create(source: Source, target: Path) -> None:
    """Turn a free folder into a repository without commits, whose journal says that it is unfinished."""
    make_directory(target)
    unfinished = target / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    make_directory(unfinished)
    GitRepository.create(unfinished, bare=False, file_mode=_keeps_modes(unfinished))
    _remember_project(unfinished, source)
    _write_journal(unfinished, ())
    unfinished.rename(target / ".git")
    sync_directory(target)


def _bring_forward(source: Source, target: Path, repository: GitRepository, head: str) -> None:
    known: set[ObjectID] = set()
    tags = source.repository.tags()
    for sha in (source.head, *tags.values()):
        source.repository.copy_to(repository, sha, known=known)
    _check_nothing_in_the_way(target, repository, head)
    _write_journal(repository.directory, {*_accepted(repository), head})
    _keep_previous(repository, head, tags)
    _replace_files(target, repository, head)
    _remember_project(repository.directory, source)
    repository.set_reference(MAIN, head)
    for name, sha in tags.items():
        repository.set_reference(f"refs/tags/{name}".encode(), sha)
    (repository.directory / _JOURNAL).unlink()
    sync_directory(repository.directory)


def _keep_previous(repository: GitRepository, head: str, tags: Mapping[str, str]) -> None:
    """Name the standing history, where the new one does not contain it, before `main` leaves it."""
    standing = repository.reference(MAIN)
    if standing is None or repository.is_ancestor(standing, head):
        return
    short = standing[:_SHORT_ID]
    repository.set_reference(f"refs/heads/previous/{short}".encode(), standing)
    for name, sha in repository.tags().items():
        if tags.get(name, sha) != sha:
            repository.set_reference(f"refs/tags/previous/{short}/{name}".encode(), sha)


def _replace_files(target: Path, repository: GitRepository, head: str) -> None:
    """Make the working tree and the index equal to a commit; files that Git does not track stay."""
    wanted = repository.paths(head)
    ours = {path for commit in _accepted(repository) for path in repository.paths(commit)}
    for path in sorted(ours - wanted.keys(), reverse=True):
        _remove(target, path)
    index = Index(str(repository.directory / "index"), read=False)
    for path, blob in wanted.items():
        file = target / path
        if _blob_at(file) != blob:
            data = repository.read(blob).as_raw_string()
            _remove_empty_folders(file)
            write_atomic(file, data, staging=repository.staging, durable=False)
        index[path.encode()] = index_entry_from_stat(file.lstat(), blob, mode=REGULAR_FILE)
    # A killed update leaves the lock; the journal, which stands now, says that it was the factory's.
    (repository.directory / "index.lock").unlink(missing_ok=True)
    index.write()


def _remember_project(directory: Path, source: Source) -> None:
    path = directory / "config"
    config = ConfigFile.from_path(str(path))
    config.set((b"factory",), b"project", source.project.encode())
    config.set((b"factory",), b"slug", source.slug.encode())
    text = io.BytesIO()
    config.write_to_file(text)
    write_atomic(path, text.getvalue(), staging=directory / "staging")


def _write_journal(directory: Path, commits: Iterable[str]) -> None:
    data = json.dumps({"commits": sorted(commits)}).encode()
    write_atomic(directory / _JOURNAL, data, staging=directory / "staging")


def _accepted(repository: GitRepository) -> list[str]:
    """Return the commits whose files may stand in the working tree."""
    journal = repository.directory / _JOURNAL
    commits = set(json.loads(journal.read_bytes())["commits"]) if journal.exists() else set()
    if (main := repository.reference(MAIN)) is not None:
        commits.add(main)
    return sorted(commits)


def _check_writable(target: Path) -> None:
    existing = next(parent for parent in (target, *target.parents) if os.path.lexists(parent))
    if not existing.is_dir():
        raise ConflictError(
            f"{existing} is not a folder.", remedy="Remove it or choose another folder with --out.", field="out"
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConflictError(
            f"the folder {existing} cannot be written.",
            remedy="Change its permissions or choose another folder with --out.",
            field="out",
        )


def _is_free(target: Path) -> bool:
    """Tell whether a folder is missing, empty, or holds only what a killed `_create` left."""
    return not target.exists() or all(entry.name == _UNFINISHED for entry in target.iterdir())


def _check_repository(target: Path, slug: str | None) -> None:
    found = _slug_of(target)
    if found is None:
        raise ConflictError(
            f"the folder {target} is not empty and holds no repository of the factory.",
            remedy="Choose another folder with --out, or empty it.",
            field="out",
        )
    if slug is not None and slug != found:
        raise ConflictError(
            f"the folder {target} holds another product: {found!r}, not {slug!r}.",
            remedy="Choose another folder with --out.",
            field="out",
        )


def _slug_of(target: Path) -> str | None:
    """Return the product in a folder, from the repository's configuration or else from its manifest."""
    if not (target / ".git").is_dir():
        return None
    with suppress(KeyError, OSError, ValueError):
        config = ConfigFile.from_path(str(target / ".git" / "config"))
        return config.get((b"factory",), b"slug").decode()
    with suppress(KeyError, TypeError, OSError, ValueError, FactoryError):
        return str(json.loads((target / _MANIFEST).read_bytes())["slug"])
    return None


def _check_clean(target: Path, repository: GitRepository) -> None:
    git = f"git -C {target}"
    unfinished = (repository.directory / _JOURNAL).exists()
    if repository.head() != MAIN.decode():
        raise ConflictError(
            f"{target} is not on its branch main.", remedy=f"Switch with `{git} switch main`.", field="out"
        )
    busy = _OPERATIONS if unfinished else (*_OPERATIONS, "index.lock")
    if operation := next((name for name in busy if (repository.directory / name).exists()), None):
        raise ConflictError(
            f"a Git operation is under way in {target} ({operation}).",
            remedy=f"Finish or abort it; see `{git} status`.",
            field="out",
        )
    if dirty := sorted(set(_dirty_files(target, repository))):
        named = ", ".join(dirty[:_NAMED_FILES]) + (", …" if len(dirty) > _NAMED_FILES else "")
        raise ConflictError(
            f"{target} has uncommitted changes: {named}.",
            remedy=f"Commit or stash them (`{git} status`), or choose another folder with --out.",
            field="out",
        )


def _dirty_files(target: Path, repository: GitRepository) -> Iterator[str]:
    """Find what is changed, staged, deleted or new against the commits that may stand in the folder."""
    trees = [repository.paths(commit) for commit in _accepted(repository)]
    if (repository.directory / _JOURNAL).exists():
        trees.append({})
    tracked = {path for tree in trees for path in tree}
    staged = _index_of(repository)
    for path in tracked | staged.keys():
        blobs = {tree.get(path) for tree in trees}
        file = target / path
        if staged.get(path) not in blobs or _blob_at(file) not in blobs or _has_linked_parent(target, path):
            yield path
    yield from _untracked(target, tracked)


def _index_of(repository: GitRepository) -> dict[str, ObjectID | None]:
    """Return what is staged; a conflicted entry has no blob and so equals nothing committed."""
    index = Index(str(repository.directory / "index"))
    return {
        os.fsdecode(path): entry.sha if isinstance(entry, IndexEntry) else ObjectID(b"")
        for path, entry in index.items()
    }


def _untracked(target: Path, tracked: set[str]) -> Iterator[str]:
    with Repo(str(target)) as working:
        ignored = IgnoreFilterManager.from_repo(working)
    for folder, folders, files in os.walk(target):
        relative = Path(folder).relative_to(target)
        names = [(relative / name).as_posix() for name in files]
        yield from (name for name in names if name not in tracked and not ignored.is_ignored(name))
        for name in list(folders):
            inner = (relative / name).as_posix()
            if inner == ".git" or (ignored.is_ignored(f"{inner}/") and not _holds(inner, tracked)):
                folders.remove(name)
            elif (target / inner).is_symlink() or (target / inner / ".git").exists():
                folders.remove(name)
                if inner not in tracked:
                    yield inner


def _holds(folder: str, tracked: set[str]) -> bool:
    return any(path.startswith(f"{folder}/") for path in tracked)


def _check_nothing_in_the_way(target: Path, repository: GitRepository, head: str) -> None:
    """Refuse to replace files that Git ignores, and so does not keep, by files of the new commit."""
    tracked = {path for commit in _accepted(repository) for path in repository.paths(commit)}
    wanted = repository.paths(head)
    blocked = sorted({name for path, blob in wanted.items() for name in _in_the_way(target, path, blob) - tracked})
    if blocked:
        raise ConflictError(
            f"{target} holds ignored files where the new version has its own: {', '.join(blocked[:_NAMED_FILES])}.",
            remedy="Move them away, or choose another folder with --out.",
            field="out",
        )


def _in_the_way(target: Path, path: str, blob: ObjectID) -> set[str]:
    """Return what would have to go for a file to be written: a file there, above it, or below it."""
    file = target / path
    found = [parent for parent in file.parents[: path.count("/")] if os.path.lexists(parent) and not parent.is_dir()]
    if file.is_dir() and not file.is_symlink():
        found += [inner for inner in file.rglob("*") if inner.is_symlink() or not inner.is_dir()]
    elif os.path.lexists(file) and _blob_at(file) != blob:
        found.append(file)
    return {name.relative_to(target).as_posix() for name in found}


def _has_linked_parent(target: Path, path: str) -> bool:
    return any((target / parent).is_symlink() for parent in Path(path).parents[:-1])


def _blob_at(file: Path) -> ObjectID | None:
    """Return the id a file or link has in Git, or None where there is neither."""
    try:
        if file.is_symlink():
            return Blob.from_string(os.fsencode(file.readlink())).id
        return Blob.from_string(file.read_bytes()).id
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _remove(target: Path, path: str) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        (target / path).unlink()
    for parent in Path(path).parents[:-1]:
        try:
            (target / parent).rmdir()
        except OSError:
            return


def _remove_empty_folders(path: Path) -> None:
    """Make room for a file where only empty folders are left."""
    if path.is_dir() and not path.is_symlink():
        for folder in sorted(path.rglob("*"), reverse=True):
            folder.rmdir()
        path.rmdir()


def _keeps_modes(folder: Path) -> bool:
    """Tell whether the file system keeps the executable bit; some mounts set it on every file."""
    probe = folder / "probe"
    probe.write_bytes(b"")
    probe.chmod(0o644)
    keeps = not probe.stat().st_mode & stat.S_IXUSR
    probe.unlink()
    return keeps
