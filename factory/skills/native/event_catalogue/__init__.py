"""From the domain model to the catalogue of its events: an AsyncAPI 3 document."""

from factory.domain.artifact import Content
from factory.domain.product import DomainModel
from factory.skills.native.event_catalogue.catalogue import write_catalogue
from factory.skills.skill import Make, Skill, SkillContext, SkillResult

PATH = "specs/asyncapi.yaml"


def write_event_catalogue(context: SkillContext) -> SkillResult:
    """Describe every event the service publishes, as it goes over the wire."""
    model = DomainModel.model_validate_json(context.input("domain-model").text(".factory/domain-model.json"))
    text, events = write_catalogue(model)
    return SkillResult(content=Content(files={PATH: text}), metadata={"events": events})


SKILLS: tuple[Skill, ...] = (
    Skill(
        name="native-event-catalogue",
        produces="event-catalogue",
        consumes=("domain-model",),
        make=Make.NATIVE,
        run=write_event_catalogue,
    ),
)
