import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory.artifacts.checkout import check_out_dir
from factory.artifacts.git import check_tree
from factory.artifacts.repository import RepositoryStore
from factory.domain.artifact import Content
from factory.domain.errors import BadInputError, ConflictError
from factory.domain.project import Project
from tests.artifacts.builders import git, make_artifact, make_project, tree

FIRST = tree({".gitignore": ".venv/\n*.log\n", "README.md": "one\n", "src/a/b.py": "b = 1\n", "gone/x.txt": "x"})
SECOND = tree({".gitignore": ".venv/\n*.log\n", "README.md": "two\n", "src/a/b.py": "b = 1\n", "new/y.txt": "y"})


def build(repositories: RepositoryStore, project: Project, *versions: Content) -> str:
    head = None
    for number, content in enumerate(versions, start=1):
        head = repositories.commit(make_artifact(project, "backend", content, number, minutes=number), content, head)
    assert head is not None
    return repositories.release_commit(project, head)


def snapshot(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".git/")}


@pytest.mark.parametrize("exists", [False, True])
def test_a_free_folder_becomes_a_clean_repository(
    repositories: RepositoryStore, project: Project, tmp_path: Path, *, exists: bool
) -> None:
    out = tmp_path / "deep" / "out"
    if exists:
        out.mkdir(parents=True)
    head = build(repositories, project, FIRST)
    check_out_dir(out)
    assert repositories.materialise(project, out) == out
    assert git(out, "status", "--porcelain", "--ignored") == ""
    assert git(out, "symbolic-ref", "HEAD") == "refs/heads/main\n"
    assert git(out, "rev-parse", "HEAD", "v1.0.0^{commit}").split() == [head, head]
    assert git(out, "fsck", "--strict", "--full") == ""
    assert (out / "src/a/b.py").read_text() == "b = 1\n"
    (out / "src/a/b.py").write_text("b = 2\n")
    git(out, "-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qam", "Mine")
    assert git(out, "status", "--porcelain") == ""


def test_a_later_state_is_brought_forward_and_ignored_files_stay(
    repositories: RepositoryStore, project: Project, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = repositories.commit(make_artifact(project, "backend", FIRST), FIRST, None)
    repositories.materialise(project, out)
    (out / ".venv/bin").mkdir(parents=True)
    (out / ".venv/bin/python").write_text("mine")
    second = repositories.commit(make_artifact(project, "backend", SECOND, 2), SECOND, first)
    check_out_dir(out, slug="clinic")
    repositories.materialise(project, out)
    assert git(out, "rev-parse", "HEAD").strip() == second
    assert git(out, "status", "--porcelain") == ""
    assert git(out, "branch", "--format=%(refname:short)") == "main\n"
    assert snapshot(out) == {name: text.encode() for name, text in SECOND.files.items()} | {".venv/bin/python": b"mine"}
    assert not (out / "gone").exists()


def test_repeating_a_checkout_changes_nothing(repositories: RepositoryStore, project: Project, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(repositories, project, FIRST)
    repositories.materialise(project, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    repositories.materialise(project, out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_another_build_keeps_the_old_history_as_a_branch(repositories: RepositoryStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    old, new = make_project(), make_project()
    old_head = build(repositories, old, FIRST)
    repositories.materialise(old, out)
    (out / "README.md").write_text("one, by hand\n")
    git(out, "-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qam", "Mine")
    git(out, "gc", "-q", "--prune=now")
    mine = git(out, "rev-parse", "HEAD").strip()
    new_head = build(repositories, new, SECOND)
    repositories.materialise(new, out)
    assert git(out, "rev-parse", "main", f"previous/{mine[:12]}").split() == [new_head, mine]
    assert git(out, "rev-parse", f"previous/{mine[:12]}/v1.0.0^{{commit}}").strip() == old_head
    assert git(out, "rev-parse", "v1.0.0^{commit}").strip() == new_head
    assert git(out, "status", "--porcelain") == ""
    assert git(out, "fsck", "--strict", "--full") == ""
    assert git(out, "config", "factory.project").strip() == str(new.id)
    assert (out / "README.md").read_text() == "two\n"


def test_commits_on_top_of_the_newest_state_are_left_alone(
    repositories: RepositoryStore, project: Project, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    build(repositories, project, FIRST)
    repositories.materialise(project, out)
    (out / "link").symlink_to("README.md")
    git(out, "add", "link")
    git(out, "-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "Mine")
    git(out, "gc", "-q")
    mine = git(out, "rev-parse", "HEAD")
    repositories.materialise(project, out)
    assert git(out, "rev-parse", "HEAD") == mine
    assert git(out, "status", "--porcelain") == ""


def edit(out: Path) -> None:
    (out / "README.md").write_text("edited\n")


def add_file(out: Path) -> None:
    (out / "src/new.py").write_text("")


def delete_file(out: Path) -> None:
    (out / "README.md").unlink()


def stage(out: Path) -> None:
    (out / "README.md").write_text("staged\n")
    git(out, "add", "README.md")
    (out / "README.md").write_text("one\n")


def stage_deletion(out: Path) -> None:
    git(out, "rm", "-q", "--cached", "README.md")


def switch_branch(out: Path) -> None:
    git(out, "switch", "-q", "-c", "feature")


def detach(out: Path) -> None:
    git(out, "checkout", "-q", "--detach")


def link_folder(out: Path) -> None:
    shutil.move(out / "src", out.parent / "elsewhere")
    (out / "src").symlink_to(out.parent / "elsewhere")


def nest_repository(out: Path) -> None:
    (out / "inner/.git").mkdir(parents=True)


def start_git(out: Path) -> None:
    (out / ".git/index.lock").write_text("")


@pytest.mark.parametrize(
    "change",
    [
        edit,
        add_file,
        delete_file,
        stage,
        stage_deletion,
        switch_branch,
        detach,
        link_folder,
        nest_repository,
        start_git,
    ],
)
def test_uncommitted_work_is_never_touched(
    repositories: RepositoryStore, project: Project, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    out = tmp_path / "out"
    build(repositories, project, FIRST)
    repositories.materialise(project, out)
    change(out)
    before = snapshot(out)
    with pytest.raises(ConflictError) as early:
        check_out_dir(out)
    assert early.value.remedy
    other = make_project()
    build(repositories, other, SECOND)
    with pytest.raises(ConflictError):
        repositories.materialise(other, out)
    assert snapshot(out) == before


def test_foreign_folders_are_refused(repositories: RepositoryStore, project: Project, tmp_path: Path) -> None:
    build(repositories, project, FIRST)
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "todo.txt").write_text("milk")
    with pytest.raises(ConflictError, match="not empty"):
        check_out_dir(notes)
    with pytest.raises(ConflictError, match="not empty"):
        repositories.materialise(project, notes)
    with pytest.raises(ConflictError, match="not a folder"):
        check_out_dir(notes / "todo.txt" / "out")
    git(notes, "init", "-q")
    with pytest.raises(ConflictError, match="not empty"):
        check_out_dir(notes)
    assert [path.name for path in notes.iterdir() if path.name != ".git"] == ["todo.txt"]


def test_a_clone_is_recognised_and_another_product_refused(
    repositories: RepositoryStore, project: Project, tmp_path: Path
) -> None:
    build(repositories, project, FIRST)
    repositories.materialise(project, tmp_path / "out")
    git(tmp_path, "clone", "-q", str(tmp_path / "out"), str(tmp_path / "clone"))
    check_out_dir(tmp_path / "clone", slug="clinic")
    with pytest.raises(ConflictError, match="another product"):
        check_out_dir(tmp_path / "clone", slug="library")
    library = make_project("library")
    build(repositories, library, SECOND)
    with pytest.raises(ConflictError, match="another product"):
        repositories.materialise(library, tmp_path / "out")


@pytest.mark.parametrize("path", ["new/y.txt", "new", "new/y.txt/inner.log"])
def test_ignored_files_in_the_way_are_refused(repositories: RepositoryStore, tmp_path: Path, path: str) -> None:
    out = tmp_path / "out"
    old, new = make_project(), make_project()
    ignoring = tree({**FIRST.files, ".gitignore": "new\n"})
    build(repositories, old, ignoring)
    repositories.materialise(old, out)
    (out / path).parent.mkdir(parents=True, exist_ok=True)
    (out / path).write_text("mine")
    build(repositories, new, SECOND)
    head = git(out, "rev-parse", "HEAD")
    with pytest.raises(ConflictError, match="ignored files"):
        repositories.materialise(new, out)
    assert (out / path).read_text() == "mine"
    assert git(out, "rev-parse", "HEAD") == head
    assert git(out, "status", "--porcelain") == ""


def test_empty_folders_are_not_in_the_way(repositories: RepositoryStore, project: Project, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = repositories.commit(make_artifact(project, "backend", FIRST), FIRST, None)
    repositories.materialise(project, out)
    (out / "new/y.txt/empty").mkdir(parents=True)
    repositories.commit(make_artifact(project, "backend", SECOND, 2), SECOND, first)
    repositories.materialise(project, out)
    assert (out / "new/y.txt").read_text() == "y"


def test_a_file_may_become_a_folder_and_back(repositories: RepositoryStore, project: Project, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shapes = [tree({"a": "file"}), tree({"a/b/c": "deep"}), tree({"a/b": "flat"}), tree({"a": "again"})]
    head = None
    for number, content in enumerate(shapes, start=1):
        head = repositories.commit(make_artifact(project, "backend", content, number), content, head)
        repositories.materialise(project, out)
        assert snapshot(out) == {name: text.encode() for name, text in content.files.items()}
        assert git(out, "status", "--porcelain") == ""


@pytest.mark.parametrize("setting", ["core.autocrlf=true", "core.autocrlf=input", "core.eol=crlf"])
def test_line_ends_and_a_persons_git_settings_do_not_make_it_dirty(
    repositories: RepositoryStore, project: Project, tmp_path: Path, setting: str
) -> None:
    out = tmp_path / "out"
    content = tree({"crlf.txt": "a\r\nb\r\n", "mixed.txt": "a\r\nb\nc\rd", "empty": "", "lf.txt": "a\nb\n"})
    build(repositories, project, content)
    repositories.materialise(project, out)
    key, value = setting.split("=")
    (out / ".gitconfig").write_text(f"[{key.split('.')[0]}]\n\t{key.split('.')[1]} = {value}\n")
    (out / ".git/info/exclude").write_text(".gitconfig\n")
    for path in content.files:
        (out / path).touch()
    assert git(out, "status", "--porcelain") == ""
    assert (out / "crlf.txt").read_bytes() == b"a\r\nb\r\n"


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\\\x00"), min_size=1, max_size=12).filter(
    lambda name: name not in {".", ".."} and len(name.encode()) < 100
)
PATHS = st.one_of(
    st.lists(NAMES, min_size=1, max_size=4).map("/".join),
    st.sampled_from([".gitignore", "src/.gitignore", "build/out.log", ".venv/x", "ünï/cödé.txt", "a b/c\td"]),
)
TREES = st.dictionaries(
    PATHS, st.text(max_size=40) | st.sampled_from(["*\n", "a\r\nb", "", "\ufeffx\u2028y"]), max_size=8
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=TREES, second=TREES)
def test_any_tree_goes_through_git_unchanged(
    tmp_path_factory: pytest.TempPathFactory, first: dict[str, str], second: dict[str, str]
) -> None:
    try:
        check_tree(first)
        check_tree(second)
    except BadInputError:
        return
    place = tmp_path_factory.mktemp("property")
    repositories, project = RepositoryStore(place / "repositories"), make_project()
    head = None
    for version, texts in enumerate((first, second), start=1):
        content = tree(texts)
        head = repositories.commit(make_artifact(project, "backend", content, version), content, head)
        repositories.materialise(project, place / "out")
        assert snapshot(place / "out") == {name: text.encode() for name, text in texts.items()}
        assert git(place / "out", "status", "--porcelain") == ""
    assert git(place / "out", "fsck", "--strict", "--full") == ""
