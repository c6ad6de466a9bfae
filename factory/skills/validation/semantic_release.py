"""Do the image, the manifests, the pipeline and the release plan fit the code; did its tests pass?"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from factory.skills.validation.backend_source import routes, settings_variables
from factory.skills.validation.deployables import containers, copied_sources, instructions, manifests
from factory.skills.validation.rules import LOADER, SEMANTIC, Problem, Rule, Subject

_SOURCE = ("src/",)
_TARGET = re.compile(r"^([A-Za-z0-9][\w .-]*?)\s*::?(?!=)", re.MULTILINE)
_MAKE = re.compile(r"(?:^|[;&|\n]|\s&&\s)\s*make((?:[ \t]+[^\s;&|]+)+)")
_PORT_OPTION = re.compile(r"""--(?:port|bind)["', =]+(?:[\w.]*:)?(\d{2,5})""")
_VARIABLE = re.compile(r"^[A-Z][A-Z0-9_]*$")
# Read by Python, by the server or by the platform, and not by the service's settings.
_PLATFORM = re.compile(
    r"^(PYTHON|UVICORN_|GUNICORN_|WEB_CONCURRENCY$|PORT$|HOST$|TZ$|HOME$|TMPDIR$|POSTGRES_|PG|OTEL_|POD_)"
)
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def image_copies_what_exists(subject: Subject) -> Iterator[Problem]:
    """Every file or folder that the Dockerfile copies is in the repository."""
    for source in copied_sources(subject.files_of("deployment").get("Dockerfile", "")):
        name = source.removeprefix("./").rstrip("/*")
        if name in ("", ".") or "$" in name:
            continue
        if not any(path == name or path.startswith(f"{name}/") for path in subject.files) and "*" not in name:
            yield Problem(f"the image copies {source}, which does not exist.", "Dockerfile")


def ports_agree(subject: Subject) -> Iterator[Problem]:
    """The port that the image serves is the one that the containers and services of the service name."""
    text = subject.files_of("deployment").get("Dockerfile", "")
    exposed = {word.split("/")[0] for step in instructions(text) if step.word == "EXPOSE" for word in step.rest.split()}
    served = {port for step in instructions(text) if step.word in ("CMD", "ENTRYPOINT") for port in _ports(step.rest)}
    if exposed and served - exposed:
        yield Problem(f"the image serves {_listed(served)} and exposes {_listed(exposed)}.", "Dockerfile")
    known = exposed | served
    named: set[str] = set()
    for path, document in manifests(subject):
        for port in _container_ports(document):
            named.add(str(port.get("name")))
            if known and _is_own(document) and str(port.get("containerPort")) not in known:
                yield Problem(
                    f"a container listens at {port.get('containerPort')}, the image at {_listed(known)}.",
                    path,
                )
    for path, document in manifests(subject):
        if document.get("kind") == "Service":
            for port in (document.get("spec") or {}).get("ports") or []:
                target = str(port.get("targetPort", port.get("port")))
                if target not in known | named:
                    yield Problem(f"the service leads to port {target}, which nobody listens at.", path)


def probes_exist(subject: Subject) -> Iterator[Problem]:
    """Every probe asks a path that the code answers, at a port that the container names."""
    answered = {route.path for route in routes(subject.python(*_SOURCE)) if route.method == "get"}
    for path, document in manifests(subject):
        for container in containers(document):
            ports = {str(value) for port in container.get("ports") or [] for value in port.values()}
            for probe in _PROBES:
                asked = (container.get(probe) or {}).get("httpGet") or {}
                if asked and asked.get("path") not in answered:
                    yield Problem(f"the {probe} asks {asked.get('path')}, which the code does not answer.", path)
                if asked and ports and str(asked.get("port")) not in ports:
                    yield Problem(f"the {probe} asks port {asked.get('port')}, which the container has not.", path)


def variables_are_settings(subject: Subject) -> Iterator[Problem]:
    """Every environment variable that the deployment sets is one of the service's settings."""
    known = settings_variables(subject.python(*_SOURCE))
    if not known:
        return
    for path, name in _variables(subject):
        if name not in known and not _PLATFORM.match(name):
            yield Problem(f"{name} is set and is no setting of the service.", path)


def pipeline_calls_targets_that_exist(subject: Subject) -> Iterator[Problem]:
    """Every `make` target that the workflow calls is in the Makefile."""
    targets = {word for found in _TARGET.findall(subject.files.get("Makefile", "")) for word in found.split()}
    for path, text in subject.files_of("pipeline").items():
        for command in _commands(text):
            for called in _MAKE.findall(command):
                for word in called.split():
                    if not word.startswith("-") and "=" not in word and word not in targets:
                        yield Problem(f"the pipeline calls make {word}, which the Makefile has not.", path)


def release_plan_names_every_epic(subject: Subject) -> Iterator[Problem]:
    """The release plan names each epic of the backlog."""
    text = " ".join(subject.files_of("release-plan").get("docs/release-plan.md", "").split())
    for epic in dict.fromkeys(item.epic for item in subject.backlog.items) if subject.backlog else ():
        if epic not in text:
            yield Problem(f"the release plan does not name the epic {epic!r}.", "docs/release-plan.md")


def project_tests_pass(subject: Subject) -> Iterator[Problem]:
    """The project's own tests and checks passed."""
    if subject.report is not None:
        yield from (Problem(finding.message, finding.path) for finding in subject.report.findings())


def _listed(ports: set[str]) -> str:
    return " and ".join(sorted(ports))


def _ports(command: str) -> list[str]:
    return _PORT_OPTION.findall(command)


def _container_ports(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for container in containers(document):
        for port in container.get("ports") or []:
            if isinstance(port, dict):
                yield port


def _is_own(document: dict[str, Any]) -> bool:
    """Tell whether a workload runs the service rather than its database."""
    return not any("postgres" in str(container.get("image")) for container in containers(document))


def _variables(subject: Subject) -> Iterator[tuple[str, str]]:
    for step in instructions(subject.files_of("deployment").get("Dockerfile", "")):
        if step.word == "ENV":
            yield from (("Dockerfile", name) for name in re.findall(r"(?:^|\s)([A-Z][A-Z0-9_]*)=", step.rest))
    for path, document in manifests(subject):
        if _is_own(document):
            for container in containers(document):
                for entry in container.get("env") or []:
                    yield path, str(entry.get("name"))
        if document.get("kind") in ("ConfigMap", "Secret"):
            for key in {**(document.get("data") or {}), **(document.get("stringData") or {})}:
                if _VARIABLE.match(str(key)):
                    yield path, str(key)


def _commands(text: str) -> Iterator[str]:
    try:
        document = yaml.load(text, Loader=LOADER)  # noqa: S506 - a safe loader
    except yaml.YAMLError:
        return
    jobs = document.get("jobs") if isinstance(document, dict) else None
    for job in (jobs or {}).values():
        for step in (job or {}).get("steps") or []:
            if isinstance(step, dict) and isinstance(step.get("run"), str):
                yield step["run"]


_LAST = "test-report"
RULES = (
    *(
        Rule(name, SEMANTIC, check, kinds=frozenset({kind, _LAST}), needs=frozenset({kind, need}))
        for name, check, kind, need in (
            ("image-copies-what-exists", image_copies_what_exists, "deployment", "backend"),
            ("ports-agree", ports_agree, "deployment", "deployment"),
            ("probes-exist", probes_exist, "deployment", "backend"),
            ("variables-are-settings", variables_are_settings, "deployment", "backend"),
            ("pipeline-calls-targets-that-exist", pipeline_calls_targets_that_exist, "pipeline", "backend"),
            ("release-plan-names-every-epic", release_plan_names_every_epic, "release-plan", "backlog"),
        )
    ),
    Rule("project-tests-pass", SEMANTIC, project_tests_pass, kinds=frozenset({_LAST}), needs=frozenset({"report"})),
)
