"""A process for the fault tests: claims, writes an effect in the transaction that finishes, until nothing is left.

Usage: worker.py NAME, with the database in FACTORY_DATABASE_URL. Prints a line when it has begun to work.
"""

import asyncio
import sys
from datetime import timedelta

from factory.events.bus import EventBus
from factory.settings import Settings
from factory.storage.database import Connection, Database, is_connection_lost, is_contention


async def main(name: str) -> None:
    async with await Database.open(Settings()) as database:
        bus = EventBus(database)
        owner = await bus.register(name, lease=timedelta(seconds=5))
        sys.stdout.write("working\n")
        sys.stdout.flush()
        while True:
            await bus.sweep()
            backlog = await bus.backlog(["plain", "lane"])
            if not any(waiting.total for waiting in backlog.values()):
                return
            deliveries = await bus.claim({"plain": 7, "lane": 7}, owner)
            if not deliveries:
                await asyncio.sleep(0.02)
                continue
            try:
                async with database.transaction() as connection:
                    held = await bus.finish(connection, deliveries)
                    await write_effects(
                        connection, [(d.subscription, d.event.event_id) for d in deliveries if d.uid in held]
                    )
            except Exception as error:
                if not (is_connection_lost(error) or is_contention(error)):
                    raise


async def write_effects(connection: Connection, keys: list[tuple[str, object]]) -> None:
    await connection.executemany("INSERT INTO effect (subscription, event_id) VALUES ($1, $2)", keys)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
