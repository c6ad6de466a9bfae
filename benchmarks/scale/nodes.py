"""A Ray cluster on this machine whose nodes come and go as those of KubeRay do: Ray's own autoscaler asks for them.

Its node types are the worker groups of cluster/kuberay/base/rayservice.yaml, with their resources and limits; only the
processors of a type are made up, since all of them share this machine's.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Self

import psutil
import ray
import yaml

from benchmarks.scale.rehearsal import end
from factory.serve.deployment import free_port

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "cluster" / "kuberay" / "base" / "rayservice.yaml"
_HOST = "127.0.0.1"
_HEAD = "ray.head.default"
_HEAD_ID = "f" * 51 + "00000"
_ID = "RAY_OVERRIDE_NODE_ID_FOR_TESTING"
# What the autoscaler's schema wants to see, and nothing here needs.
_LISTS = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
    "cluster_synced_files",
    "rsync_exclude",
    "rsync_filter",
)
_START_SECONDS = 90
# Of each node; the factory's actors hand over no large objects.
_OBJECT_STORE_BYTES = 80_000_000
# What runs on nodes that are always there: the head of this cluster stands for them.
_ALWAYS_THERE = frozenset({"core", "gpu"})


class ClusterError(Exception):
    """The cluster did not start."""


@cache
def node_types() -> dict[str, dict[str, Any]]:
    """Return the worker groups that scale from zero, as the autoscaler's node types."""
    service = yaml.safe_load(MANIFEST.read_text())
    found = {}
    for group in service["spec"]["rayClusterConfig"]["workerGroupSpecs"]:
        if group["groupName"] in _ALWAYS_THERE:
            continue
        resources = {name: float(amount) for name, amount in group["resources"].items() if name != "CPU"}
        found[group["groupName"]] = {
            "resources": {"CPU": 1, "object_store_memory": _OBJECT_STORE_BYTES, **resources},
            "node_config": {},
            "min_workers": group["minReplicas"],
            "max_workers": group["maxReplicas"],
        }
    return found


class Cluster:
    """A head with the autoscaler, and the nodes that it starts; all of them end with it.

    Args:
        idle_seconds: How long a node may have nothing before it goes.
        folder: For the configuration and the output.
    """

    def __init__(self, folder: Path, *, idle_seconds: float) -> None:
        self._port = free_port(_HOST)
        self._address = f"{ray.util.get_node_ip_address()}:{self._port}"
        self._config = {
            "cluster_name": "factory-local",
            "max_workers": 40,
            "upscaling_speed": 10.0,
            "idle_timeout_minutes": idle_seconds / 60,
            "provider": {
                # Not by its name, under which the autoscaler reads a file of defaults that Ray's wheel lacks.
                "type": "external",
                "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
                "use_node_id_as_ip": True,
                "disable_node_updaters": True,
                "disable_launch_config_check": True,
                "launch_multiple": True,
                "head_node_id": _HEAD_ID,
                "gcs_address": self._address,
            },
            "head_node_type": _HEAD,
            "available_node_types": {
                _HEAD: {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
                **node_types(),
            },
            **{name: {} for name in ("auth", "docker", "file_mounts")},
            **{name: [] for name in _LISTS},
            "file_mounts_sync_continuously": False,
        }
        self._folder = folder
        self._head: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        config = self._folder / "autoscaler.json"
        config.write_text(json.dumps(self._config))
        command = [
            str(Path(sys.executable).with_name("ray")),
            *("start", "--head", "--block", "--num-cpus=0", f"--port={self._port}"),
            *(f"--object-store-memory={_OBJECT_STORE_BYTES}", "--include-dashboard=false"),
            f"--autoscaling-config={config}",
        ]
        os.environ |= {
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        }
        environment = {**os.environ, _ID: _HEAD_ID, "RAY_CLOUD_INSTANCE_ID": _HEAD_ID}
        with (self._folder / "ray.log").open("wb") as log:
            self._head = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                ray.init(address=self._address, namespace="factory", log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, RuntimeError, ValueError) as error:
                if self._head.poll() is not None or time.monotonic() > deadline:
                    self.close()
                    raise ClusterError(f"Ray did not start: {error}. See {self._folder / 'ray.log'}.") from error
                time.sleep(0.5)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def nodes(self) -> dict[str, int]:
        """Return how many nodes of each type live, the head left out."""
        counts = dict.fromkeys(node_types(), 0)
        for node in self._workers():
            counts[_type_of(node)] += 1
        return counts

    def kill_one(self, kind: str) -> bool:
        """End a node of a type with SIGKILL; return whether there was one."""
        wanted = {node["NodeID"] for node in self._workers() if _type_of(node) == kind}
        for process in psutil.process_iter(["name"]):
            with suppress(psutil.Error):
                if process.info["name"] == "raylet" and process.environ().get(_ID) in wanted:
                    process.send_signal(signal.SIGKILL)
                    return True
        return False

    def close(self) -> None:
        """End everything that was started."""
        ray.shutdown()
        if self._head is None:
            return
        end(self._head, signal.SIGTERM)
        self._head = None

    @staticmethod
    def _workers() -> list[dict[str, Any]]:
        return [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != _HEAD_ID]


def _type_of(node: dict[str, Any]) -> str:
    return next(name for name in node_types() if name in node["Resources"])
