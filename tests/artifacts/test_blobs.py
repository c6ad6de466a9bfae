import os
import pickle
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory.artifacts.blobs import BlobStore, hash_of
from factory.artifacts.errors import IntegrityError
from factory.domain.artifact import content_hash
from factory.domain.errors import BadInputError, FactoryError, NotFoundError
from factory.domain.project import Project
from tests.artifacts.builders import make_artifact, tree


@pytest.fixture(params=["path", "file", "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    urls = {"path": str(tmp_path / "b"), "file": f"file://{tmp_path}/b", "memory": f"memory://{tmp_path.name}/b"}
    return BlobStore(urls[request.param])


def test_stored_bytes_come_back_by_hash_and_by_uri(any_store: BlobStore) -> None:
    blob = any_store.put(b"hello")
    assert (blob.hash, blob.size) == (content_hash(b"hello"), 5)
    assert blob.uri.endswith(f"/b/sha256/{blob.hash[:2]}/{blob.hash[2:]}")
    assert any_store.get(blob.hash) == any_store.get(blob.uri) == b"hello"
    assert any_store.exists(blob.uri)
    assert any_store.put(b"hello") == blob
    assert any_store.put(b"").size == 0


def test_a_store_travels_between_processes_as_its_url(any_store: BlobStore) -> None:
    blob = any_store.put(b"hello")
    copy = pickle.loads(pickle.dumps(any_store))  # noqa: S301 - written one call before
    assert copy == any_store
    assert copy.get(blob.hash) == b"hello"


def test_missing_blobs_are_named(any_store: BlobStore) -> None:
    absent = content_hash(b"absent")
    assert not any_store.exists(absent)
    with pytest.raises(NotFoundError, match=absent):
        any_store.get(absent)
    for reference in ("", "hello", absent.upper(), f"/sha256/ab/{absent}"):
        with pytest.raises(BadInputError, match="not a blob reference"):
            any_store.get(reference)


def test_a_moved_store_serves_its_old_uris(tmp_path: Path) -> None:
    blob = BlobStore(str(tmp_path / "old")).put(b"hello")
    (tmp_path / "old").rename(tmp_path / "new")
    assert BlobStore(str(tmp_path / "new")).get(blob.uri) == b"hello"
    assert hash_of(blob.uri) == blob.hash


@pytest.mark.parametrize("damage", [b"", b"hell", b"jello", b"hello\n"])
def test_damage_is_found_named_and_mended(store: BlobStore, project: Project, damage: bytes) -> None:
    content = tree({"docs/a.md": "hello"})
    artifact = make_artifact(project, "backlog", content, version=4)
    blob = store.put_content(content)
    path = Path(store.url) / "sha256" / blob.hash[:2] / blob.hash[2:]
    path.chmod(0o644)
    path.write_bytes(damage)
    with pytest.raises(IntegrityError, match=f"artifact backlog v4 {artifact.id}") as caught:
        store.content(artifact)
    assert isinstance(caught.value, FactoryError)
    assert "backup" in caught.value.remedy
    assert store.put_content(content) == blob
    assert store.content(artifact) == content


def test_only_abandoned_files_are_swept(store: BlobStore) -> None:
    store.put(b"hello")
    staging = Path(store.url) / "staging"
    for name, age in (("staged-1-old", 7200), ("staged-2-young", 60)):
        (staging / name).write_bytes(b"half")
        os.utime(staging / name, (time.time() - age,) * 2)
    assert store.sweep() == 1
    assert [path.name for path in staging.iterdir()] == ["staged-2-young"]
    assert store.get(content_hash(b"hello")) == b"hello"


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=2000))
def test_any_bytes_come_back(store: BlobStore, data: bytes) -> None:
    assert store.get(store.put(data).uri) == data
