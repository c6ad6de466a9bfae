"""The pipelines' smoke test against a real gateway."""

import json
import os
import subprocess

from tests.cluster.conftest import ROOT
from tests.serve_cluster.conftest import Running


def smoke(running: Running, secret: str, client: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "URL": running.url, "CLIENT": client, "SECRET": secret, "SMOKE_MINUTES": "8"}
    script = ROOT / "cluster" / "pipelines" / "smoke-test"
    return subprocess.run([script], env=environment, capture_output=True, text=True, check=False, timeout=540)


def test_it_builds_a_project_and_fails_without_a_right_secret(running: Running) -> None:
    rights = ("--role", "platform-user", "--scope", "factory.read", "--scope", "factory.write")
    made = json.loads(running.command("client", "add", "smoke", *rights, "--json"))
    wrong = smoke(running, "not-the-secret", made["id"])
    assert wrong.returncode != 0
    done = smoke(running, made["secret"], made["id"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "released" in done.stdout
