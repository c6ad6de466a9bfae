"""The contestants: each is a process that answers commands, in an environment of its own."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from benchmarks.contest import peers
from factory.storage.embedded import EmbeddedServer

PEERS = ("pgvector", "lancedb", "qdrant", "hnswlib", "chroma")
CONTESTANTS = ("factory", *PEERS)
_ON_SERVER = "pgvector"
# What a user of pgvector would give it; the default of 128 MB holds no index of this size.
_SERVER_OPTIONS = {"shared_buffers": "1GB", "max_parallel_maintenance_workers": "1", "shared_preload_libraries": ""}
_DATABASE = "pgvector"
_PATIENCE_SECONDS = 7200.0


class ContestantError(Exception):
    """A contestant's process failed; the message holds the end of what it said."""


def is_installed(name: str) -> bool:
    """Tell whether a contestant can be measured."""
    return name == "factory" or peers.is_installed(name)


@dataclass(frozen=True, slots=True)
class Use:
    """Of a machine.

    Attributes:
        cpu_seconds: Spent so far by all processes.
        memory_mib: Held now, with shared pages counted once and pages of mapped files included.
        private_mib: Of it, what no file stands behind.
    """

    cpu_seconds: float
    memory_mib: float
    private_mib: float


class Contestant:
    """A running contestant.

    Args:
        name: Of it.
        process: That answers.
        log: Where it says what went wrong.
        server: Its database server, where it has one.
    """

    def __init__(
        self, name: str, process: subprocess.Popen[str], log: Path, server: EmbeddedServer | None = None
    ) -> None:
        self._name = name
        self._process = process
        self._log = log
        self._server = server

    @classmethod
    @contextmanager
    def running(
        cls, name: str, data: Path, store: Path, *, core: int | None = None, seconds: float = _PATIENCE_SECONDS
    ) -> Iterator[Self]:
        """Keep a contestant's process running for the length of a block, and its server where it has one.

        Args:
            name: Of the contestant.
            data: Folder with the rows and queries.
            store: Its own folder.
            core: The only processor core that it may use; None leaves it all.
            seconds: After which it is killed.
        """
        store.mkdir(parents=True, exist_ok=True)
        log = store / "log.txt"
        dsn, server = "", None
        with _core(core):
            if name == _ON_SERVER:
                server = EmbeddedServer(store / "postgres", _SERVER_OPTIONS)
                server.attach()
                dsn = _database(server)
            try:
                with log.open("ab") as file:
                    process = subprocess.Popen(
                        [*_command(name), "--data", str(data), "--store", str(store), "--dsn", dsn],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=file,
                        text=True,
                        env=_environment(one_thread=core is not None),
                    )
                timer = threading.Timer(max(0.0, seconds), process.kill)
                timer.start()
                try:
                    yield cls(name, process, log, server)
                finally:
                    timer.cancel()
                    _end(process)
                    if name == "factory" and process.returncode:
                        _stop_server(store)
            finally:
                if server is not None:
                    server.detach()

    def ask(self, command: str, **options: object) -> dict[str, Any]:
        """Give a command and return the answer.

        Raises:
            ContestantError: The process has ended instead.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise ContestantError(f"{self._name} cannot be spoken to")
        line = ""
        with suppress(BrokenPipeError):
            stdin.write(json.dumps({"do": command, **options}) + "\n")
            stdin.flush()
            line = stdout.readline()
        if not line:
            said = self._log.read_text(errors="replace").strip()[-2000:]
            raise ContestantError(f"{self._name} ended at {command!r}: {said}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def use(self) -> Use:
        """Return what its processes use, those of its server included."""
        found = [psutil.Process(self._process.pid)]
        if self._server is not None and (pid := self._server.postmaster_pid()) is not None:
            found.append(psutil.Process(pid))
        found += [child for process in tuple(found) for child in process.children(recursive=True)]
        cpu = shared = private = 0.0
        for process in found:
            # A background process of the server may end at any time.
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                cpu += times.user + times.system
                rollup = _rollup(process.pid)
                shared += rollup.get("Pss", 0) / 1024
                private += rollup.get("Pss_Anon", 0) / 1024 + rollup.get("Pss_Shmem", 0) / 1024
        return Use(cpu, shared, private)


@contextmanager
def restarted(
    name: str, data: Path, store: Path, core: int, seconds: float
) -> Iterator[tuple[Contestant, float, float]]:
    """Start a contestant on what it stored, for the length of a block.

    Args:
        name: Of the contestant.
        data: Folder with the rows and queries.
        store: What it stored.
        core: The only processor core that it may use.
        seconds: After which it is killed.

    Yields:
        The contestant, the seconds from nothing to its first answer, and those of them after its imports.
    """
    began = time.perf_counter()
    with Contestant.running(name, data, store, core=core, seconds=seconds) as contestant:
        opened = contestant.ask("open")
        yield contestant, time.perf_counter() - began, opened["seconds"]


def _command(name: str) -> list[str]:
    if name == "factory":
        return [sys.executable, str(peers.ROOT / "benchmarks" / "recall" / "home.py")]
    return [str(peers.python_of(name)), str(peers.ROOT / "benchmarks" / "peers" / name / "run.py")]


def _environment(*, one_thread: bool) -> dict[str, str]:
    environment = {**os.environ, "FACTORY_LOG_LEVEL": "warning", "LANCEDB_LOG": "error"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(peers.ROOT), os.environ.get("PYTHONPATH"))))
    if one_thread:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "LANCE_CPU_THREADS", "RAYON_NUM_THREADS"), "1")
    return environment


@contextmanager
def _core(number: int | None) -> Iterator[None]:
    """Let processes that are started within a block use one core only, and this one as before afterwards."""
    process = psutil.Process()
    if number is None or not hasattr(process, "cpu_affinity"):
        yield
        return
    before = process.cpu_affinity()
    process.cpu_affinity([number])
    try:
        yield
    finally:
        process.cpu_affinity(before)


def _database(server: EmbeddedServer) -> str:
    import asyncio  # noqa: PLC0415 - only one contestant needs it

    import asyncpg  # noqa: PLC0415 - same

    async def make() -> None:
        connection = await asyncpg.connect(server.dsn("postgres"))
        try:
            if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", _DATABASE):
                await connection.execute(f'CREATE DATABASE "{_DATABASE}"')
        finally:
            await connection.close()

    asyncio.run(make())
    return server.dsn(_DATABASE)


def _rollup(pid: int) -> dict[str, int]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def _stop_server(store: Path) -> None:
    """Stop the database server that a killed factory has left running."""
    server = EmbeddedServer(store / "data" / "postgres")
    server.attach()
    server.detach()


def _end(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
