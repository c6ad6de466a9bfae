"""Compensation: exactly once per completed step, one after another, in the reverse of the order of work."""

from typing import Any

from factory.storage.database import Connection

# What was completed and names a compensation, in a project that says it is compensated, must be undone.
_NOT_UNDONE = """
SELECT p.id AS project_id, a.kind, c.state FROM project p
JOIN task t ON t.project_id = p.id AND t.status = 'done' AND t.step = ANY ($1)
JOIN artifact a ON a.task_id = t.id LEFT JOIN compensation c ON c.project_id = p.id AND c.step = t.step
WHERE p.status = 'compensated' AND c.state IS DISTINCT FROM 'done'
"""
# The task of each compensation was acknowledged once.
_NOT_ONCE = """
SELECT c.project_id, c.step, count(l.uid) AS done FROM compensation c
JOIN task t ON t.id = c.task_id LEFT JOIN delivery_log l ON l.event_id = t.event_id AND l.outcome = 'done'
WHERE c.state = 'done' GROUP BY 1, 2 HAVING count(l.uid) <> 1
"""
_OUT_OF_ORDER = """
WITH made AS (
    SELECT c.project_id, c.step, c.started_at, c.ended_at, max(a.sequence) AS sequence FROM compensation c
    JOIN task t ON t.project_id = c.project_id AND t.revision = c.revision AND t.step = c.step
    JOIN artifact a ON a.task_id = t.id WHERE c.state = 'done' GROUP BY 1, 2, 3, 4
)
SELECT earlier.project_id, earlier.step AS made_first, later.step AS made_later_and_undone_later
FROM made earlier JOIN made later USING (project_id)
WHERE later.sequence > earlier.sequence AND later.ended_at > earlier.started_at
"""
# Of the blueprint `growth`, the steps that name a compensation.
_COMPENSABLE = ("seed", "stem", "leaf")


async def find_faults(connection: Connection) -> list[dict[str, Any]]:
    """Return compensations that are missing, that happened twice, or that came before their time."""
    found = [
        *await connection.fetch(_NOT_UNDONE, list(_COMPENSABLE)),
        *await connection.fetch(_NOT_ONCE),
        *await connection.fetch(_OUT_OF_ORDER),
    ]
    return [dict(row) for row in found]
