"""A process for the tests of the embedded server: opens the database and says so, then waits for a line and leaves.

Usage: user.py DATA_DIR
"""

import asyncio
import sys
from pathlib import Path

from factory.settings import Settings
from factory.storage.database import Database


async def main(folder: str) -> None:
    async with await Database.open(Settings(data_dir=Path(folder))) as database:
        async with database.transaction() as connection:
            tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE tablename = 'event_key'")
            since = await connection.fetchval("SELECT pg_postmaster_start_time()::text")
        sys.stdout.write(f"{tables} {since}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
