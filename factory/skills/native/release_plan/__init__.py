"""From the model, the backlog, the API and the test report to the release plan and the release notes."""

from factory.domain.artifact import Content
from factory.domain.documents import Backlog
from factory.domain.product import DomainModel
from factory.skills.native.release_plan.document import render_changelog, render_plan
from factory.skills.native.release_plan.evidence import Evidence, count_operations
from factory.skills.skill import Make, Skill, SkillContext, SkillResult

PLAN_PATH = "docs/release-plan.md"
CHANGELOG_PATH = "CHANGELOG.md"


def write_release_plan(context: SkillContext) -> SkillResult:
    """Plan the first release on the evidence of the tests, and say what is in it."""
    model = DomainModel.model_validate_json(context.input("domain-model").text(".factory/domain-model.json"))
    backlog = Backlog.model_validate_json(context.input("backlog").text(".factory/backlog.json"))
    evidence = Evidence.model_validate_json(context.input("test-report").text("test-report.json"))
    operations = count_operations(context.input("api-specification").text("specs/openapi.yaml"))
    date = f"{context.project.created_at:%Y-%m-%d}"
    files = {
        PLAN_PATH: render_plan(model, backlog, evidence, operations, date),
        CHANGELOG_PATH: render_changelog(model, date),
    }
    return SkillResult(content=Content(files=files), metadata={"go": evidence.is_clean})


SKILLS: tuple[Skill, ...] = (
    Skill(
        name="native-release-plan",
        produces="release-plan",
        consumes=("domain-model", "backlog", "api-specification", "test-report"),
        make=Make.NATIVE,
        run=write_release_plan,
    ),
)
