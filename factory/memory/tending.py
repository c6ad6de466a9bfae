"""Upkeep in the background: looks whether any is due, and loads what it takes only then."""

import asyncio
from importlib import import_module

import structlog

from factory.domain.errors import FactoryError
from factory.memory import registry
from factory.storage.database import Database

_log = structlog.stdlib.get_logger(__name__)


async def tend(database: Database, folder: str) -> list[str]:
    """Compact the collections that have collected many small segments; return their names.

    What goes wrong with one is logged and does not keep the others waiting. Several processes may do so at once.

    Args:
        database: Where the registry is.
        folder: URL that segments are stored under.
    """
    async with database.transaction() as connection:
        due = await registry.crowded_collections(connection)
    if not due:
        return []
    # Arrow and FAISS take a second to import.
    upkeep = await asyncio.to_thread(import_module, "factory.memory.upkeep")
    for name in due:
        try:
            done = await upkeep.keep_up(database, name, folder)
        except (FactoryError, OSError):
            _log.exception("upkeep_failed", collection=name)
        else:
            _log.info("collection_compacted", collection=name, before=done.before, after=done.after)
    return due
