"""What the tests of the bus share: events to publish, and the invariants that hold whatever happened."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from factory.domain.errors import ErrorCategory
from factory.domain.ids import new_id
from factory.domain.task import TaskError
from factory.events.contracts.system import ProjectFailed
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.storage.database import Database

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"

# I2: every delivery stands in exactly one place: waiting, delayed, dead (open or discarded), cancelled, or done.
# Replays come on top.
_MISPLACED = """
WITH place AS (
    SELECT subscription, event_id, 'waiting' AS at FROM delivery WHERE replay IS NULL
    UNION ALL SELECT subscription, event_id, 'delayed' FROM delivery_delayed WHERE replay IS NULL
    UNION ALL SELECT subscription, event_id, 'dead' FROM dead_letter WHERE state <> 'redriven' AND replay IS NULL
    UNION ALL SELECT subscription, event_id, outcome FROM delivery_log
        WHERE outcome IN ('done', 'cancelled') AND replay IS NULL
)
SELECT s.name, e.event_id, array_agg(p.at) AS places
FROM event e CROSS JOIN subscription s LEFT JOIN place p ON p.subscription = s.name AND p.event_id = e.event_id
WHERE s.event_types = '{}' OR e.event_type = ANY (s.event_types)
GROUP BY s.name, e.event_id HAVING count(p.at) <> 1
"""

# I6: an attempt, known by its fence, ends once; fences rise with time.
_AMBIGUOUS_ATTEMPTS = """
SELECT uid, fence FROM delivery_log
WHERE outcome IN ('done', 'dead', 'retried', 'deferred', 'timed-out', 'abandoned')
GROUP BY uid, fence HAVING count(*) > 1
"""

_DOUBLE_IN_LANE = """
SELECT subscription, project_id FROM delivery WHERE sequence IS NOT NULL AND owner IS NOT NULL
GROUP BY subscription, project_id HAVING count(*) > 1
"""

# I10.
_MUTE_DEAD_LETTERS = "SELECT uid FROM dead_letter WHERE category = '' OR reason = '' OR attempts < 0"


@pytest.fixture
def new_event() -> Callable[..., Envelope]:
    """Give a function that makes an event about a project."""

    def make(
        project_id: UUID | None = None, *, reason: str = "because", step: str | None = None, agent: str = "tester"
    ) -> Envelope:
        return Envelope.of(
            ProjectFailed(reason=reason, step=step),
            topic=Topic.SYSTEM,
            project_id=project_id or new_id(),
            originating_agent=agent,
            traceparent=TRACEPARENT,
        )

    return make


@pytest.fixture
def task_error() -> Callable[..., TaskError]:
    """Give a function that makes a classified error."""

    def make(category: ErrorCategory = ErrorCategory.DEPENDENCY, message: str = "the model is away") -> TaskError:
        return TaskError(message=message, category=category, retryable=True, error_type="Problem", stack="at line 1")

    return make


@pytest.fixture
def check_invariants() -> Callable[[Database], Awaitable[None]]:
    """Give a function that holds the tables against the invariants."""

    async def check(database: Database) -> None:
        async with database.transaction() as connection:
            for statement in (_MISPLACED, _AMBIGUOUS_ATTEMPTS, _DOUBLE_IN_LANE, _MUTE_DEAD_LETTERS):
                assert [dict(row) for row in await connection.fetch(statement)] == []

    return check
