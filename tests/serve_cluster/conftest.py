"""A whole factory as `factory up` starts it, on a free port, with somebody who may use it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from factory.client import Factory
from tests.observability.receiver import Receiver


@dataclass(frozen=True)
class Running:
    """A running factory.

    Attributes:
        url: Of the gateway.
        grpc: Its address for gRPC.
        token: Of an admin.
        environment: With which commands find it.
        receiver: Of its traces.
    """

    url: str
    grpc: str
    token: str
    environment: dict[str, str]
    receiver: Receiver

    @property
    def pid(self) -> int:
        """Of the process that started its Ray."""
        state = json.loads((Path(self.environment["FACTORY_DATA_DIR"]) / "run" / "factory.json").read_text())
        pid: int = state["pid"]
        return pid

    def command(self, *arguments: str) -> str:
        """Run a command of the factory, and return what it says."""
        done = subprocess.run(
            [sys.executable, "-m", "factory", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start a factory; it is stopped at the end."""
    folder = tmp_path_factory.mktemp("up")
    environment = {**os.environ, "FACTORY_DATA_DIR": str(folder / "data"), "FACTORY_GATEWAY_PORT": "0"}
    environment["FACTORY_GATEWAY_GRPC_PORT"] = "0"
    receiver = Receiver()
    environment["FACTORY_OTLP_ENDPOINT"] = receiver.url
    environment["FACTORY_TRACE_FILE"] = str(folder / "spans.jsonl")
    starting = Running("", "", "", environment, receiver)
    state = json.loads(starting.command("up", "--json"))
    try:
        starting.command("user", "add", "root", "--role", "admin")
        token = starting.command("token", "issue", "--user", "root").strip()
        yield Running(state["gateway"], state["grpc"], token, {**environment, "FACTORY_TOKEN": token}, receiver)
    finally:
        starting.command("down")
        # Whoever stops a factory finds nothing of it running.
        assert not (folder / "data" / "postgres" / "data" / "postmaster.pid").exists()
        receiver.close()


@pytest.fixture
def factory(running: Running) -> Iterator[Factory]:
    """Give a client of it."""
    with Factory(running.url, running.token) as opened:
        yield opened


@pytest.fixture(scope="session")
def small_vision() -> str:
    """Give a vision that is built quickly."""
    return (Path(__file__).parents[2] / "examples/visions/clinic.md").read_text()
