"""A reader of the event log by offset, while writers commit out of order; what it saw is judged afterwards.

Killed, it goes on after the last place it wrote down. Usage: python -m tests.faults.reader FOLDER NAME
"""

import argparse
import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from factory.events.bus import EventBus
from factory.events.delivery import Cursor
from factory.settings import Settings
from factory.storage.database import Database, is_connection_lost
from tests.faults import records, synthetic
from tests.faults.parent import watch_parent
from tests.faults.records import Record

_LIMIT = 500
_PAUSE_SECONDS = 0.05


async def main(folder: Path, name: str) -> None:
    """Read until standard input closes and everything was seen."""
    closed = watch_parent()
    path = folder / f"{name}.reader"
    place = max((Cursor.parse(line["to"]) for line in records.read(path)), default=Cursor())
    async with AsyncExitStack() as stack:
        record = stack.enter_context(Record(path))
        database = await stack.enter_async_context(await Database.open(Settings()))
        bus = EventBus(database, synthetic.BUS_REGISTRY)
        while True:
            ending = closed.is_set()
            try:
                found = await bus.tail(place, limit=_LIMIT)
            except Exception as error:
                if not is_connection_lost(error):
                    raise
                continue
            if found:
                place = found[-1].cursor
                record.write(to=str(place), seen=[(str(item.cursor), item.event.event_id) for item in found])
            elif ending:
                return
            else:
                await asyncio.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.folder, arguments.name))
