"""Settings and the database, opened for the length of one command."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pydantic import ValidationError

from factory.domain.errors import BadInputError
from factory.settings import Settings
from factory.skills.catalogue import import_plugin
from factory.storage.database import Connection, Database

T = TypeVar("T")


def load_settings() -> Settings:
    """Return the settings of the environment, with the plugins they name imported.

    Plugins register kinds of artifacts, which blueprints are checked against.

    Raises:
        BadInputError: A variable has a value that cannot be used; the message names it.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"FACTORY_{'_'.join(map(str, first['loc'])).upper()}"
        raise BadInputError(
            f"{name} is set to {first['input']!r}: {first['msg']}.",
            remedy="The README lists the settings with their values.",
            field=name,
        ) from None
    for plugin in settings.plugins:
        import_plugin(plugin)
    return settings


@asynccontextmanager
async def open_database(settings: Settings | None = None) -> AsyncIterator[Database]:
    """Start or reach the database, and leave it at the end; the last user of an embedded one stops it."""
    database = await Database.open(settings or load_settings())
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def reading(settings: Settings | None = None) -> AsyncIterator[Connection]:
    """Open the database for one transaction that reads."""
    async with open_database(settings) as database, database.transaction() as connection:
        yield connection


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end; Ctrl-C cancels it and lets it clean up."""
    return asyncio.run(work)
