"""What the README says is so: its settings, its commands and its examples."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from factory.actors.roster import load_roster
from factory.artifacts.blobs import BlobStore
from factory.cli.app import main
from factory.control.blueprints import find_blueprint
from factory.domain.artifact import KINDS, ArtifactRef, ArtifactStatus, Content
from factory.domain.ids import derived_id, new_id
from factory.domain.product import Actor, DomainModel, Entity, Trace
from factory.domain.project import Project, ProjectStatus
from factory.domain.task import Outcome, Task
from factory.observability.traceparents import project_traceparent
from factory.settings import Settings
from factory.skills.catalogue import load_catalogue
from tests.docs.settings_table import settings_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))
PLUGINS = ("glossary_skill", "glossary_agent")


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The README's examples as files, importable, and forgotten afterwards."""
    folder = tmp_path_factory.mktemp("examples")
    for name, text in EXAMPLES.items():
        (folder / name).write_text(text)
    sys.path.insert(0, str(folder))
    kinds = dict(KINDS)
    yield folder
    sys.path.remove(str(folder))
    for name in PLUGINS:
        sys.modules.pop(name, None)
    KINDS.clear()
    KINDS.update(kinds)


def test_there_is_an_example_of_each_extension_and_it_is_short() -> None:
    assert set(EXAMPLES) == {"glossary_skill.py", "glossary_agent.py", "documents.yaml"}
    assert {name: text.count("\n") for name, text in EXAMPLES.items() if text.count("\n") >= 30} == {}


def test_the_agent_of_the_readme_makes_its_artifact_with_the_skill_of_the_readme(examples: Path) -> None:
    keeper = load_roster(PLUGINS).find("glossary-keeper")
    settings = Settings(data_dir=examples)
    store = BlobStore(settings.blob_url)
    agent = keeper(store, load_catalogue(PLUGINS), settings)

    (outcome,) = asyncio.run(agent.run([glossary_task(store)]))

    assert isinstance(outcome, Outcome)
    assert outcome.error is None, outcome.error
    assert outcome.skill == "write-glossary"
    assert outcome.artifact is not None
    made = Content.from_bytes(store.get(outcome.artifact.hash))
    assert made.text("docs/glossary.md") == "# Glossary\n\n- **Patient**: Somebody under treatment\n"
    assert outcome.artifact.metadata == {"terms": 1}


def test_the_blueprint_of_the_readme_is_valid_and_its_agents_are_known(examples: Path) -> None:
    roster = load_roster(PLUGINS)
    blueprint = find_blueprint("documents", examples)
    assert blueprint.steps[-1].produces == "glossary"
    for step in blueprint.steps:
        assert step.produces in roster.find(step.agent).spec.produces


def test_the_examples_are_formatted_and_typed(examples: Path) -> None:
    scripts = [str(examples / f"{name}.py") for name in PLUGINS]
    for tool in (["ruff", "format", "--check"], ["mypy", "--strict"]):
        command = [str(Path(sys.executable).with_name(tool[0])), *tool[1:], *scripts]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_the_settings_table_is_that_of_the_code() -> None:
    table = README.split("<!-- settings -->")[1].split("<!-- /settings -->")[0].strip()
    assert table == settings_table(), "run `python -m tests.docs.settings_table`"


def test_every_command_of_the_readme_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {
        tuple(re.findall(r"[a-z-]+", command)[:2])
        for row in re.findall(r"^\| `factory (.*?)` \|", README, re.MULTILINE)
        for command in re.split(r"`, `", re.split(r" [A-Z-]", row)[0])
    }
    assert named >= {("build",), ("up",), ("down",), ("status",), ("project", "lineage"), ("artifact", "diff")}
    for words in named:
        monkeypatch.setattr("sys.argv", ["factory", *words, "--help"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, words


def test_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert [link for link in links if not (ROOT / link.split("#")[0]).exists()] == []


def glossary_task(store: BlobStore) -> Task:
    moment = datetime(2026, 1, 5, tzinfo=UTC)
    trace = Trace(start=0, end=0, text="", rule="test", confidence=1)
    model = DomainModel(
        name="Clinic",
        slug="clinic",
        summary="Appointments",
        actors=(Actor(name="receptionist", label="Receptionist", trace=trace),),
        entities=(
            Entity(
                name="Patient",
                collection="patients",
                label="Patient",
                description="Somebody under treatment",
                trace=trace,
            ),
        ),
    )
    stored = store.put_content(Content(files={".factory/domain-model.json": model.model_dump_json()}))
    project = Project(
        id=new_id(),
        name="Clinic",
        slug="clinic",
        blueprint="documents",
        status=ProjectStatus.ARCHITECTURE_MODELLING,
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        created_at=moment,
        updated_at=moment,
    )
    reference = ArtifactRef(
        id=derived_id("model"),
        project_id=project.id,
        kind="domain-model",
        version=1,
        hash=stored.hash,
        uri=stored.uri,
        status=ArtifactStatus.VALID,
        agent="solution-architect",
        trace_id=project.trace_id,
        task_id=derived_id("task"),
        created_at=moment,
    )
    return Task(
        id=derived_id("task", "glossary"),
        project=project,
        step="glossary",
        agent="glossary-keeper",
        goal="glossary",
        attempt=1,
        inputs=(reference,),
        cause_id=derived_id("cause"),
        correlation_id=derived_id("cause"),
        traceparent=project_traceparent(project),
    )
