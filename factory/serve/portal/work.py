"""Pages of what people decide and mend: approvals and dead letters; and of memory."""

import json
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from factory.domain.errors import BadInputError, ConflictError, FactoryError, NotFoundError, RetryableError
from factory.domain.recovery import EscalationState
from factory.serve.portal.pages import page
from factory.serve.portal.visitor import Signed, Visitor
from factory.serve.rest import dead_letters, escalations
from factory.serve.rest.dead_letters import Discard, LetterNumber, PayloadCorrection, Redelivery
from factory.serve.rest.escalations import EscalationDecision
from factory.serve.rest.memory import MemoryQuery, find

router = APIRouter(include_in_schema=False)

_PAGE = 50
CursorText = Annotated[str | None, Query(max_length=1_000)]
LetterState = Literal["open", "redriven", "discarded", "all"]


@router.get("/approvals")
async def list_approvals(
    request: Request, visitor: Signed, state: EscalationState = EscalationState.OPEN, cursor: CursorText = None
) -> Response:
    """List what people are asked."""
    found = await escalations.list_escalations(visitor.caller, state, None, _PAGE, cursor)
    values = {"found": found.items, "next": found.next, "state": state.value}
    return page(request, "approvals", visitor.session, **values)


@router.get("/approvals/{escalation_id}")
async def show_approval(request: Request, visitor: Signed, escalation_id: UUID) -> Response:
    """Show one question."""
    one = await escalations.show(visitor.caller, escalation_id)
    return page(request, "approval", visitor.session, one=one, error=None)


@router.post("/approvals/{escalation_id}")
async def decide(request: Request, visitor: Signed, escalation_id: UUID) -> Response:
    """Take an answer."""
    try:
        answer = {"answer": visitor.text("answer"), "note": visitor.text("note")}
        await escalations.decide(visitor.caller, escalation_id, EscalationDecision.model_validate(answer))
    except (ValidationError, BadInputError, ConflictError) as refused:
        error = refused if isinstance(refused, FactoryError) else FactoryError("say why.", field="note")
        one = await escalations.show(visitor.caller, escalation_id)
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return page(request, "approval", visitor.session, status, one=one, error=error)
    return RedirectResponse(f"/approvals/{escalation_id}", HTTPStatus.SEE_OTHER)


@router.get("/dead-letters")
async def list_letters(
    request: Request, visitor: Signed, state: LetterState = "open", cursor: CursorText = None
) -> Response:
    """List dead letters."""
    found = await dead_letters.list_letters(visitor.caller, None, None, None, state, None, _PAGE, cursor)
    values = {"found": found.items, "next": found.next, "state": state}
    return page(request, "letters", visitor.session, **values)


@router.get("/dead-letters/{uid}")
async def show_letter(request: Request, visitor: Signed, uid: LetterNumber) -> Response:
    """Show one dead letter, with the form to mend it."""
    return await _letter(request, visitor, uid)


@router.post("/dead-letters/{uid}")
async def mend(request: Request, visitor: Signed, uid: LetterNumber) -> Response:
    """Correct a dead letter, deliver it again, or close it."""
    caller, given, reason = visitor.caller, visitor.text("payload"), visitor.text("reason")
    try:
        payload = _payload(given)
        match visitor.text("do"):
            case "replay":
                details = await dead_letters.show(caller, uid)
                changed = payload if payload != details.event.get("payload") else None
                await dead_letters.replay(caller, uid, Redelivery(reason=reason, payload=changed))
            case "discard":
                await dead_letters.discard(caller, uid, Discard(reason=reason))
            case _:
                await dead_letters.edit(caller, uid, PayloadCorrection(payload=payload))
    except (ValidationError, BadInputError, ConflictError) as refused:
        error = refused if isinstance(refused, FactoryError) else FactoryError("say why.", field="reason")
        return await _letter(request, visitor, uid, error=error, payload=given)
    return RedirectResponse(f"/dead-letters/{uid}", HTTPStatus.SEE_OTHER)


@router.get("/memory")
async def search(request: Request, visitor: Signed, q: Annotated[str, Query(max_length=1_000)] = "") -> Response:
    """Search semantic memory."""
    hits: list[Any] = []
    error: FactoryError | None = None
    if q.strip():
        try:
            hits = await find(visitor.caller, MemoryQuery(query=q))
        except NotFoundError:
            error = FactoryError("nothing was remembered yet.", remedy="Release a project, or `factory memory index`.")
        except RetryableError as refused:
            error = refused
    return page(request, "memory", visitor.session, q=q, hits=hits, error=error)


async def _letter(
    request: Request, visitor: Visitor, uid: int, *, error: FactoryError | None = None, payload: str | None = None
) -> Response:
    details = await dead_letters.show(visitor.caller, uid)
    one = details.letter
    shown = one.edited_payload if one.edited_payload is not None else details.event.get("payload", {})
    may = await dead_letters.may_resolve(visitor.caller, one.project_id)
    return page(
        request,
        "letter",
        visitor.session,
        HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK,
        one=one,
        payload=payload if payload is not None else json.dumps(shown, indent=2, ensure_ascii=False),
        history=details.history,
        stack=details.stack,
        error=error,
        may_resolve=may,
    )


def _payload(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInputError(
            f"the payload is no JSON: {error}.", remedy="Nothing was changed.", field="payload"
        ) from None
    if not isinstance(value, dict):
        raise BadInputError("the payload is no object.", remedy="Nothing was changed.", field="payload")
    return value
