"""A plugin: a kind, skills, agents. Small, so that the machinery around them is what is tested."""

import os
import signal
from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec
from factory.domain.artifact import Content, KindSpec, register_kind
from factory.domain.errors import RetryableError, TerminalError
from factory.skills.skill import Make, Skill, SkillContext, SkillResult

for kind in ("greeting", "answer", "farewell"):
    register_kind(KindSpec(name=kind, title=kind.title(), primary=f"{kind}.txt", commit_subject=f"Add the {kind}"))


def _said(kind: str, text: str) -> SkillResult:
    return SkillResult(Content(files={f"{kind}.txt": text}), metadata={"letters": len(text)})


def greet(context: SkillContext) -> SkillResult:
    vision = context.input("vision").text(".factory/vision.md")
    if "mute" in vision:
        raise TerminalError("a mute vision cannot be greeted.")
    return _said("greeting", f"Hello, {context.project.name}.  \n")


def answer(context: SkillContext) -> SkillResult:
    marker = context.settings.data_dir / f"answered-{context.project.id}"
    first = not marker.exists()
    marker.touch()
    vision = context.input("vision").text(".factory/vision.md")
    if first and "busy" in vision:
        raise RetryableError("the line is busy.")
    if first and "fragile" in vision:
        os.kill(os.getpid(), signal.SIGKILL)
    if "killer" in vision:
        os.kill(os.getpid(), signal.SIGKILL)
    return _said("answer", "How do you do?\n")


async def part(context: SkillContext) -> SkillResult:
    said = [context.input(kind).text(f"{kind}.txt").strip() for kind in ("greeting", "answer")]
    return _said("farewell", f"{' '.join(said)} Goodbye.\n")


SKILLS = (
    Skill(name="greet", produces="greeting", consumes=("vision",), make=Make.NATIVE, run=greet),
    Skill(name="answer", produces="answer", consumes=("vision",), make=Make.NATIVE, run=answer),
    Skill(name="part", produces="farewell", consumes=("greeting", "answer"), make=Make.NATIVE, run=part),
)


class Greeter(Agent):
    """Greets, and says goodbye."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="greeter",
        title="Greeter",
        subcluster="vision",
        produces=("greeting", "farewell"),
        skills=("greet", "part"),
    )


class Answerer(Agent):
    """Answers."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="answerer", title="Answerer", subcluster="development", produces=("answer",), skills=("answer",)
    )
