"""Feature flags as they hold for the caller (R42)."""

from fastapi import APIRouter

from factory.identity.access import Action
from factory.identity.flags import FlagReason
from factory.serve.caller import Reader
from factory.serve.rest.pages import Answered

router = APIRouter(tags=["flag"])


class FlagState(Answered):
    """Whether a flag is on for the caller, and why."""

    name: str
    description: str
    on: bool
    reason: FlagReason


class FlagList(Answered):
    """All flags, by name."""

    items: tuple[FlagState, ...]


@router.get("/flags")
async def list_flags(caller: Reader) -> FlagList:
    """List the flags with whether each is on for the caller."""
    await caller.require_tenant(Action.READ_AGENT)
    flags = caller.gateway.flags
    who = {"subject": caller.principal.subject, "tenant": caller.principal.tenant}
    return FlagList(
        items=tuple(
            FlagState(
                name=name,
                description=flag.description,
                on=flags.is_on(name, **who),
                reason=flags.decide(name, **who),
            )
            for name, flag in sorted(flags.all.items())
        )
    )
