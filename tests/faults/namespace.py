"""I13: whether a replay into a sandbox left everything else as it was."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from factory.storage.database import Connection

_NAMESPACE = {
    "event": "SELECT to_jsonb(t) FROM event t WHERE project_id IS NULL OR project_id <> ALL ($1) ORDER BY position",
    "delivery": "SELECT to_jsonb(t) FROM delivery t WHERE project_id <> ALL ($1) ORDER BY uid",
    "delivery_delayed": "SELECT to_jsonb(t) FROM delivery_delayed t WHERE project_id <> ALL ($1) ORDER BY uid",
    "delivery_log": "SELECT to_jsonb(t) FROM delivery_log t WHERE project_id <> ALL ($1) ORDER BY uid, fence, outcome",
    "dead_letter": "SELECT to_jsonb(t) FROM dead_letter t WHERE project_id <> ALL ($1) ORDER BY uid",
    "project": "SELECT to_jsonb(t) FROM project t WHERE id <> ALL ($1) ORDER BY id",
    "task": "SELECT to_jsonb(t) FROM task t WHERE project_id <> ALL ($1) ORDER BY id",
    "artifact": "SELECT to_jsonb(t) FROM artifact t WHERE project_id <> ALL ($1) ORDER BY id",
    "artifact_commit": "SELECT to_jsonb(t) FROM artifact_commit t WHERE project_id <> ALL ($1) ORDER BY artifact_id",
    "saga": "SELECT to_jsonb(t) FROM saga t WHERE project_id <> ALL ($1) ORDER BY id",
    "compensation": "SELECT to_jsonb(t) FROM compensation t WHERE project_id <> ALL ($1) ORDER BY project_id, step",
    "withdrawal": "SELECT to_jsonb(t) FROM withdrawal t WHERE project_id <> ALL ($1) ORDER BY artifact_id",
    "validation": (
        "SELECT to_jsonb(t) FROM validation t JOIN artifact a ON a.id = t.artifact_id WHERE a.project_id <> ALL ($1) "
        "ORDER BY t.id"
    ),
}


async def digest_namespace(connection: Connection, without: Sequence[UUID]) -> dict[str, str]:
    """Return a digest per table of everything but some projects (a sandbox); take it twice and compare."""
    digests = {}
    for table, query in _NAMESPACE.items():
        digest = hashlib.sha256()
        async for row in connection.cursor(query, list(without)):
            digest.update(str(row[0]).encode())
        digests[table] = digest.hexdigest()
    return digests
