"""Collections: what is searched together, all of it embedded by one model."""

from dataclasses import dataclass

from asyncpg import Record

from factory.domain.errors import ConflictError, NotFoundError
from factory.storage.database import Connection

_COLUMNS = "name, model, dimension, normalised, version"
# Primary key.
_GET = f"SELECT {_COLUMNS} FROM memory_collection WHERE name = $1"  # noqa: S608 - put together from constants
_LIST = f"SELECT {_COLUMNS} FROM memory_collection ORDER BY name"  # noqa: S608 - put together from constants
_INSERT = """
INSERT INTO memory_collection (name, model, dimension, normalised) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection and the model that its vectors are of.

    Attributes:
        name: In kebab case.
        model: Name of the embedding model.
        dimension: Of its vectors.
        normalised: Whether they have unit length.
        version: Rises with every change.
    """

    name: str
    model: str
    dimension: int
    normalised: bool = True
    version: int = 0


async def ensure_collection(connection: Connection, wanted: Collection) -> Collection:
    """Return the collection of that name, made if missing.

    Raises:
        ConflictError: It is there and of another model: vectors of two models cannot be compared.
    """
    await connection.execute(_INSERT, wanted.name, wanted.model, wanted.dimension, wanted.normalised)
    found = await get_collection(connection, wanted.name)
    if (found.model, found.dimension, found.normalised) != (wanted.model, wanted.dimension, wanted.normalised):
        raise ConflictError(
            f"the collection {found.name!r} holds vectors of {found.model!r} with {found.dimension} dimensions, not of "
            f"{wanted.model!r} with {wanted.dimension}.",
            remedy="Use that model, or index into another collection.",
            field="model",
        )
    return found


async def get_collection(connection: Connection, name: str) -> Collection:
    """Return a collection.

    Raises:
        NotFoundError: There is none of that name.
    """
    row = await connection.fetchrow(_GET, name)
    if row is None:
        raise NotFoundError(
            f"there is no collection {name!r}.", remedy="See `factory memory status`.", field="collection"
        )
    return _collection(row)


async def list_collections(connection: Connection) -> list[Collection]:
    """Return every collection, by name."""
    return [_collection(row) for row in await connection.fetch(_LIST)]


def _collection(row: Record) -> Collection:
    return Collection(**dict(row))
