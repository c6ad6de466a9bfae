"""A plugin for tests of compensation: what it makes can be unmade, by agents that fail as they are told.

The project's name says how: see the functions.
"""

import asyncio
import os
from pathlib import Path
from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec, Work
from factory.domain.errors import RetryableError, TerminalError
from factory.domain.project import Project
from factory.settings import Settings
from factory.skills.skill import Make, Skill, SkillContext, SkillResult
from tests.actors.greeting import part

_PATIENCE_SECONDS = 60.0


def gate(settings: Settings, project: Project) -> Path:
    """Return the file whose appearance lets what waits go on."""
    return settings.data_dir / f"gate-{project.id}"


def mend(settings: Settings, project: Project) -> Path:
    """Return the file whose appearance cures what failed for good."""
    return settings.data_dir / f"mended-{project.id}"


def undone(settings: Settings, project: Project) -> list[str]:
    """Return what the erasers did, each line the step and the kinds of its inputs, in order."""
    path = settings.data_dir / f"undone-{project.id}"
    return path.read_text().splitlines() if path.exists() else []


async def _wait(path: Path) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not path.exists():
            await asyncio.sleep(0.02)


async def mourn(context: SkillContext) -> SkillResult:
    """Part in the end, unless the project is doomed; a patient one waits at the gate first."""
    project, settings = context.project, context.settings
    if "Slow" in project.name:
        await _wait(gate(settings, project))
    if "Doomed" in project.name and not mend(settings, project).exists():
        raise TerminalError("there are no words.")
    return await part(context)


SKILLS = (Skill(name="mourn", produces="farewell", consumes=("greeting", "answer"), make=Make.NATIVE, run=mourn),)


class Mourner(Agent):
    """Parts."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="mourner", title="Mourner", subcluster="deployment", produces=("farewell",), skills=("mourn",)
    )


class Eraser(Agent):
    """Takes back what was said: a compensation, which leaves no artifact."""

    spec: ClassVar[AgentSpec] = AgentSpec(name="eraser", title="Eraser", subcluster="vision", produces=("unsay",))

    def plan(self, work: Work) -> None:
        """Needs no skill."""

    async def execute(self, work: Work) -> None:
        """Unsay, after failing once where the project is hesitant, or for good where it is stubborn."""
        project = work.task.needed_project
        step = str(work.task.step).partition(".")[2]
        first = self.settings.data_dir / f"tried-{project.id}-{step}"
        if "Hesitant" in project.name and step == "answer" and not first.exists():
            first.touch()
            raise RetryableError("not yet.")
        if "Stubborn" in project.name and step == "greeting" and not mend(self.settings, project).exists():
            raise TerminalError("what is said is said.")
        if "Patient" in project.name and step == "answer":
            await _wait(gate(self.settings, project))
        with (self.settings.data_dir / f"undone-{project.id}").open("a") as log:
            log.write(f"{step} of {','.join(sorted(work.inputs))} by {work.task.parameters['tone']}\n")
            log.flush()
            os.fsync(log.fileno())

    def compose(self, work: Work) -> None:
        """Makes nothing."""
