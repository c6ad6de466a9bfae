"""Parts: what a reader lays a document out in."""

from collections.abc import Callable
from dataclasses import dataclass

Fits = Callable[[int, int], bool]


@dataclass(frozen=True, slots=True)
class Part:
    """A slice of a document that stands for itself.

    Attributes:
        start: Index of its first character.
        end: Index after its last character.
        title: Where it stands.
        scope: Title for it and its neighbours of the same scope, if small enough to be packed together; None where it
            must stay alone.
        blocks: Where its blocks begin, except the first: what lies between is cut only if it does not fit alone.
    """

    start: int
    end: int
    title: str
    scope: str | None
    blocks: tuple[int, ...] = ()
