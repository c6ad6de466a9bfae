"""What a search may be narrowed to."""

from dataclasses import dataclass
from datetime import datetime

from factory.domain.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that a chunk must all meet; one that is None asks for nothing.

    Attributes:
        tenant: Whose chunks.
        project_ids: Of any of these projects.
        kinds: Of any of these kinds.
        versions: From the first to the last, both included; None on a side leaves it open.
        agents: Made by any of these agents.
        created: Not before the first and before the second; None on a side leaves it open.

    Raises:
        BadInputError: A list is empty, a range runs backwards, or a time has no time zone.
    """

    tenant: str | None = None
    project_ids: tuple[str, ...] | None = None
    kinds: tuple[str, ...] | None = None
    versions: tuple[int | None, int | None] | None = None
    agents: tuple[str, ...] | None = None
    created: tuple[datetime | None, datetime | None] | None = None

    def __post_init__(self) -> None:
        for name in ("project_ids", "kinds", "agents"):
            if getattr(self, name) == ():
                raise BadInputError(
                    f"the filter by {name} is an empty list, which nothing could meet.",
                    remedy="Leave it out, or name at least one.",
                    field=name,
                )
        low, high = self.versions or (None, None)
        if low is not None and high is not None and low > high:
            raise BadInputError(
                f"the versions run from {low} to {high}.", remedy="Give the smaller first.", field="versions"
            )
        start, end = self.created or (None, None)
        for moment in (start, end):
            if moment is not None and moment.tzinfo is None:
                raise BadInputError(
                    f"the time {moment.isoformat()} has no time zone.",
                    remedy="Add one, as in 2026-01-31T12:00Z.",
                    field="created",
                )
        if start is not None and end is not None and start >= end:
            raise BadInputError(
                f"the times run from {start.isoformat()} to {end.isoformat()}.",
                remedy="Give the earlier first.",
                field="created",
            )
