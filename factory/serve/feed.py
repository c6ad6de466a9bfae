"""Events as they happen, for any number of readers with one query a moment."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import suppress
from uuid import UUID

import structlog

from factory.domain.errors import FactoryError
from factory.events import rows
from factory.events.delivery import Cursor, LoggedEvent
from factory.events.journal import tail
from factory.storage.database import CLIENT_ERRORS, Database

_EVERY_SECONDS = 0.25
_PAGE = 200
_QUEUE = 500
_QUIET_SECONDS = 15
_LAST_POSITION = 2**63 - 1
_log = structlog.stdlib.get_logger(__name__)

# Events of transactions that began before the oldest running one are all visible.
_HORIZON = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon"
# event_by_order: a short range, because it begins where the last look ended.
_NEWS = f"""
SELECT transaction_id::text AS transaction_id, position, {rows.COLUMNS} FROM event
WHERE (transaction_id, position) > ($1::text::xid8, $2)
    AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
    AND project_id = ANY ($3)
ORDER BY event.transaction_id, event.position LIMIT $4
"""  # noqa: S608 - put together from constants

Queue = asyncio.Queue[LoggedEvent]


class EventFeed:
    """Hands the events of projects to whoever follows them.

    One look at the log serves all readers of this process. A reader that is too slow for its queue reads the log by
    itself until it has caught up: nothing is held back for it, and nothing is lost to it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._readers: dict[UUID, set[Queue]] = defaultdict(set)
        self._overrun: set[Queue] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """End the look-out; readers hear nothing more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def follow(self, project_id: UUID, after: Cursor) -> AsyncGenerator[LoggedEvent | None, None]:
        """Yield a project's events after a place, for ever; None every 15 seconds in which nothing happens."""
        queue: Queue = asyncio.Queue(_QUEUE)
        self._readers[project_id].add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look_out())
        place = after
        fresh = True
        try:
            while True:
                self._overrun.discard(queue)
                while page := await tail(self._database, place, project_id, _PAGE):
                    for event in page:
                        place = event.cursor
                        yield event
                if fresh:
                    # A look that began before this reader came may have passed over what was not yet to be read above.
                    fresh = False
                    await self._complete_look()
                    continue
                while queue not in self._overrun or not queue.empty():
                    try:
                        news = await asyncio.wait_for(queue.get(), _QUIET_SECONDS)
                    except TimeoutError:
                        yield None
                        continue
                    if news.cursor > place:
                        place = news.cursor
                        yield news
        finally:
            self._overrun.discard(queue)
            self._readers[project_id].discard(queue)
            if not self._readers[project_id]:
                del self._readers[project_id]

    async def _complete_look(self) -> None:
        """Wait for a look at the log that begins after now."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        await done

    async def _look_out(self) -> None:
        place: Cursor | None = None
        while self._readers:
            waiting, self._waiting = self._waiting, []
            try:
                place = await self._look(place)
            except (*CLIENT_ERRORS, FactoryError) as error:
                _log.warning("feed_interrupted", reason=repr(error))
                self._waiting += waiting
            else:
                for done in waiting:
                    if not done.done():
                        done.set_result(None)
            await asyncio.sleep(_EVERY_SECONDS)

    async def _look(self, place: Cursor | None) -> Cursor:
        if place is None:
            (row,) = await self._database.fetch(_HORIZON)
            # What is before this every reader reads by itself, once this look is complete.
            return Cursor(int(row["horizon"]) - 1, _LAST_POSITION)
        watched = list(self._readers)
        found = await self._database.fetch(_NEWS, str(place.transaction_id), place.position, watched, _PAGE)
        for row in found:
            place = Cursor(int(row["transaction_id"]), row["position"])
            self._hand_out(LoggedEvent(place, rows.to_envelope(row)))
        return place

    def _hand_out(self, event: LoggedEvent) -> None:
        project_id = event.event.project_id
        for queue in self._readers.get(project_id, ()) if project_id is not None else ():
            if queue in self._overrun:
                continue
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._overrun.add(queue)
