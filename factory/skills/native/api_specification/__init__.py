"""The API specification: `specs/openapi.yaml`, OpenAPI 3.1, from the same design as the code."""

import yaml

from factory.domain.artifact import Content
from factory.domain.product import DomainModel
from factory.skills.native.api_specification.document import openapi_document
from factory.skills.native.service_design.design import design_service
from factory.skills.skill import Make, Skill, SkillContext, SkillResult

PATH = "specs/openapi.yaml"


class _Dumper(yaml.SafeDumper):
    """Writes repeated parts out instead of as anchors, which few readers of OpenAPI follow."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        """Tell PyYAML to write every part out."""
        return True


def write_api_specification(context: SkillContext) -> SkillResult:
    """Return the API specification for the project's domain model."""
    model = DomainModel.model_validate_json(context.input("domain-model").text(".factory/domain-model.json"))
    document = openapi_document(design_service(model))
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    paths = document["paths"]
    return SkillResult(
        content=Content(files={PATH: text}), metadata={"paths": len(paths) if isinstance(paths, dict) else 0}
    )


SKILLS: tuple[Skill, ...] = (
    Skill(
        name="native-api-specification",
        produces="api-specification",
        consumes=("domain-model",),
        make=Make.NATIVE,
        run=write_api_specification,
    ),
)
