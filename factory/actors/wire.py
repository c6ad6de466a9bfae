"""How tasks and outcomes travel between supervisor and actor: as JSON, in one piece of bytes.

Ray would pickle them, object for object in Python; pydantic writes and reads them in compiled code, in a fifth of the
time (`benchmarks/engine.py`).
"""

from collections.abc import Sequence

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from factory.domain.task import Outcome, Task
from factory.recovery.classification import classify

# A number that is none stays what it is: whoever may not store it says so.
_CONFIG = ConfigDict(ser_json_inf_nan="constants")
_TASKS = TypeAdapter(list[Task], config=_CONFIG)
_OUTCOMES = TypeAdapter(list[Outcome], config=_CONFIG)


def pack_tasks(tasks: Sequence[Task]) -> bytes:
    """Return tasks as JSON."""
    return _TASKS.dump_json(list(tasks))


def unpack_tasks(packed: bytes) -> list[Task]:
    """Return the tasks of `pack_tasks`.

    Raises:
        ValidationError: They were packed by another version of the factory.
    """
    return _TASKS.validate_json(packed)


def pack_outcomes(outcomes: Sequence[Outcome]) -> bytes:
    """Return outcomes as JSON; one that JSON cannot hold becomes the error that says so."""
    try:
        return _OUTCOMES.dump_json(list(outcomes))
    except PydanticSerializationError:
        return _OUTCOMES.dump_json([_packable(outcome) for outcome in outcomes])


def unpack_outcomes(packed: bytes) -> list[Outcome]:
    """Return the outcomes of `pack_outcomes`.

    Raises:
        ValidationError: They were packed by another version of the factory.
    """
    return _OUTCOMES.validate_json(packed)


def _packable(outcome: Outcome) -> Outcome:
    try:
        Outcome.model_validate_json(outcome.model_dump_json())
    except (PydanticSerializationError, ValidationError) as error:
        return Outcome(task_id=outcome.task_id, agent=outcome.agent, error=classify(error, outcome.agent))
    return outcome
