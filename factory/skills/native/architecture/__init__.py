"""From the model, the backlog and the requirements to the architecture and the decisions behind it."""

from pydantic import JsonValue

from factory.domain.artifact import Content
from factory.domain.documents import Backlog, ProductRequirements
from factory.domain.product import DomainModel
from factory.skills.native.architecture.citations import cite
from factory.skills.native.architecture.decisions import decide
from factory.skills.native.architecture.document import render, render_decision
from factory.skills.native.architecture.facts import Facts
from factory.skills.skill import Make, Skill, SkillContext, SkillResult

DOCUMENT_PATH = "docs/architecture.md"


def write_architecture(context: SkillContext) -> SkillResult:
    """Describe the service that is derived from the model: its views, its qualities and its decisions."""
    model = DomainModel.model_validate_json(context.input("domain-model").text(".factory/domain-model.json"))
    backlog = Backlog.model_validate_json(context.input("backlog").text(".factory/backlog.json"))
    requirements = ProductRequirements.model_validate_json(
        context.input("product-requirements").text(".factory/product-requirements.json")
    )
    facts = Facts(model)
    decisions, recalled = cite(decide(facts), context.memory)
    files = {DOCUMENT_PATH: render(facts, decisions, backlog, requirements)}
    for decision in decisions:
        files[f"docs/decisions/{decision.file_name}"] = render_decision(decision, context.project.created_at)
    cited = sum(bool(decision.earlier) for decision in decisions)
    metadata: dict[str, JsonValue] = {"decisions": len(decisions), **({"cited": cited} if cited else {})}
    return SkillResult(content=Content(files=files), metadata=metadata, recalled=recalled)


SKILLS: tuple[Skill, ...] = (
    Skill(
        name="native-architecture",
        produces="architecture",
        consumes=("domain-model", "backlog", "product-requirements"),
        make=Make.NATIVE,
        run=write_architecture,
    ),
)
