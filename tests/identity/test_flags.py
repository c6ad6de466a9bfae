"""Feature flags: for whom they are on, and that a share grows without letting anybody go."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.domain.errors import BadInputError, NotFoundError
from factory.identity import flags as module
from factory.identity.flags import Flag, FlagReason, Flags
from factory.settings import Settings
from tests.serve.conftest import open_office

TEXT = """
flags:
  new-portal: {description: the next portal, users: ["user:ada"], tenants: [south]}
  model-skills: {agents: [backend-developer]}
  everything: {everybody: true}
  nothing: {everybody: true, enabled: false}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "flags.yaml"
    file.write_text(TEXT)
    return file


def test_a_flag_is_on_for_those_it_names(path: Path) -> None:
    flags = Flags(path)
    assert flags.decide("new-portal", subject="user:ada") is FlagReason.USER
    assert flags.decide("new-portal", subject="user:bob", tenant="south") is FlagReason.TENANT
    assert not flags.is_on("new-portal", subject="user:bob", tenant="north")
    assert flags.is_on("model-skills", agent="backend-developer")
    assert not flags.is_on("model-skills")
    assert flags.is_on("everything")
    assert flags.decide("nothing", subject="user:ada") is FlagReason.OFF
    assert not flags.is_on("of-no-file")
    with pytest.raises(NotFoundError):
        flags.decide("of-no-file")
    assert Flags(None).all == {}


@given(st.text(min_size=1), st.floats(0, 100), st.floats(0, 100))
def test_a_growing_share_lets_nobody_go(who: str, one: float, other: float) -> None:
    less, more = sorted((one, other))
    on = [
        Flag(percent=share).decide("flag", subject=who, tenant="", agent="") is FlagReason.SHARE
        for share in (less, more)
    ]
    assert on[0] <= on[1]


def test_a_share_is_about_as_large_as_it_says() -> None:
    on = sum(
        Flag(percent=30).decide("flag", subject=f"user:{number}", tenant="", agent="") is FlagReason.SHARE
        for number in range(4_000)
    )
    assert 1_080 < on < 1_320


def test_a_file_is_read_again_when_it_changes_and_not_when_it_is_broken(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0)
    flags = Flags(path)
    path.write_text("flags: {everything: {everybody: false}}")
    os.utime(path, ns=(1, 1))
    assert not flags.is_on("everything")
    path.write_text("flags: {everything: {everybody: maybe}}")
    os.utime(path, ns=(2, 2))
    assert list(flags.all) == ["everything"]
    with pytest.raises(BadInputError, match=r"everything\.everybody"):
        Flags(path)


async def test_the_api_tells_what_holds_for_the_caller(settings: Settings, path: Path) -> None:
    async with open_office(settings.model_copy(update={"feature_flags": path})) as office:
        found = {one["name"]: one["on"] for one in (await office.get("/api/v1/flags", office.ada)).json()["items"]}
        assert found == {"everything": True, "model-skills": False, "new-portal": True, "nothing": False}
        others = {one["name"]: one["on"] for one in (await office.get("/api/v1/flags", office.bob)).json()["items"]}
        assert others["new-portal"] is False
