"""Lets time pass for a database by moving everything that is stored with a time into the past."""

from datetime import timedelta

from factory.storage.database import Database

_MOVE = """
WITH deliveries AS (
    UPDATE delivery SET not_before = not_before - $1::interval, expires_at = expires_at - $1::interval,
        deadline = deadline - $1::interval
), delayed AS (
    UPDATE delivery_delayed SET due_at = due_at - $1::interval, expires_at = expires_at - $1::interval
)
UPDATE event_key SET recorded_at = recorded_at - $1::interval
"""


async def pass_time(database: Database, duration: timedelta) -> None:
    """Make everything older; owners do not fall silent by it."""
    async with database.transaction() as connection:
        await connection.execute(_MOVE, duration)
