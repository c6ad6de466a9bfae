"""The applications of the RayService, as the manifest names them, on a Ray that somebody else started."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray
import yaml

from factory.client import Factory
from factory.serve.cluster import subcluster_names
from factory.serve.deployment import free_port
from factory.settings import Settings
from factory.storage.embedded import EmbeddedServer

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "cluster" / "kuberay" / "base" / "rayservice.yaml"
HOST = "127.0.0.1"
VISION = "# Shop\n\nAs a clerk I want to record an order of a customer.\n"


def _config(port: int) -> dict[str, Any]:
    manifest: dict[str, Any] = yaml.safe_load(MANIFEST.read_text())
    config: dict[str, Any] = yaml.safe_load(manifest["spec"]["serveConfigV2"])
    config["http_options"] |= {"host": HOST, "port": port}
    for application in config["applications"]:
        for deployment in application["deployments"]:
            # This machine has fewer cores than the worker groups.
            deployment["ray_actor_options"]["num_cpus"] = 0
    return config


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[str]:
    """Deploy the manifest's applications; give the gateway's URL."""
    port = free_port(HOST)
    url = f"http://{HOST}:{port}"
    config = tmp_path / "serve.yaml"
    config.write_text(yaml.safe_dump(_config(port)))
    server = EmbeddedServer(tmp_path / "postgres")
    server.attach()
    with pytest.MonkeyPatch.context() as patch:
        # Processes of Ray have the environment that Ray was started in, as containers have theirs.
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("FACTORY_DATA_DIR", str(tmp_path / "data"))
        patch.setenv("FACTORY_DATABASE_URL", server.dsn("postgres"))
        patch.setenv("FACTORY_GATEWAY_URL", url)
        patch.setenv("FACTORY_MEMORY", "off")
        context: Any = ray.init(
            address="local",
            num_cpus=2,
            resources={"core": 32, **dict.fromkeys(subcluster_names(), 100)},
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=128 * 1024 * 1024,
        )
        command = [Path(sys.executable).with_name("serve"), "run", "--address", context.address_info["address"], config]
        with (tmp_path / "serve.log").open("w") as log:
            running = subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=log, stderr=log)
        try:
            _await_health(url, running)
            yield url
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(60)
            ray.shutdown()
            server.detach()


def _await_health(url: str, running: "subprocess.Popen[bytes]") -> None:
    with httpx.Client(transport=httpx.HTTPTransport(retries=10)) as client:
        while running.poll() is None:
            try:
                if client.get(f"{url}/readyz", timeout=5).is_success:
                    return
            except httpx.TransportError:
                continue
    raise AssertionError("Serve ended before the gateway answered")


@pytest.mark.timeout(600)
def test_the_manifests_applications_build_a_project(serving: str) -> None:
    def command(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "factory", *arguments], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert Settings().database_url is not None
    command("user", "add", "root", "--role", "admin")
    with Factory(serving, command("token", "issue", "--user", "root")) as factory:
        status = factory.create(VISION).result()
    assert status.project.status == "released"
    assert status.tests is not None
    assert status.tests[0] > 0
    assert status.tests[1] == 0
