"""The Artifact Validator: checks each artifact against the others, and runs the generated tests."""

import asyncio
from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec, Work
from factory.domain.errors import ErrorCategory, TerminalError
from factory.domain.task import VALIDATE, Verdict
from factory.skills.validation import validate


class ArtifactValidator(Agent):
    """Gives a verdict on every new artifact: structural, semantic, compliance (R05).

    A task with the goal `validate` ends in a verdict; one with the goal `test-report` in an artifact, like
    any other agent's.
    """

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="artifact-validator",
        title="Artifact Validator",
        subcluster="utility",
        consumes=("TaskAssigned", "ArtifactCreated"),
        produces=("test-report", VALIDATE),
        skills=("run-project-tests",),
        batch=2,
    )

    def plan(self, work: Work) -> None:
        """Validation needs no skill; the test report does."""
        if work.task.goal != VALIDATE:
            super().plan(work)

    async def execute(self, work: Work) -> None:
        """Check the subject against its siblings."""
        if work.task.goal != VALIDATE:
            await super().execute(work)
            return
        subject = work.task.subject
        if subject is None:
            raise TerminalError("a validation task names no artifact.", category=ErrorCategory.SCHEMA, field="subject")
        content = await self.read(subject)
        siblings = {kind: other for kind, other in work.inputs.items() if kind != subject.kind}
        work.findings = await asyncio.to_thread(validate, subject.kind, content, siblings)
        passed = not any(finding.severity == "error" for finding in work.findings)
        work.verdict = Verdict(artifact_id=subject.id, passed=passed, findings=work.findings)

    def compose(self, work: Work) -> None:
        """Verdicts are complete as they are."""
        if work.task.goal != VALIDATE:
            super().compose(work)
