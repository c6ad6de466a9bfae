"""Do the image, the manifests and the compose file fit the code that they run?"""

import json
import re
from collections.abc import Iterator
from typing import Any

from factory.skills.validation.backend_source import routes, settings_variables
from factory.skills.validation.deployables import (
    COMPOSE_PATH,
    compose_services,
    containers,
    copied_sources,
    has_version,
    instructions,
    is_kustomization,
    manifests,
)
from factory.skills.validation.rules import SEMANTIC, Problem, Rule, Subject

_SOURCE = ("src/",)
_PORT_OPTION = re.compile(r"""--(?:port|bind)["', =]+(?:[\w.]*:)?(\d{2,5})""")
_VARIABLE = re.compile(r"^[A-Z][A-Z0-9_]*$")
# Read by Python, by the server, by the installer or by the platform, and not by the service's settings.
_PLATFORM = re.compile(
    r"^(PYTHON|PIP_|UV_|UVICORN_|GUNICORN_|OTEL_|POD_|POSTGRES_|PG|(PATH|PORT|HOST|TZ|HOME|TMPDIR|LANG|WEB_CONCURRENCY)$)"
)
_APPLICATION = re.compile(r"""["' ]([a-z_][\w.]*):([A-Za-z_]\w*)["' ]""")
_MODULE = re.compile(r"""["' ]-m["', ]+([a-z_][\w.]*)""")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def image_copies_what_exists(subject: Subject) -> Iterator[Problem]:
    """Every file or folder that the Dockerfile copies is in the repository."""
    for source in copied_sources(_dockerfile(subject)):
        name = source.removeprefix("./").rstrip("/")
        if name in ("", ".") or "$" in name or "*" in name:
            continue
        if not any(path == name or path.startswith(f"{name}/") for path in subject.files):
            yield Problem(f"the image copies {source}, which does not exist.", "Dockerfile")


def images_have_versions(subject: Subject) -> Iterator[Problem]:
    """Every image that a container runs has a version, its own or one that each overlay gives it."""
    given = {
        path: {str(image.get("name")) for image in document.get("images") or [] if _names_version(image)}
        for path, document in manifests(subject)
        if is_kustomization(path)
    }
    overlays = [path for path in given if "/overlays/" in path] or list(given)
    used = {str(container.get("image")) for _, document in manifests(subject) for container in containers(document)}
    for image in sorted(image for image in used if not has_version(image)):
        lacking = [path for path in overlays if image not in given[path]]
        if lacking or not overlays:
            yield Problem(f"nothing gives the image {image} a version.", lacking[0] if lacking else None)
    for path, names in given.items():
        for name in sorted(names - {image.partition(":")[0] for image in used}):
            yield Problem(f"a version is given to the image {name}, which no container runs.", path)


def entry_points_exist(subject: Subject) -> Iterator[Problem]:
    """Every application and module that the image or a container starts is in the code."""
    packages = {path.split("/")[1] for path in subject.python(*_SOURCE) if path.count("/") > 1}
    for path, command in _commands(subject):
        for module, name in [*_APPLICATION.findall(command), *((found, "") for found in _MODULE.findall(command))]:
            if module.split(".")[0] in packages and not _is_defined(subject, module, name):
                yield Problem(f"{module}{':' if name else ''}{name} is started and does not exist.", path)


def ports_agree(subject: Subject) -> Iterator[Problem]:
    """The port that the image serves is the one that containers, services and published ports name."""
    steps = instructions(_dockerfile(subject))
    exposed = {word.split("/")[0] for step in steps if step.word == "EXPOSE" for word in step.rest.split()}
    served = {port for step in steps if step.word in ("CMD", "ENTRYPOINT") for port in _PORT_OPTION.findall(step.rest)}
    if exposed and served - exposed:
        yield Problem(f"the image serves {_listed(served)} and exposes {_listed(exposed)}.", "Dockerfile")
    known = exposed | served
    if not known:
        return
    listening = [(path, port) for path, document in manifests(subject) for port in _container_ports(document)]
    for path, port in listening:
        if str(port.get("containerPort")) not in known:
            yield Problem(f"a container listens at {port.get('containerPort')}, the image at {_listed(known)}.", path)
    names = {str(port.get("name")) for _, port in listening}
    for path, target in _targets(subject):
        if target not in known | names:
            yield Problem(f"port {target} is led to, and nobody listens at it.", path)


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
    for path, name in (*_image_variables(subject), *_manifest_variables(subject), *_compose_variables(subject)):
        if known and _VARIABLE.match(name) and name not in known and not _PLATFORM.match(name):
            yield Problem(f"{name} is set and is no setting of the service.", path)


def _dockerfile(subject: Subject) -> str:
    return subject.files_of("deployment").get("Dockerfile", "")


def _names_version(image: dict[str, Any]) -> bool:
    return bool(image.get("newTag") or image.get("digest"))


def _commands(subject: Subject) -> Iterator[tuple[str, str]]:
    yield from (("Dockerfile", step.rest) for step in instructions(_dockerfile(subject)))
    for path, document in manifests(subject):
        for container in containers(document):
            yield path, json.dumps([*(container.get("command") or []), *(container.get("args") or [])])
    for service in compose_services(subject):
        yield COMPOSE_PATH, json.dumps(service.get("command") or [])


def _is_defined(subject: Subject, module: str, name: str) -> bool:
    stem = f"src/{module.replace('.', '/')}"
    files = (f"{stem}.py", f"{stem}/{'__init__' if name else '__main__'}.py")
    text = next((subject.files[path] for path in files if path in subject.files), None)
    if text is None or not name:
        return text is not None
    return re.search(rf"(?m)^(?:(?:async )?def {name}\b|{name}\s*[:=])", text) is not None


def _listed(ports: set[str]) -> str:
    return " and ".join(sorted(ports))


def _container_ports(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for container in containers(document) if _is_own(document) else []:
        yield from (port for port in container.get("ports") or [] if isinstance(port, dict))


def _targets(subject: Subject) -> Iterator[tuple[str, str]]:
    for path, document in manifests(subject):
        if document.get("kind") == "Service":
            for port in (document.get("spec") or {}).get("ports") or []:
                yield path, str(port.get("targetPort", port.get("port")))
    for service in compose_services(subject):
        for published in service.get("ports") or []:
            yield COMPOSE_PATH, str(published).rpartition(":")[2]


def _is_own(document: dict[str, Any]) -> bool:
    """Tell whether a workload runs the service rather than its database."""
    return not any("postgres" in str(container.get("image")) for container in containers(document))


def _image_variables(subject: Subject) -> Iterator[tuple[str, str]]:
    for step in instructions(_dockerfile(subject)):
        if step.word == "ENV":
            yield from (("Dockerfile", name) for name in re.findall(r"(?:^|\s)([A-Z][A-Z0-9_]*)=", step.rest))


def _manifest_variables(subject: Subject) -> Iterator[tuple[str, str]]:
    for path, document in manifests(subject):
        for container in containers(document) if _is_own(document) else []:
            yield from ((path, str(entry.get("name"))) for entry in container.get("env") or [])
        if document.get("kind") in ("ConfigMap", "Secret"):
            for key in ("data", "stringData"):
                yield from ((path, str(name)) for name in document.get(key) or {})
        for key in ("configMapGenerator", "secretGenerator"):
            for generator in document.get(key) or []:
                yield from ((path, str(entry).partition("=")[0]) for entry in generator.get("literals") or [])


def _compose_variables(subject: Subject) -> Iterator[tuple[str, str]]:
    for service in compose_services(subject):
        yield from ((COMPOSE_PATH, str(entry).partition("=")[0]) for entry in service.get("environment") or [])


_JUDGED = frozenset({"deployment", "test-report"})
RULES = tuple(
    Rule(name, SEMANTIC, check, kinds=_JUDGED, needs=frozenset({"deployment", *needs}))
    for name, check, needs in (
        ("image-copies-what-exists", image_copies_what_exists, ("backend",)),
        ("images-have-versions", images_have_versions, ()),
        ("entry-points-exist", entry_points_exist, ("backend",)),
        ("ports-agree", ports_agree, ()),
        ("probes-exist", probes_exist, ("backend",)),
        ("variables-are-settings", variables_are_settings, ("backend",)),
    )
)
