"""English inflection.

The library has typeguard rewrite its functions when it is imported, which takes two seconds in each of the actors that
use it, and a thirtieth of that without (`python -X importtime -c 'import inflect'`). What is passed to it here is
checked by mypy, so typeguard's decorator is set aside while it is imported, which waits for its first use.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import inflect


@cache
def engine() -> "inflect.engine":
    """Return the engine of this process."""
    import typeguard  # noqa: PLC0415 - see above

    checking = typeguard.typechecked
    typeguard.typechecked = _as_it_is  # type: ignore[assignment]
    try:
        import inflect  # noqa: PLC0415 - see above
    finally:
        typeguard.typechecked = checking
    return inflect.engine()


def _as_it_is(decorated: Any) -> Any:  # noqa: ANN401 - classes and functions alike
    return decorated
