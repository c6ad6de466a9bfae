"""The roster: every agent the factory knows, found by looking into the sub-cluster folders."""

import pkgutil
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from types import ModuleType

from factory.actors import architecture, deployment, development, utility, vision
from factory.actors.agent import Agent
from factory.domain.errors import BadInputError, NotFoundError
from factory.skills.catalogue import import_plugin

SUBCLUSTERS = (vision, architecture, development, deployment, utility)


class Roster:
    """Agent classes by name."""

    def __init__(self, agents: Iterable[type[Agent]]) -> None:
        self._by_name: dict[str, type[Agent]] = {}
        for agent in agents:
            known = self._by_name.setdefault(agent.spec.name, agent)
            if known is not agent:
                raise BadInputError(f"two agents are named {agent.spec.name!r}.", remedy="Rename one.", field="agent")

    def __iter__(self) -> Iterator[type[Agent]]:
        """Iterate over the agents in the order of their sub-clusters."""
        return iter(self._by_name.values())

    def find(self, name: str) -> type[Agent]:
        """Return the agent of that name.

        Raises:
            NotFoundError: There is none; the message lists those that exist.
        """
        if name not in self._by_name:
            known = ", ".join(self._by_name)
            raise NotFoundError(f"there is no agent {name!r}.", remedy=f"Known: {known}.", field="agent")
        return self._by_name[name]


def _agents_in(module: ModuleType) -> Iterator[type[Agent]]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Agent) and value.__module__ == module.__name__:
            yield value


@cache
def load_roster(plugins: tuple[str, ...] = ()) -> Roster:
    """Return the package's agents and those of the named modules.

    Raises:
        BadInputError: A module cannot be imported, or two agents share a name.
    """
    modules = [
        import_module(f"{folder.__name__}.{entry.name}")
        for folder in SUBCLUSTERS
        for entry in pkgutil.iter_modules(folder.__path__)
    ]
    modules += [import_plugin(name) for name in plugins]
    return Roster(agent for module in modules for agent in _agents_in(module))
