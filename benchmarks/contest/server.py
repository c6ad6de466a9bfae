"""The one PostgreSQL that all contestants run on: the factory's embedded server with its default, durable settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil

from factory.storage.embedded import EmbeddedServer


class Server:
    """Gives every contestant an empty database of its own."""

    def __init__(self, embedded: EmbeddedServer) -> None:
        self._embedded = embedded

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator["Server"]:
        """Keep the server running for the length of a block."""
        embedded = EmbeddedServer(folder / "postgres")
        embedded.attach()
        try:
            yield cls(embedded)
        finally:
            embedded.detach()

    def dsn(self, name: str) -> str:
        """Return the URL of a database."""
        return self._embedded.dsn(name)

    @property
    def processes(self) -> list[psutil.Process]:
        """The server's processes, one per connection among them."""
        pid = self._embedded.postmaster_pid()
        return [] if pid is None else psutil.Process(pid).children()

    async def fresh(self, name: str) -> str:
        """Make an empty database, dropping one of the same name, and return its URL.

        Ends with a checkpoint, so that nobody pays for what the one before has left to write.
        """
        connection = await asyncpg.connect(self.dsn("postgres"))
        try:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            await connection.execute(f'CREATE DATABASE "{name}"')
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()
        return self.dsn(name)

    async def settings(self) -> dict[str, str]:
        """Return the settings that decide about durability and speed, as the server has them."""
        names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
        connection = await asyncpg.connect(self.dsn("postgres"))
        try:
            return {name: str(await connection.fetchval("SELECT current_setting($1)", name)) for name in names}
        finally:
            await connection.close()
