"""The skill planner: chooses a skill for a goal, or a chain of them."""

from collections.abc import Collection, Sequence

from factory.domain.errors import ErrorCategory, TerminalError
from factory.skills.skill import Make, Skill

_PREFERENCE = (Make.MODEL, Make.COMPOSITE, Make.NATIVE)


def plan(
    goal: str,
    available: Collection[str],
    skills: Sequence[Skill],
    *,
    makes: Collection[Make] = tuple(Make),
) -> tuple[Skill, ...]:
    """Return the skills to run, in order, so that the last one produces the goal.

    A model skill is preferred to a composite one, that to a native one; a skill whose inputs are missing is
    used only where a chain of other skills makes them.

    Args:
        goal: The artifact kind to produce.
        available: Kinds at hand.
        skills: Skills the agent may use.
        makes: Makes that may be used now (a model may be switched off or over budget).

    Raises:
        TerminalError: No chain of these skills leads to the goal.
    """
    usable = sorted((skill for skill in skills if skill.make in makes), key=lambda skill: _PREFERENCE.index(skill.make))
    chain = _chain(goal, frozenset(available), usable, frozenset())
    if chain is None:
        names = ", ".join(skill.name for skill in skills) or "none"
        raise TerminalError(
            f"no skill leads to {goal!r} from {', '.join(sorted(available)) or 'nothing'}.",
            category=ErrorCategory.VALIDATION,
            remedy=f"Skills of this agent: {names}.",
            field="goal",
        )
    return chain


def _chain(
    goal: str, available: frozenset[str], skills: Sequence[Skill], pursued: frozenset[str]
) -> tuple[Skill, ...] | None:
    if goal in pursued:
        return None
    for skill in skills:
        if skill.produces != goal:
            continue
        steps: list[Skill] = []
        for kind in skill.consumes:
            if kind in available or any(step.produces == kind for step in steps):
                continue
            before = _chain(kind, available, skills, pursued | {goal})
            if before is None:
                break
            steps.extend(step for step in before if step not in steps)
        else:
            return (*steps, skill)
    return None
