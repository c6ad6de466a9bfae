import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from factory.artifacts.git import Trailers
from factory.artifacts.plan import split
from factory.artifacts.repository import Identity, RepositoryStore
from factory.domain.artifact import Content, content_hash
from factory.domain.errors import BadInputError, ConflictError, NotFoundError
from factory.domain.project import Project
from tests.artifacts.builders import MOMENT, git, make_artifact, tree

BACKEND = tree(
    {
        ".gitignore": ".venv/\n",
        "Makefile": "test:\n\tpytest\n",
        "README.md": "# Clinic\n",
        "migrations/versions/0001_first.py": "revision = '0001'\n",
        "pyproject.toml": "[project]\nname = 'clinic'\n",
        "src/events/__init__.py": "",
        "src/events/api/appointments.py": "router = 1\n",
        "src/events/domain/appointments.py": "class Appointment: ...\n",
        "src/events/events/outbox.py": "outbox = 1\n",
        "src/events/main.py": "app = 1\n",
        "src/events/persistence/models.py": "models = 1\n",
        "src/events/settings.py": "settings = 1\n",
        "tests/test_domain.py": "def test(): ...\n",
    }
)
VISION = tree({".factory/vision.md": "# Clinic\n"})


def test_one_artifact_is_one_commit_with_its_metadata(repositories: RepositoryStore, project: Project) -> None:
    artifact = make_artifact(project, "vision", VISION)
    sha = repositories.commit(artifact, VISION, None)
    path = repositories.path(project.id)
    assert git(path, "rev-parse", "main").strip() == sha
    assert git(path, "log", "-1", "--format=%an|%ae|%at|%ct|%s") == (
        "AI Software Factory|factory@localhost|1777863721|1777863721|Record the vision\n"
    )
    trailers = git(path, "log", "-1", "--format=%(trailers:only,unfold)").strip().splitlines()
    assert trailers == [
        f"Factory-Project: {project.id}",
        f"Factory-Artifact: {artifact.id}",
        "Factory-Kind: vision",
        "Factory-Version: 1",
        f"Factory-Trace: {project.trace_id}",
        "Factory-Agent: vision-agent",
    ]
    with repositories.opened(project.id) as repository:
        assert Trailers.of(repository.commit(sha)).artifact == str(artifact.id)
    assert git(path, "show", "main:.factory/vision.md") == "# Clinic\n"
    assert not git(path, "fsck", "--strict", "--full")


def test_equal_inputs_give_equal_commits_everywhere(tmp_path: Path, project: Project) -> None:
    heads = []
    for place in ("one", "two"):
        store = RepositoryStore(tmp_path / place, Identity("Ada", "ada@example.org"))
        first = store.commit(make_artifact(project, "vision", VISION), VISION, None)
        heads.append(store.commit(make_artifact(project, "backend", BACKEND), BACKEND, first))
        heads.append(store.release_commit(project, heads[-1]))
    assert heads[:2] == heads[2:]


def test_repeating_calls_in_any_order_changes_nothing(repositories: RepositoryStore, project: Project) -> None:
    vision, backend = make_artifact(project, "vision", VISION), make_artifact(project, "backend", BACKEND)
    first = repositories.commit(vision, VISION, None)
    second = repositories.commit(backend, BACKEND, first)
    release = repositories.release_commit(project, second)
    count = git(repositories.path(project.id), "rev-list", "--count", "--all")
    assert repositories.commit(vision, VISION, None) == first
    assert repositories.commit(backend, BACKEND, first) == second
    assert repositories.release_commit(project, second) == release
    assert git(repositories.path(project.id), "rev-parse", "main").strip() == release
    assert git(repositories.path(project.id), "rev-list", "--count", "--all") == count


def test_a_backend_becomes_commits_that_follow_its_layers(repositories: RepositoryStore, project: Project) -> None:
    sha = repositories.commit(make_artifact(project, "backend", BACKEND), BACKEND, None)
    path = repositories.path(project.id)
    assert git(path, "log", "--reverse", "--format=%s").splitlines() == [
        "Set up the project",
        "Add the domain rules",
        "Add persistence and the first migration",
        "Publish domain events through an outbox",
        "Add the HTTP API",
        "Add the tests",
        "Document the service",
    ]
    assert git(path, "rev-parse", "main").strip() == sha
    assert sorted(git(path, "ls-tree", "-r", "--name-only", "main").splitlines()) == sorted(BACKEND.files)
    assert git(path, "show", "--format=", "--name-only", "main~5").splitlines() == ["src/events/domain/appointments.py"]
    assert "src/events/settings.py" in git(path, "show", "--format=", "--name-only", "main~6")


def test_a_later_version_says_what_changed_and_drops_vanished_files(
    repositories: RepositoryStore, project: Project
) -> None:
    before = tree({"docs/architecture.md": "one\n", "docs/decisions/0001-a.md": "a\n", "docs/decisions/0002-b.md": "b"})
    after = tree({"docs/architecture.md": "two\n", "docs/decisions/0001-a.md": "a\n", "docs/decisions/0003-c.md": "c"})
    head = repositories.commit(make_artifact(project, "vision", VISION), VISION, None)
    head = repositories.commit(make_artifact(project, "architecture", before), before, head)
    head = repositories.commit(make_artifact(project, "architecture", after, version=2), after, head)
    path = repositories.path(project.id)
    message = git(path, "log", "-1", "--format=%B")
    assert message.startswith(
        "Update the architecture and its decisions\n\n"
        "- Add docs/decisions/0003-c.md\n- Change docs/architecture.md\n- Remove docs/decisions/0002-b.md\n\nFactory-"
    )
    assert sorted(git(path, "ls-tree", "-r", "--name-only", head).splitlines()) == [
        ".factory/vision.md",
        "docs/architecture.md",
        "docs/decisions/0001-a.md",
        "docs/decisions/0003-c.md",
    ]


def test_a_later_backend_commits_only_the_layers_it_changed(repositories: RepositoryStore, project: Project) -> None:
    head = repositories.commit(make_artifact(project, "backend", BACKEND), BACKEND, None)
    changed = dict(BACKEND.files) | {"tests/test_api.py": "def test(): ...\n", "src/events/main.py": "app = 2\n"}
    del changed["src/events/domain/appointments.py"]
    after = tree(changed)
    repositories.commit(make_artifact(project, "backend", after, version=2), after, head)
    path = repositories.path(project.id)
    assert git(path, "log", "--reverse", "--format=%s", f"{head}..main").splitlines() == [
        "Update the domain rules",
        "Update the HTTP API",
        "Update the tests",
    ]
    same = make_artifact(project, "backend", after, version=3)
    unchanged = repositories.commit(same, after, git(path, "rev-parse", "main").strip())
    assert "No file changed." in git(path, "log", "-1", "--format=%b", unchanged)
    assert str(same.id) in git(path, "log", "-1", "--format=%b", unchanged)


def test_the_release_has_a_manifest_and_an_annotated_tag(repositories: RepositoryStore, project: Project) -> None:
    model = tree({".factory/domain-model.json": "{}\n", "docs/domain-model.md": "# Model\n"})
    head = repositories.commit(make_artifact(project, "domain-model", model, version=3), model, None)
    release = repositories.release_commit(project, head)
    path = repositories.path(project.id)
    manifest = json.loads(git(path, "show", f"{release}:.factory/manifest.json"))
    assert manifest["project"] == str(project.id)
    assert manifest["slug"] == "clinic"
    assert manifest["model_version"] == 3
    assert manifest["files"] == {path: content_hash(text.encode()) for path, text in model.files.items()}
    assert git(path, "cat-file", "-t", "v1.0.0").strip() == "tag"
    assert git(path, "rev-parse", "v1.0.0^{commit}").strip() == release
    assert git(path, "log", "-1", "--format=%s") == "Release 1.0.0\n"
    assert not git(path, "fsck", "--strict", "--full")
    with pytest.raises(ConflictError, match="higher version"):
        repositories.release_commit(project, release)


def test_two_kinds_cannot_write_one_path(repositories: RepositoryStore, project: Project) -> None:
    head = repositories.commit(make_artifact(project, "vision", VISION), VISION, None)
    with pytest.raises(ConflictError, match="belongs to vision"):
        repositories.commit(make_artifact(project, "pipeline", VISION), VISION, head)


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        (["docs/a.md", "docs/A.md"], "only in case"),
        (["Docs/a.md", "docs/b.md"], "only in case"),
        (["docs", "docs/a.md"], "also a folder"),
        (["docs/.git/config"], "refuses"),
        ([".GIT/config"], "refuses"),
        (["git~1"], "refuses"),
        (["../a"], "not a path inside"),
    ],
)
def test_paths_that_cannot_be_checked_out_everywhere_are_refused(
    repositories: RepositoryStore, project: Project, paths: list[str], reason: str
) -> None:
    artifact = make_artifact(project, "vision", VISION)
    with pytest.raises(BadInputError, match=reason):
        repositories.commit(artifact, Content(files=dict.fromkeys(paths, "x")), None)
    with pytest.raises(NotFoundError):
        repositories.materialise(project, repositories.root / "out")


def test_kinds_that_stay_out_of_the_repository_are_refused(repositories: RepositoryStore, project: Project) -> None:
    report = tree({"test-report.json": "{}"})
    with pytest.raises(BadInputError, match="not committed"):
        repositories.commit(make_artifact(project, "test-report", report), report, None)


def test_an_unrecorded_commit_of_a_lost_worker_is_left_behind(repositories: RepositoryStore, project: Project) -> None:
    head = repositories.commit(make_artifact(project, "vision", VISION), VISION, None)
    pipeline = tree({".github/workflows/ci.yml": "on: push\n"})
    repositories.commit(make_artifact(project, "pipeline", pipeline), pipeline, head)
    backend = repositories.commit(make_artifact(project, "backend", BACKEND), BACKEND, head)
    path = repositories.path(project.id)
    assert git(path, "rev-parse", "main").strip() == backend
    assert "ci.yml" not in git(path, "ls-tree", "-r", "--name-only", "main")


def test_writers_at_the_same_time_make_one_history(
    repositories: RepositoryStore, project: Project, tmp_path: Path
) -> None:
    versions = [tree({"README.md": str(number), f"src/a/m{number}.py": ""}) for number in range(3)]

    def write(_: int) -> str:
        head = None
        for number, content in enumerate(versions, start=1):
            head = repositories.commit(make_artifact(project, "backend", content, number), content, head)
            repositories.materialise(project, tmp_path / "out")
        return str(head)

    with ThreadPoolExecutor(4) as pool:
        [head] = set(pool.map(write, range(4)))
    path = repositories.path(project.id)
    assert git(path, "rev-parse", "main").strip() == head
    assert not git(path, "fsck", "--strict", "--full")
    assert git(tmp_path / "out", "rev-parse", "main").strip() == head
    assert git(tmp_path / "out", "status", "--porcelain") == ""


def test_damaged_objects_are_rewritten(repositories: RepositoryStore, project: Project) -> None:
    vision, backend = make_artifact(project, "vision", VISION), make_artifact(project, "backend", BACKEND)
    first = repositories.commit(vision, VISION, None)
    second = repositories.commit(backend, BACKEND, first)
    objects = repositories.path(project.id) / "objects"
    for number, path in enumerate(sorted(objects.glob("??/*"))):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[: number % 7])
    assert repositories.commit(vision, VISION, None) == first
    assert repositories.commit(backend, BACKEND, first) == second
    assert not git(repositories.path(project.id), "fsck", "--strict", "--full")


def test_a_repository_made_anew_from_the_records_is_the_same(repositories: RepositoryStore, project: Project) -> None:
    artifact = make_artifact(project, "vision", VISION)
    head = repositories.commit(artifact, VISION, None)
    shutil.rmtree(repositories.path(project.id))
    with pytest.raises(NotFoundError):
        repositories.commit(make_artifact(project, "backend", BACKEND), BACKEND, head)
    assert repositories.commit(artifact, VISION, None) == head


def test_time_is_part_of_the_commit(repositories: RepositoryStore, project: Project) -> None:
    artifact = make_artifact(project, "vision", VISION)
    later = artifact.model_copy(update={"created_at": MOMENT + timedelta(seconds=1)})
    assert repositories.commit(artifact, VISION, None) != repositories.commit(later, VISION, None)


def test_the_plan_covers_every_path_once() -> None:
    groups = split("backend", BACKEND.files)
    assert sorted(path for _, paths in groups for path in paths) == sorted(BACKEND.files)
    assert split("vision", [".factory/vision.md"]) == [("Record the vision", (".factory/vision.md",))]
    assert split("backend", []) == [("Add the service and its tests", ())]
