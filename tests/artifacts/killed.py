"""Kills a process with SIGKILL before each of its writes to the file system, and checks what is left.

Run as a program, because it forks: `python killed.py SCENARIO DIRECTORY` prints how many moments it tried.
"""

import hashlib
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from factory.artifacts.blobs import BlobStore
from factory.artifacts.repository import RepositoryStore
from factory.domain.artifact import Content
from factory.domain.ids import derived_id
from factory.domain.project import Project
from tests.artifacts.builders import git, make_artifact, make_project, tree

_WRITES = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree"})

FIRST = tree({".gitignore": ".venv/\n", "README.md": "one\n", "src/a/b.py": "b = 1\n", "gone/x.txt": "x"})
SECOND = tree({".gitignore": ".venv/\n", "README.md": "two\n", "src/a/b.py": "b = 1\n", "new/y.txt": "y"})
OLD, NEW = (make_project(project_id=derived_id("killed", name)) for name in ("old", "new"))


def kill_before_write(number: int) -> None:
    """Make the process kill itself before its `number`-th write."""
    left = number

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        flags = arguments[2] if event == "open" else 0
        if event in _WRITES or (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def survives(number: int, work: Callable[[], object]) -> bool:
    """Run the work in a fork that is killed before its `number`-th write; tell whether it ended before that."""
    child = os.fork()
    if child == 0:
        kill_before_write(number)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed by itself"
    return not os.WIFSIGNALED(status)


@dataclass(frozen=True)
class Scenario:
    """Work to kill, on a folder of its own each time, and what must hold at once and after repeating it."""

    work: Callable[[Path], object]
    check: Callable[[Path], None]
    prepare: Callable[[Path], None] = lambda _: None
    check_at_once: Callable[[Path], None] = lambda _: None

    def try_everywhere(self, place: Path) -> int:
        """Kill the work before each of its writes in turn; return how many there were."""
        for number in count(1):
            folder = place / str(number)
            self.prepare(folder)
            done = survives(number, lambda: self.work(folder))  # noqa: B023 - called before the next turn
            self.check_at_once(folder)
            # The second kill strikes the recovery.
            survives(number // 2 + 1, lambda: self.work(folder))  # noqa: B023 - same
            self.work(folder)
            self.check(folder)
            shutil.rmtree(folder)
            if done:
                return number - 1
        raise AssertionError


def put(place: Path) -> int:
    """Kill a writer of blobs, at each write and at random moments inside long ones."""

    def work(folder: Path) -> None:
        for data in (b"hello", b"hello", b"world"):
            BlobStore(str(folder)).put(data)

    tried = Scenario(work, check=check_blobs, check_at_once=check_blobs).try_everywhere(place)
    chance = random.Random(7)  # noqa: S311 - moments to kill at, not secrets
    for _ in range(15):
        kill_while_putting(place / "long", chance)
    return tried + 15


def kill_while_putting(folder: Path, chance: random.Random) -> None:
    """Kill a writer of big blobs while it writes; what it has announced must be there, and nothing half."""
    reader, writer = os.pipe()
    seed, wanted = chance.random(), chance.randrange(1, 6)
    child = os.fork()
    if child == 0:
        store, data = BlobStore(str(folder)), random.Random(seed)  # noqa: S311 - same
        while True:
            os.write(writer, store.put(data.randbytes(1_000_000)).hash.encode())
    os.close(writer)
    announced = b"".join(os.read(reader, 64) for _ in range(wanted))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    for start in range(0, len(announced) - 63, 64):
        assert len(BlobStore(str(folder)).get(announced[start : start + 64].decode())) == 1_000_000
    check_blobs(folder)


def check_blobs(folder: Path) -> None:
    for path in folder.glob("sha256/*/*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name + path.name


def build(folder: Path, project: Project, *versions: Content) -> str:
    repositories = RepositoryStore(folder / "repositories")
    head = None
    for number, content in enumerate(versions, start=1):
        head = repositories.commit(make_artifact(project, "backend", content, number), content, head)
    assert head is not None
    return repositories.release_commit(project, head)


def commit(place: Path) -> int:
    """Kill a writer of commits; the repository must be sound at once and the same in the end."""
    expected = build(place / "undisturbed", OLD, FIRST, SECOND)

    def work(folder: Path) -> None:
        assert build(folder, OLD, FIRST, SECOND) == expected

    def check(folder: Path) -> None:
        path = RepositoryStore(folder / "repositories").path(OLD.id)
        if path.exists():
            git(path, "fsck", "--strict", "--full")

    return Scenario(work, check=check, check_at_once=check).try_everywhere(place)


def checkout(place: Path) -> int:
    """Kill the making of a working checkout."""
    expected = build(place, OLD, FIRST)
    repositories = RepositoryStore(place / "repositories")
    return Scenario(
        work=lambda folder: repositories.materialise(OLD, folder), check=lambda folder: check_checkout(folder, expected)
    ).try_everywhere(place)


def replace(place: Path) -> int:
    """Kill the replacement of a checkout by another build of the product."""
    build(place, OLD, FIRST)
    expected = build(place, NEW, SECOND)
    repositories = RepositoryStore(place / "repositories")

    def prepare(folder: Path) -> None:
        repositories.materialise(OLD, folder)
        (folder / ".venv").mkdir()
        (folder / ".venv/mine").write_text("mine")

    def check(folder: Path) -> None:
        check_checkout(folder, expected)
        assert (folder / ".venv/mine").read_text() == "mine"
        assert len(git(folder, "for-each-ref", "refs/heads/previous").splitlines()) == 1

    work = partial(repositories.materialise, NEW)
    return Scenario(work, check=check, prepare=prepare).try_everywhere(place)


def check_checkout(folder: Path, expected: str) -> None:
    assert git(folder, "rev-parse", "main", "v1.0.0^{commit}").split() == [expected, expected]
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "fsck", "--strict", "--full") == ""


if __name__ == "__main__":
    scenarios = {"put": put, "commit": commit, "checkout": checkout, "replace": replace}
    print(scenarios[sys.argv[1]](Path(sys.argv[2])))  # noqa: T201 - the answer to the test that starts it
