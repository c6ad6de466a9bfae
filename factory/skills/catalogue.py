"""Finds skills: those of the package, and those of modules that settings name."""

import pkgutil
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from types import ModuleType

from factory.domain.errors import BadInputError
from factory.skills import native
from factory.skills.skill import Skill


class Catalogue:
    """Skills by name and by the kind they produce."""

    def __init__(self, skills: Iterable[Skill]) -> None:
        self._by_name: dict[str, Skill] = {}
        for skill in skills:
            if self._by_name.setdefault(skill.name, skill) is not skill:
                raise BadInputError(f"two skills are named {skill.name!r}.", remedy="Rename one.", field="skill")

    def __iter__(self) -> Iterator[Skill]:
        """Iterate over the skills in order of name."""
        return iter(sorted(self._by_name.values(), key=lambda skill: skill.name))

    def named(self, names: Iterable[str]) -> tuple[Skill, ...]:
        """Return the skills of those names, in that order.

        Raises:
            BadInputError: A name is unknown; the message lists the known ones.
        """
        wanted = tuple(names)
        for name in wanted:
            if name not in self._by_name:
                known = ", ".join(sorted(self._by_name))
                raise BadInputError(f"there is no skill {name!r}.", remedy=f"Known: {known}.", field="skill")
        return tuple(self._by_name[name] for name in wanted)


def _declared_in(module: ModuleType) -> tuple[Skill, ...]:
    declared = getattr(module, "SKILLS", ())
    if not all(isinstance(skill, Skill) for skill in declared):
        raise BadInputError(f"SKILLS of {module.__name__} holds something that is no Skill.", field="skill")
    return tuple(declared)


@cache
def load_catalogue(plugins: tuple[str, ...] = ()) -> Catalogue:
    """Return the native skills and those that the named modules declare in `SKILLS`.

    Raises:
        BadInputError: A module cannot be imported, or two skills share a name.
    """
    names = [f"{native.__name__}.{entry.name}" for entry in pkgutil.iter_modules(native.__path__)]
    return Catalogue(skill for name in (*names, *plugins) for skill in _declared_in(import_plugin(name)))


def import_plugin(name: str) -> ModuleType:
    """Import a module that settings name.

    Raises:
        BadInputError: It cannot be imported; the message carries the reason.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise BadInputError(
            f"the module {name!r} cannot be imported: {error}.",
            remedy="Install it, or correct FACTORY_PLUGINS.",
            field="plugins",
        ) from error
