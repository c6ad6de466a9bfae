"""Upcasters: functions that turn an old payload into the next major version's, so that new code reads old events."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import JsonValue

from factory.domain.errors import ErrorCategory, TerminalError

JsonObject = Mapping[str, JsonValue]
Upcast = Callable[[JsonObject], JsonObject]
F = TypeVar("F", bound=Upcast)


@dataclass(frozen=True, slots=True)
class Upcaster:
    """One step between two versions of an event type."""

    event_type: str
    source: int
    target: int
    function: Upcast

    def __call__(self, payload: JsonObject) -> JsonObject:
        """Return the payload in the target version.

        Raises:
            TerminalError: The function failed on this payload.
        """
        try:
            return self.function(payload)
        except Exception as error:
            raise TerminalError(
                f"the upcaster of {self.event_type} from v{self.source} to v{self.target} failed: "
                f"{type(error).__name__}: {error}.",
                category=ErrorCategory.SCHEMA,
                remedy="Mend the upcaster, then redrive the dead letter.",
                field="payload",
            ) from error


class Upcasters:
    """The known upcasters; from one version there is at most one way on, so that a chain is never ambiguous."""

    def __init__(self) -> None:
        self._steps: dict[tuple[str, int], Upcaster] = {}

    def __iter__(self) -> Iterator[Upcaster]:
        return iter(self._steps.values())

    def register(self, event_type: str, *, source: int, target: int) -> Callable[[F], F]:
        """Return a decorator that makes a pure function the way from one version to a later one.

        Raises:
            ValueError: It does not lead forward, or there is another way already.
        """
        if not 1 <= source < target:
            raise ValueError(f"an upcaster of {event_type} leads from v{source} to v{target}; it must lead forward.")
        if (event_type, source) in self._steps:
            raise ValueError(f"{event_type} v{source} has an upcaster already; chain the new one after it.")

        def add(function: F) -> F:
            self._steps[event_type, source] = Upcaster(event_type, source, target, function)
            return function

        return add

    def chain(self, event_type: str, source: int, target: int) -> tuple[Upcaster, ...] | None:
        """Return the steps between two versions, none where they are the same; None where no chain meets the target."""
        steps: list[Upcaster] = []
        at = source
        while at < target:
            step = self._steps.get((event_type, at))
            if step is None:
                return None
            steps.append(step)
            at = step.target
        return tuple(steps) if at == target else None

    def reachable(self, event_type: str, source: int) -> tuple[int, ...]:
        """Return the versions that payloads of a version can be turned into, nearest first."""
        found: list[int] = []
        at = source
        while (step := self._steps.get((event_type, at))) is not None:
            at = step.target
            found.append(at)
        return tuple(found)


UPCASTERS = Upcasters()
upcaster = UPCASTERS.register
