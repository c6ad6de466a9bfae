"""From the domain model and the architecture to the container image and the Kubernetes manifests."""

from dataclasses import dataclass
from pathlib import Path

from factory.domain.artifact import Content
from factory.domain.product import DomainModel
from factory.skills.native.rendering.templates import code_environment
from factory.skills.native.service_design.design import design_service
from factory.skills.skill import Make, Skill, SkillContext, SkillResult

_FOLDER = Path(__file__).parent / "templates"
_TEMPLATES = code_environment(_FOLDER)
_SUFFIX = ".jinja"
_RELAY_ONLY = frozenset({"deploy/base/relay.yaml"})

# Names of Kubernetes objects end at 63 characters, and the longest suffix added here is "-production".
_LONGEST_NAME = 45
VERSION = "1.0.0"
PORT = 8000


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the templates may know: names from closed alphabets and numbers.

    Attributes:
        name: Name of the image and of every Kubernetes object.
        package: The Python package to run.
        has_events: Whether a relay has to run.
    """

    name: str
    package: str
    has_events: bool
    version: str = VERSION
    port: int = PORT


def object_name(slug: str) -> str:
    """Return the slug as the name of Kubernetes objects."""
    return slug[:_LONGEST_NAME].rstrip("-")


def write_deployment(context: SkillContext) -> SkillResult:
    """Write the Dockerfile, the Compose file and the manifests of the service."""
    model = DomainModel.model_validate_json(context.input("domain-model").text(".factory/domain-model.json"))
    design = design_service(model)
    runtime = Runtime(object_name(model.slug), design.package, has_events=bool(design.events))
    files = {
        path: _TEMPLATES.get_template(f"{path}{_SUFFIX}").render(runtime=runtime)
        for path in _paths()
        if runtime.has_events or path not in _RELAY_ONLY
    }
    return SkillResult(content=Content(files=files), metadata={"files": len(files), "image": runtime.name})


def _paths() -> list[str]:
    templates = (path for path in _FOLDER.rglob(f"*{_SUFFIX}") if path.is_file())
    return sorted(str(path.relative_to(_FOLDER)).removesuffix(_SUFFIX) for path in templates)


SKILLS: tuple[Skill, ...] = (
    Skill(
        name="native-deployment",
        produces="deployment",
        consumes=("domain-model", "architecture"),
        make=Make.NATIVE,
        run=write_deployment,
    ),
)
