from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import Field, ValidationError

from factory.domain.errors import ErrorCategory, TerminalError
from factory.domain.ids import new_id
from factory.events.contracts.payload import Payload
from factory.events.contracts.system import ArtifactCreated, ProjectFailed
from factory.events.contracts.tasks import TaskAssigned
from factory.events.envelope import Envelope
from factory.events.registry import CONTRACTS_FOLDER, REGISTRY, Registry, main
from factory.events.topics import Topic

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"


class Grown(Payload, event_type="ProjectFailed", topics=(Topic.SYSTEM,)):
    """A later minor version with one more optional field."""

    reason: str
    step: str | None = None
    hint: str = ""


class Second(Payload, event_type="ProjectFailed", version=2, topics=(Topic.SYSTEM,)):
    """The next major version."""

    causes: list[str] = Field(min_length=1)


class Homeless(Payload):
    """Names no topic."""


def envelope(payload: Payload, topic: Topic = Topic.SYSTEM) -> Envelope:
    return Envelope.of(payload, topic=topic, project_id=new_id(), originating_agent="test", traceparent=TRACEPARENT)


def test_schema_files_agree_with_the_code() -> None:
    assert REGISTRY.differences(CONTRACTS_FOLDER) == [], "run `python -m factory.events.registry --write`"


def test_writing_mends_changed_missing_and_left_over_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    REGISTRY.write(tmp_path)
    (tmp_path / "ProjectFailed/v1.json").write_text("{}")
    (tmp_path / "TaskFailed/v1.json").unlink()
    (tmp_path / "Gone").mkdir()
    (tmp_path / "Gone/v1.json").write_text("{}")

    assert main(["--folder", str(tmp_path)]) == 1
    assert capsys.readouterr().out.split() == [
        "differs:", "Gone/v1.json", "differs:", "ProjectFailed/v1.json", "differs:", "TaskFailed/v1.json",
    ]  # fmt: skip
    assert main(["--write", "--folder", str(tmp_path)]) == 0
    assert main(["--folder", str(tmp_path)]) == 0


def test_a_contract_may_have_a_field_called_version() -> None:
    created = ArtifactCreated(
        artifact_id=uuid4(), kind="backlog", version=3, hash="h", step="s", task_id=uuid4(), agent="a"
    )
    event = envelope(created)
    assert (event.version, event.read(ArtifactCreated).version) == (1, 3)


def test_publication_is_strict_and_consumption_tolerant() -> None:
    newer = envelope(Grown(reason="no", hint="try again"))
    with pytest.raises(TerminalError, match="hint"):
        REGISTRY.check_publication(newer)
    REGISTRY.check_consumption(newer)
    assert newer.read(ProjectFailed) == ProjectFailed(reason="no")


def test_a_missing_field_is_refused_at_both_ends() -> None:
    broken = envelope(ProjectFailed(reason="no")).model_copy(update={"payload": {"step": "backend"}})
    for check in (REGISTRY.check_publication, REGISTRY.check_consumption):
        with pytest.raises(TerminalError, match="reason") as caught:
            check(broken)
        assert caught.value.category is ErrorCategory.SCHEMA


def test_an_event_stays_on_its_topics() -> None:
    with pytest.raises(TerminalError, match="may not be published on topic"):
        REGISTRY.check_publication(envelope(ProjectFailed(reason="no"), Topic.VISION))
    task = TaskAssigned(
        task_id=uuid4(), step="s", agent="a", goal="g", revision=1, round=0, input_ids=[uuid4()], parameters={"x": [1]}
    )
    for topic in Topic:
        REGISTRY.check_publication(envelope(task, topic))


def test_major_versions_live_side_by_side() -> None:
    registry = Registry([ProjectFailed, Second])
    registry.check_publication(envelope(Second(causes=["a"])))
    registry.check_publication(envelope(ProjectFailed(reason="a")))
    with pytest.raises(TerminalError, match="version 3"):
        registry.find("ProjectFailed", 3)
    with pytest.raises(ValueError, match="next version"):
        Registry([ProjectFailed, Grown])


def test_a_plugin_adds_its_contracts_however_often_it_is_imported() -> None:
    registry = Registry([ProjectFailed])
    for _ in range(2):
        registry.add(Second)
    assert list(registry) == [ProjectFailed, Second]
    assert list(registry.schemas()) == ["ProjectFailed/v1.json"]
    with pytest.raises(ValueError, match="next version"):
        registry.add(Grown)
    with pytest.raises(ValueError, match="no topic"):
        registry.add(Homeless)
    assert list(registry) == [ProjectFailed, Second]


def test_a_caused_event_continues_the_conversation() -> None:
    first = envelope(ProjectFailed(reason="a"))
    second = first.caused(ProjectFailed(reason="b"), topic=Topic.SYSTEM, originating_agent="other")
    third = second.caused(ProjectFailed(reason="c"), topic=Topic.SYSTEM, originating_agent="other")
    assert first.correlation_id == second.correlation_id == third.correlation_id == first.event_id
    assert (second.causation_id, third.causation_id) == (first.event_id, second.event_id)
    assert third.trace_id == first.trace_id == "a" * 32


def test_an_envelope_is_immutable_and_complete() -> None:
    event = envelope(ProjectFailed(reason="a"))
    with pytest.raises(ValidationError):
        event.event_type = "Other"  # type: ignore[misc]
    assert Envelope.model_validate_json(event.model_dump_json()) == event
    with pytest.raises(ValidationError):
        Envelope.model_validate({**event.model_dump(), "timestamp": "2026-01-01T00:00:00"})
