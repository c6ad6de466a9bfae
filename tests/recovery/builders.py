"""Letters and their history, as tests need them."""

from typing import Any
from uuid import UUID

from factory.domain.errors import ErrorCategory
from factory.domain.recovery import Criticality, Letter, Severity

TASK = UUID("00000000-0000-7000-8000-000000000001")
EVENT = UUID("00000000-0000-7000-8000-000000000002")


def letter(**changes: Any) -> Letter:
    """Return a letter about a task of a normal project."""
    values: dict[str, Any] = {
        "uid": 7,
        "fence": 3,
        "subscription": "writer",
        "event_id": EVENT,
        "event_type": "TaskAssigned",
        "agent": "writer",
        "step": "draft",
        "goal": "book",
        "task_id": TASK,
        "category": ErrorCategory.DEFECT,
        "error_type": "KeyError",
        "reason": "no such page",
        "attempts": 1,
        "severity": Severity.ERROR,
        "criticality": Criticality.NORMAL,
    }
    return Letter(**{**values, **changes})
