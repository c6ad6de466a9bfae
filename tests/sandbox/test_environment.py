"""Environments are made once, survive killed builders, and say what could not be installed."""

import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from factory.domain.errors import RetryableError
from factory.sandbox import EnvironmentCache, Jail, SandboxSettings

WHEEL_NAME = "tiny_example"


@pytest.fixture
def requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One package made here, so that no index is needed."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    _make_wheel(wheels)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return f"# made for a test\n{WHEEL_NAME}==1.0\n"


def test_is_built_once_and_runs_in_the_jail(tmp_path: Path, requirements: str) -> None:
    cache = EnvironmentCache(tmp_path / "environments")

    first = cache.ensure(requirements)
    stamp = (first / ".complete").stat().st_mtime_ns
    second = cache.ensure(f"{WHEEL_NAME}==1.0\n\n# the same without the comment\n")

    assert first == second
    assert (second / ".complete").stat().st_mtime_ns == stamp
    work = tmp_path / "work"
    work.mkdir()
    result = Jail(SandboxSettings()).run(["python", "-c", f"import {WHEEL_NAME} as t; print(t.WORD)"], work, first)
    assert result.stdout == "tiny\n", result.stderr


def test_other_requirements_have_another_environment(tmp_path: Path) -> None:
    cache = EnvironmentCache(tmp_path)

    assert cache.key("a==1\nb==2\n") == cache.key("b==2  # why\na==1")
    assert cache.key("a==1\n") != cache.key("a==2\n")


def test_builders_at_the_same_time_make_one(tmp_path: Path, requirements: str) -> None:
    root = tmp_path / "environments"
    with ThreadPoolExecutor(3) as pool:
        folders = set(pool.map(lambda _: EnvironmentCache(root).ensure(requirements), range(3)))

    assert len(folders) == 1
    assert [path.name for path in root.iterdir() if path.is_dir()] == [folders.pop().name]


def test_killed_builder_is_repaired_by_the_next(tmp_path: Path, requirements: str) -> None:
    root = tmp_path / "environments"
    cache = EnvironmentCache(root)
    folder = root / cache.key(requirements)
    code = "import sys; from pathlib import Path; from factory.sandbox import EnvironmentCache as C; "
    code += "C(Path(sys.argv[1])).ensure(sys.argv[2])"
    builder = subprocess.Popen([sys.executable, "-c", code, str(root), requirements])
    deadline = time.monotonic() + 30
    while not folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    builder.kill()
    builder.wait()
    (folder / ".complete").unlink(missing_ok=True)
    (folder / "pyvenv.cfg").unlink(missing_ok=True)

    assert cache.ensure(requirements) == folder
    assert (folder / "pyvenv.cfg").exists()


def test_unknown_package_is_a_retryable_error_with_the_log(tmp_path: Path, requirements: str) -> None:
    cache = EnvironmentCache(tmp_path / "environments")

    with pytest.raises(RetryableError, match="not-in-any-index-4711") as caught:
        cache.ensure(requirements + "not-in-any-index-4711==1.0\n")

    assert caught.value.category == "dependency"
    assert not [path for path in (tmp_path / "environments").iterdir() if path.is_dir()]


def _make_wheel(folder: Path) -> None:
    info = f"{WHEEL_NAME}-1.0.dist-info"
    files = {
        f"{WHEEL_NAME}.py": "WORD = 'tiny'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {WHEEL_NAME}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{WHEEL_NAME}-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
