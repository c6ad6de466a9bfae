"""English inflection. The library takes more than a second to import, so it waits for its first use."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import inflect


@cache
def engine() -> "inflect.engine":
    """Return the engine of this process."""
    import inflect  # noqa: PLC0415 - see above

    return inflect.engine()
