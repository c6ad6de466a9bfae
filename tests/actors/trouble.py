"""A plugin whose agents fail in the ways that the words of a vision ask for."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec
from factory.domain.artifact import Content, KindSpec, register_kind
from factory.domain.errors import ErrorCategory, TerminalError
from factory.skills.skill import Make, Skill, SkillContext, SkillResult

for kind in ("trial", "fuse"):
    register_kind(KindSpec(name=kind, title=kind.title(), primary=f"{kind}.txt", commit_subject=f"Add the {kind}"))


class FuseError(TerminalError):
    """The fuse has blown."""


def attempt(context: SkillContext) -> SkillResult:
    vision = context.input("vision").text(".factory/vision.md")
    mended = context.settings.data_dir / f"mended-{context.project.id}"
    if "stumble" in vision and not mended.exists():
        raise TerminalError("it stumbled.")
    if "flaky" in vision and not mended.exists():
        mended.touch()
        raise TerminalError("not now.", category=ErrorCategory.DEPENDENCY)
    if "unable" in vision:
        raise TerminalError("too dear.", category=ErrorCategory.BUDGET)
    if "urgent" in vision:
        raise TerminalError("nobody knows.", category=ErrorCategory.VALIDATION)
    return SkillResult(Content(files={"trial.txt": "tried\n"}))


def manage(_: SkillContext) -> SkillResult:
    return SkillResult(Content(files={"trial.txt": "managed\n"}))


def burn(context: SkillContext) -> SkillResult:
    if not (context.settings.data_dir / "new-fuse").exists():
        raise FuseError("the fuse has blown.")
    return SkillResult(Content(files={"fuse.txt": "whole\n"}))


SKILLS = (
    Skill(name="attempt", produces="trial", consumes=("vision",), make=Make.NATIVE, run=attempt),
    Skill(name="manage", produces="trial", consumes=("vision",), make=Make.NATIVE, run=manage),
    Skill(name="burn", produces="fuse", consumes=("vision",), make=Make.NATIVE, run=burn),
)


class Trier(Agent):
    """Tries, and fails on demand."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="trier", title="Trier", subcluster="vision", produces=("trial",), skills=("attempt",)
    )


class Substitute(Agent):
    """Always manages."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="substitute", title="Substitute", subcluster="development", produces=("trial",), skills=("manage",)
    )


class FuseKeeper(Agent):
    """Fails until there is a new fuse."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="fuse-keeper", title="Fuse Keeper", subcluster="vision", produces=("fuse",), skills=("burn",)
    )
