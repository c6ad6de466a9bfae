"""The image: no finding of the linter, everything it copies is there, and it runs as who the manifests say."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.cluster.conftest import ROOT, only, rendered

DOCKERFILE = ROOT / "cluster" / "images" / "Dockerfile"
TEXT = DOCKERFILE.read_text()


def test_the_linter_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_is_there_and_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().split("\n") if line.startswith("!")}
    sources = [name for names in re.findall(r"^COPY (?!--from)(.+) \S+$", TEXT, re.MULTILINE) for name in names.split()]
    assert sources
    for name in sources:
        assert (ROOT / name).exists(), name
        assert name.split("/")[0] in allowed, name


def test_the_interpreter_is_one_the_package_supports() -> None:
    (wanted,) = re.findall(r"^ARG BASE=python:(\S+?)-slim", TEXT, re.MULTILINE)
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    low, high = (tuple(int(part) for part in bound.split(".")) for bound in re.findall(r"\d+\.\d+", supported))
    assert low <= tuple(int(part) for part in wanted.split(".")) < high


def test_the_user_is_the_manifests() -> None:
    (user,) = re.findall(r"^USER (\d+):\d+$", TEXT, re.MULTILINE)
    service = only(rendered("production"), "RayService")
    head = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
    assert head["securityContext"]["runAsUser"] == int(user)


def test_dependencies_are_installed_under_the_constraints() -> None:
    assert "--constraint constraints.txt" in TEXT
    assert "--require-hashes -r requirements/spacy-model.txt" in TEXT
