"""A plugin for the engine-level load: agents of near-zero work that behave as drawn, and the kinds they produce."""

import asyncio
import os
import random
from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec, Work
from factory.domain.artifact import Content, KindSpec, register_kind
from factory.domain.errors import ErrorCategory, RetryableError, TerminalError
from factory.skills.skill import SkillResult

KINDS = ("seed", "stem", "leaf", "fruit")
for kind in KINDS:
    register_kind(KindSpec(name=kind, title=kind.title(), primary=f"{kind}.txt", commit_subject=f"Grow the {kind}"))

# The steps of the blueprint that call for compensation when they fail for good.
REGRETTED = ("leaf", "fruit")

_POISONED_ONE_IN = 25
# Longer than the timeout of a step.
_HANG_SECONDS = 60.0


def is_poisoned(slug: str, goal: str) -> bool:
    """Tell whether a step of a project can never be done; the slug carries the seed."""
    return _chance(slug, goal).randrange(_POISONED_ONE_IN) == 0


def expected_end(slug: str) -> str:
    """Return the status in which a project must end, whatever strikes."""
    poisoned = next((kind for kind in KINDS if is_poisoned(slug, kind)), None)
    if poisoned is None:
        return "released"
    return "compensated" if poisoned in REGRETTED else "failed"


async def behave(slug: str, goal: str, attempt: int) -> None:
    """Do what is drawn for an attempt: nothing much, or badly.

    Raises:
        RetryableError: The attempt stumbles.
        TerminalError: The step is poisoned.
    """
    if is_poisoned(slug, goal):
        raise TerminalError("this cannot grow.", category=ErrorCategory.POISON)
    point = _chance(slug, goal, attempt).uniform(0, 100)
    if point < 6:
        raise RetryableError("the weather is bad.")
    if point < 7:
        os._exit(3)
    if point < 7.3:
        await asyncio.sleep(_HANG_SECONDS)
    if point < 12:
        await asyncio.sleep(point / 20)


class Grower(Agent):
    """Produces every kind of the blueprint, without skills."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="grower", title="Grower", subcluster="development", produces=KINDS, max_size=2, batch=4
    )

    def plan(self, work: Work) -> None:
        """Stage 3: there is nothing to plan."""

    async def execute(self, work: Work) -> None:
        """Stage 4: behave as drawn."""
        task = work.task
        project = task.project
        slug = project.slug if project else ""
        await behave(slug, task.goal, task.attempt)
        work.result = SkillResult(Content(files={f"{task.goal}.txt": f"The {task.goal} of {slug}.\n"}))


class Pruner(Agent):
    """Undoes a step, with nothing to show for it."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="pruner", title="Pruner", subcluster="development", produces=("prune",), max_size=1, batch=4
    )

    def plan(self, work: Work) -> None:
        """Stage 3: there is nothing to plan."""

    async def execute(self, work: Work) -> None:
        """Stage 4: stumble at times."""
        if _chance(work.task.id, work.task.attempt).uniform(0, 100) < 20:
            raise RetryableError("the shears are blunt.")

    def compose(self, work: Work) -> None:
        """Stage 5: there is nothing to compose."""


class Chronicler(Agent):
    """Handles another event of each project, with nothing to show for it."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="chronicler", title="Chronicler", subcluster="vision", consumes=("ValidationPassed",), max_size=1
    )

    async def execute(self, work: Work) -> None:
        """Stage 4: behave as drawn, by the id of the task."""
        point = _chance(work.task.id, work.task.attempt).uniform(0, 100)
        if point < 5:
            raise RetryableError("the ink is dry.")


def _chance(*parts: object) -> random.Random:
    return random.Random("/".join(map(str, parts)))  # noqa: S311 - a run that can be repeated
