"""Bring the schema up to date, safely from many processes at once."""

import asyncio
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"

# Any constant works as long as nobody else takes it; these are the bytes of "factory".
_LOCK = int.from_bytes(b"factory")
_SESSION = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"
# A migration that cannot have its lock fails and is run again, rather than queueing everyone behind it.
_LOCK_TIMEOUT = "SET lock_timeout = '15s'"


def latest_revision() -> str:
    """Return the newest revision of this code: the number that its file name begins with."""
    return max(path.stem.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


async def current_revision(connection: asyncpg.Connection) -> str | None:
    """Return the revision of the database, or None where it has never been migrated."""
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return revision


async def migrate(dsn: str) -> bool:
    """Run the missing migrations under an advisory lock; return whether there were any.

    Each migration is one transaction, so a process killed half-way leaves whole migrations only. A database that
    is newer than this code is left alone: old and new code run side by side during a rolling update.

    Raises:
        asyncpg.PostgresError: A migration failed; it was rolled back.
    """
    connection = await asyncpg.connect(dsn)
    try:
        if await current_revision(connection) == latest_revision():
            return False
        await connection.execute(_SESSION)
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        before = await current_revision(connection)
        if before == latest_revision():
            return False
        await connection.execute(_LOCK_TIMEOUT)
        for command in await asyncio.to_thread(_render, before):
            await connection.execute(command)
        return await current_revision(connection) != before
    finally:
        await connection.close()


class _Commands(StringIO):
    """Collects what Alembic prints, one command per write."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[str] = []

    def write(self, text: str) -> int:
        # asyncpg cannot run a command that is nothing but a comment.
        if any(line.strip(" ;") and not line.startswith("--") for line in text.splitlines()):
            self.commands.append(text.rstrip("; \n"))
        return len(text)


def _config(output: StringIO) -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - loading Alembic takes longer than finding nothing to do

    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _render(current: str | None) -> list[str]:
    """Return the SQL commands from a revision to the newest; none where the revision is newer than this code."""
    from alembic import command  # noqa: PLC0415 - see _config
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    output = _Commands()
    config = _config(output)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        return []
    command.upgrade(config, f"{current or 'base'}:head", sql=True)
    return output.commands
