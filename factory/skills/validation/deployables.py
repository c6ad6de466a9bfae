"""Dockerfile, Kubernetes manifests and workflow on their own."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import yaml

from factory.skills.validation.rules import LOADER, STRUCTURAL, Problem, Rule, Subject, read_mapping

COMPOSE_PATH = "compose.yaml"
_INSTRUCTIONS = frozenset(
    {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "ONBUILD", "RUN"}
    | {"SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"})
_SELECTING = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
# Names that become labels or parts of a host name, and are therefore shorter than others.
_SHORT_NAMES = {"Service": 63, "Job": 63, "CronJob": 52, "Namespace": 63, "Deployment": 63, "StatefulSet": 52}
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")


class Instruction(NamedTuple):
    """One instruction of a Dockerfile."""

    word: str
    rest: str


def instructions(text: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile: continued lines joined, comments left out."""
    joined = re.sub(r"\\[ \t]*\n(?:[ \t]*#.*\n)*", " ", text)
    found = []
    for line in joined.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            word, _, rest = line.strip().partition(" ")
            found.append(Instruction(word.upper(), rest.strip()))
    return found


def manifests(subject: Subject) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and document of every YAML mapping of the deployment below `deploy/`."""
    for path, text in subject.files_of("deployment").items():
        if path.startswith("deploy/") and path.endswith((".yaml", ".yml")):
            try:
                documents = list(yaml.load_all(text, Loader=LOADER))
            except yaml.YAMLError:
                continue
            for document in documents:
                if isinstance(document, dict):
                    yield path, document


def is_kustomization(path: str) -> bool:
    """Tell whether a path is that of a kustomization."""
    return PurePosixPath(path).stem == "kustomization"


def containers(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the containers and init containers of a workload."""
    spec = document.get("spec") or {}
    if document.get("kind") == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    pod = (spec.get("template") or {}).get("spec") or {}
    return [
        entry for key in ("containers", "initContainers") for entry in pod.get(key) or [] if isinstance(entry, dict)
    ]


def compose_services(subject: Subject) -> list[dict[str, Any]]:
    """Return the services of the compose file that run the project's own image."""
    document = read_mapping(subject.files_of("deployment").get(COMPOSE_PATH)) or {}
    services = [entry for entry in (document.get("services") or {}).values() if isinstance(entry, dict)]
    return [entry for entry in services if "postgres" not in str(entry.get("image"))]


def dockerfile_parses(subject: Subject) -> Iterator[Problem]:
    """The Dockerfile has known instructions, starts from an image with a version, and does not run as root."""
    text = subject.content.files.get("Dockerfile")
    if text is None:
        return
    found = instructions(text)
    words = [step.word for step in found]
    for word in sorted(set(words) - _INSTRUCTIONS):
        yield Problem(f"{word} is no Dockerfile instruction.", "Dockerfile")
    if next((word for word in words if word != "ARG"), None) != "FROM":
        yield Problem("the first instruction is not FROM.", "Dockerfile")
    stages = {step.rest.split()[-1].lower() for step in found if step.word == "FROM" and " as " in step.rest.lower()}
    for step in found:
        if step.word == "FROM":
            image = next(part for part in step.rest.split() if not part.startswith("--"))
            if image.lower() not in stages and image != "scratch" and not has_version(image):
                yield Problem(f"the image {image} has no version.", "Dockerfile")
        if step.word in ("CMD", "ENTRYPOINT") and step.rest.startswith("["):
            yield from _exec_form(step)
    users = [step.rest for step in found[_last(words, "FROM") :] if step.word == "USER"]
    if not users or users[-1].split(":")[0] in ("root", "0"):
        yield Problem("the container runs as root.", "Dockerfile")


def manifests_are_complete(subject: Subject) -> Iterator[Problem]:
    """Kubernetes manifests have their required keys, select their own pods, and are named once in each file."""
    seen: set[tuple[str, str, str]] = set()
    for path, document in manifests(subject):
        if is_kustomization(path):
            continue
        name = (document.get("metadata") or {}).get("name")
        kind = document.get("kind")
        for key in ("apiVersion", "kind"):
            if not document.get(key):
                yield Problem(f"a document has no {key}.", path)
        if not isinstance(name, str) or not _NAME.match(name) or len(name) > _SHORT_NAMES.get(str(kind), len(name)):
            yield Problem(f"a {kind} has the name {name!r}, which Kubernetes refuses.", path)
        identity = (path, str(kind), str(name))
        if identity in seen:
            yield Problem(f"the {kind} {name} is given twice.", path)
        seen.add(identity)
        # A patch of an overlay names only what it changes.
        if kind in _WORKLOADS and "overlays/" not in path:
            yield from _workload(path, document)


def kustomizations_lead_to_files(subject: Subject) -> Iterator[Problem]:
    """Every resource and patch of a kustomization exists."""
    paths = set(subject.content.files)
    folders = {parent.as_posix() for path in paths if is_kustomization(path) for parent in [PurePosixPath(path).parent]}
    for path, document in manifests(subject):
        if not is_kustomization(path):
            continue
        patches = [entry.get("path") for entry in document.get("patches") or [] if isinstance(entry, dict)]
        for name in [*(document.get("resources") or []), *(document.get("components") or []), *patches]:
            if name is None or "://" in str(name):
                continue
            target = _normal(PurePosixPath(path).parent / str(name))
            if target not in paths and target not in folders:
                yield Problem(f"{name} does not exist.", path)


def workflow_is_complete(subject: Subject) -> Iterator[Problem]:
    """The workflow has triggers, and jobs with runners and steps that do something, with actions of a version."""
    for path, text in subject.content.files.items():
        if not path.startswith(".github/workflows/"):
            continue
        try:
            document = yaml.load(text, Loader=LOADER)  # noqa: S506 - a safe loader
        except yaml.YAMLError:
            continue
        # YAML 1.1 reads the key `on` as true.
        if not isinstance(document, dict) or not (document.get("on") or document.get(True)):
            yield Problem("the workflow has no trigger.", path)
            continue
        jobs = document.get("jobs")
        if not isinstance(jobs, dict) or not jobs:
            yield Problem("the workflow has no job.", path)
            continue
        for name, job in jobs.items():
            yield from (Problem(f"job {name}: {message}", path) for message in _job(job, set(jobs)))


def _job(job: Any, names: set[str]) -> Iterator[str]:  # noqa: ANN401 - any YAML
    if not isinstance(job, dict):
        yield "it is no mapping."
        return
    if "uses" in job:
        return
    needs = job.get("needs") or []
    for need in [needs] if isinstance(needs, str) else needs:
        if need not in names:
            yield f"it needs the job {need}, which does not exist."
    if not job.get("runs-on"):
        yield "it names no runner."
    if not job.get("steps"):
        yield "it has no step."
    for step in job.get("steps") or []:
        if not isinstance(step, dict) or ("run" in step) == ("uses" in step):
            yield f"a step must either run a command or use an action: {step!r:.100}"
        elif "uses" in step and "@" not in step["uses"] and not step["uses"].startswith("./"):
            yield f"the action {step['uses']} has no version."


def _workload(path: str, document: dict[str, Any]) -> Iterator[Problem]:
    where = f"{document.get('kind')} {(document.get('metadata') or {}).get('name')}"
    found = containers(document)
    if not found:
        yield Problem(f"{where} has no container.", path)
    for container in found:
        for key in ("name", "image"):
            if not container.get(key):
                yield Problem(f"{where}: a container has no {key}.", path)
    if document.get("kind") in _SELECTING:
        spec = document.get("spec") or {}
        wanted = (spec.get("selector") or {}).get("matchLabels") or {}
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
        if not wanted or not wanted.items() <= labels.items():
            yield Problem(f"{where} does not select its own pods.", path)


def _exec_form(step: Instruction) -> Iterator[Problem]:
    try:
        parts = json.loads(step.rest)
    except json.JSONDecodeError:
        parts = None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        yield Problem(f"{step.word} {step.rest} is no JSON list of strings.", "Dockerfile")


def has_version(image: str) -> bool:
    """Tell whether an image is named with a tag other than `latest`, a digest, or a variable."""
    if image.startswith("$"):
        return True
    tag = image.rpartition("/")[2].partition(":")[2]
    return "@sha256:" in image or tag not in {"", "latest"}


def copied_sources(text: str) -> list[str]:
    """Return what a Dockerfile copies from its build context."""
    sources: list[str] = []
    for step in instructions(text):
        if step.word in ("COPY", "ADD") and "--from" not in step.rest:
            parts = json.loads(step.rest) if step.rest.startswith("[") else shlex.split(step.rest)
            sources += [part for part in parts if not part.startswith("--")][:-1]
    return sources


def _last(words: list[str], word: str) -> int:
    return max((index for index, found in enumerate(words) if found == word), default=0)


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


_DEPLOYMENT = frozenset({"deployment"})
RULES = (
    Rule("dockerfile-parses", STRUCTURAL, dockerfile_parses, kinds=_DEPLOYMENT),
    Rule("manifests-are-complete", STRUCTURAL, manifests_are_complete, kinds=_DEPLOYMENT),
    Rule("kustomizations-lead-to-files", STRUCTURAL, kustomizations_lead_to_files, kinds=_DEPLOYMENT),
    Rule("workflow-is-complete", STRUCTURAL, workflow_is_complete, kinds=frozenset({"pipeline"})),
)
