"""Dead letters: what could not be done, why, and how it is put right."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field, JsonValue

from factory.control import dead_letters
from factory.control.dead_letters import Filter
from factory.control.projects import get_project
from factory.domain.errors import ErrorCategory
from factory.identity.access import Action, project_resource, tenant_resource
from factory.identity.principal import EVERY_TENANT
from factory.serve.caller import Caller, IdempotencyKey, Reader, Writer
from factory.serve.idempotency import Answer
from factory.serve.rest.pages import Answered, CursorText, Limit, Page, next_of, place_of
from factory.storage.database import Connection

router = APIRouter(tags=["dead-letter"])

LetterNumber = Annotated[int, Path(ge=1, le=2**63 - 1)]
_Reason = Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"\S")]


class DeadLetter(Answered):
    """A delivery that was given up.

    Attributes:
        uid: Its number.
        agent: Whose it was.
        category: What kind of error ended it.
        reason: The error in one line.
        edited_payload: A correction that a replay will deliver.
    """

    uid: int
    subscription: str
    project_id: UUID | None
    event_id: UUID
    event_type: str | None
    trace_id: str | None
    agent: str
    step: str | None
    category: ErrorCategory
    severity: str | None
    reason: str
    error_type: str | None
    attempts: int
    crash_count: int
    state: str
    dead_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None
    edited_payload: dict[str, JsonValue] | None
    edited_by: str | None
    edited_at: datetime | None


class DeadLetterPage(Page[DeadLetter]):
    """One page of dead letters."""


class DeadLetterDetails(Answered):
    """A dead letter with its event, its stack and the history of its attempts."""

    letter: DeadLetter
    stack: str | None
    event: dict[str, JsonValue]
    history: tuple[dict[str, Any], ...]


class PayloadCorrection(Answered):
    """A payload in place of the event's own; it must meet the event's contract."""

    payload: dict[str, JsonValue]


class Redelivery(Answered):
    """Why a dead letter is delivered again, and with which payload, where not its own."""

    reason: _Reason
    payload: dict[str, JsonValue] | None = None


class Discard(Answered):
    """Why a dead letter is closed without being delivered."""

    reason: _Reason


class Resolution(Answered):
    """What became of a dead letter."""

    uid: int
    state: str


@router.get("/dead-letters")
async def list_letters(
    caller: Reader,
    project_id: UUID | None = None,
    agent: Annotated[str | None, Query(max_length=100)] = None,
    category: ErrorCategory | None = None,
    state: Literal["open", "redriven", "discarded", "all"] = "open",
    since: datetime | None = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> DeadLetterPage:
    """List dead letters, the newest first."""
    visible = await caller.sees(Action.READ_DEAD_LETTER)
    bound = ("dead-letters", project_id, agent, category, state, since)
    place = place_of(caller, cursor, *bound)
    before = (datetime.fromisoformat(str(place[0])), int(place[1])) if isinstance(place, list) else None
    which = Filter(project_id, agent, category.value if category else None, None if state == "all" else state, since)
    async with caller.gateway.database.transaction() as connection:
        found = await dead_letters.page_letters(
            connection,
            which,
            tenant=visible.tenant,
            project_ids=visible.project_ids,
            before=before,
            limit=limit,
        )
    last = [found[-1]["dead_at"].isoformat(), found[-1]["uid"]] if found else None
    return DeadLetterPage(items=tuple(_letter(one) for one in found), next=next_of(caller, found, limit, last, *bound))


@router.get("/dead-letter/{uid}")
async def show(caller: Reader, uid: LetterNumber) -> DeadLetterDetails:
    """Return everything about a dead letter."""
    await _require(caller, uid, Action.READ_DEAD_LETTER)
    async with caller.gateway.database.transaction() as connection:
        found = await dead_letters.read_letter(connection, uid)
    return DeadLetterDetails(
        letter=_letter(found), stack=found["stack"], event=found["event"], history=tuple(found["history"])
    )


@router.post("/dead-letter/{uid}/edit", response_model=Resolution)
async def edit(caller: Writer, uid: LetterNumber, body: PayloadCorrection, key: IdempotencyKey = None) -> Response:
    """Keep a corrected payload with a dead letter; a later replay delivers it."""
    await _require(caller, uid, Action.RESOLVE_DEAD_LETTER)

    async def work(connection: Connection) -> Answer:
        await dead_letters.edit(connection, uid, body.payload, by=caller.principal.subject)
        return Answer.of(Resolution(uid=uid, state="open"))

    return await caller.once(key, body, work)


@router.post("/dead-letter/{uid}/replay", response_model=Resolution)
async def replay(caller: Writer, uid: LetterNumber, body: Redelivery, key: IdempotencyKey = None) -> Response:
    """Deliver a dead letter again, and let its project go on where it failed because of it."""
    await _require(caller, uid, Action.RESOLVE_DEAD_LETTER)
    service = caller.gateway.service

    async def work(connection: Connection) -> Answer:
        await dead_letters.replay(
            connection,
            service.bus,
            service.orchestrator,
            uid,
            by=caller.principal.subject,
            reason=body.reason,
            payload=body.payload,
        )
        return Answer.of(Resolution(uid=uid, state="redriven"))

    return await caller.once(key, body, work)


@router.post("/dead-letter/{uid}/discard", response_model=Resolution)
async def discard(caller: Writer, uid: LetterNumber, body: Discard, key: IdempotencyKey = None) -> Response:
    """Close a dead letter without delivering it."""
    await _require(caller, uid, Action.RESOLVE_DEAD_LETTER)

    async def work(connection: Connection) -> Answer:
        await caller.gateway.service.bus.discard(connection, uid, by=caller.principal.subject, reason=body.reason)
        return Answer.of(Resolution(uid=uid, state="discarded"))

    return await caller.once(key, body, work)


async def _require(caller: Caller, uid: int, action: Action) -> None:
    async with caller.gateway.database.transaction() as connection:
        project_id = await dead_letters.project_of_letter(connection, uid)
        project = await get_project(connection, project_id) if project_id else None
    await caller.require(action, project_resource(project) if project else tenant_resource(EVERY_TENANT))


async def may_resolve(caller: Caller, project_id: UUID | None) -> bool:
    """Tell whether the caller may mend dead letters of a project, or of none."""
    project = None
    if project_id is not None:
        async with caller.gateway.database.transaction() as connection:
            project = await get_project(connection, project_id)
    resource = project_resource(project) if project else tenant_resource(EVERY_TENANT)
    return (await caller.gateway.authority.decide(caller.principal, Action.RESOLVE_DEAD_LETTER, resource)).allowed


def _letter(values: dict[str, Any]) -> DeadLetter:
    return DeadLetter(**{name: values.get(name) for name in DeadLetter.model_fields})
