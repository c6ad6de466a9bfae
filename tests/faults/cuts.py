"""Connections that break around COMMIT, so that its outcome is unknown to the client."""

import asyncio
import random
from enum import StrEnum
from typing import Any

import asyncpg


class Moment(StrEnum):
    """When the connection breaks."""

    BEFORE = "before"  # the server never sees the COMMIT
    UNDERWAY = "underway"  # it was sent, and nobody waited
    AFTER = "after"  # it happened, and the answer was lost


class Cuts:
    """Breaks one in so many COMMITs of this process, by chance. Install it once, before the pool is opened."""

    def __init__(self, seed: object, one_in: int) -> None:
        self._chance = random.Random(str(seed))  # noqa: S311 - repeatable chance
        self._one_in = one_in
        self.count = 0

    def install(self) -> None:
        """Let every connection of this process pass through here."""
        execute: Any = asyncpg.Connection.execute
        cuts = self

        async def cut(self: asyncpg.Connection, query: str, *arguments: object, **options: object) -> str:
            if query == "COMMIT;" and cuts._chance.randrange(cuts._one_in) == 0:
                cuts.count += 1
                moment = cuts._chance.choice(list(Moment))
                if moment is Moment.AFTER:
                    await execute(self, query)
                elif moment is Moment.UNDERWAY:
                    sending = asyncio.get_running_loop().create_task(execute(self, query))
                    await asyncio.sleep(0)
                    sending.add_done_callback(lambda task: task.cancelled() or task.exception())
                self.terminate()
                raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
            answer: str = await execute(self, query, *arguments, **options)
            return answer

        asyncpg.Connection.execute = cut  # type: ignore[method-assign,assignment]
