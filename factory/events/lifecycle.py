"""How contracts age: marks on fields and versions that end up in the schema files, where the check reads them."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

SINCE = "x-deprecated-since"
REPLACED_BY = "x-replaced-by"
UNIT = "x-unit"
CHANGES = "x-changes"
DEPRECATION = "x-deprecation"
TOPICS = "x-topics"


@dataclass(frozen=True, slots=True)
class DeprecatedField:
    """Marks a field that the next major version drops: `step: Annotated[str, DeprecatedField(since=1)]`.

    Attributes:
        since: The minor version that deprecated it.
        replaced_by: The field that says the same; empty where nothing does.
    """

    since: int
    replaced_by: str = ""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the mark to the field's schema."""
        replaced = {REPLACED_BY: self.replaced_by} if self.replaced_by else {}
        return {**handler(core), "deprecated": True, SINCE: self.since, **replaced}


@dataclass(frozen=True, slots=True)
class Unit:
    """Says what a number counts: `waited: Annotated[float, Unit("seconds")]`."""

    name: str

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the unit to the field's schema."""
        return {**handler(core), UNIT: self.name}


@dataclass(frozen=True, slots=True)
class Deprecation:
    """The end of a whole version is announced.

    Attributes:
        successor: The version to publish instead; None where the event goes away altogether.
        sunset: From this day on the version may be taken out of the code.
    """

    successor: int | None
    sunset: date

    def to_schema(self) -> dict[str, Any]:
        """Return the mark as it stands in a schema file."""
        return {"successor": self.successor, "sunset": self.sunset.isoformat()}


@dataclass(frozen=True, slots=True)
class Retired:
    """A version that was taken out of the code after its sunset; publishing it is refused with this knowledge."""

    event_type: str
    version: int
    successor: int | None = None
