"""States and the ways between them, from declared states and from what people do."""

import re

from factory.domain.product import FieldType
from factory.skills.native.language.lexicon import (
    ABORTED_STATES,
    CREATE_VERBS,
    FINAL_STATES,
    KNOWN_VERBS,
    OPPOSITES,
    REFUSED_STATES,
    RESCHEDULE_VERBS,
    TRANSITION_VERBS,
)
from factory.skills.native.language.names import snake_name, state_name
from factory.skills.native.language.words import participle, plural, state_base
from factory.skills.native.vision_document.deeds import leads_to, leaves_record
from factory.skills.native.vision_document.draft import (
    Deed,
    Draft,
    EntityDraft,
    FieldDraft,
    LifecycleDraft,
    TransitionDraft,
)
from factory.skills.native.vision_document.readings import Statement

# Verbs that imply a state of their own where none is declared, with the state before it.
_IMPLYING = {
    "approve": "pending",
    "refuse": "pending",
    "defer": "active",
    "fix": "open",
    "reject": "pending",
    "decline": "pending",
    "accept": "pending",
    "deny": "pending",
    "cancel": "active",
    "complete": "open",
    "finish": "open",
    "close": "open",
    "reopen": "closed",
    "resolve": "open",
    "publish": "draft",
    "unpublish": "published",
    "archive": "active",
    "activate": "inactive",
    "deactivate": "active",
    "suspend": "active",
    "resume": "suspended",
    "return": "borrowed",
    "ship": "placed",
    "deliver": "shipped",
    "dispatch": "placed",
    "confirm": "pending",
    "withdraw": "submitted",
    "start": "planned",
    "pay": "open",
    "refund": "paid",
    "verify": "unverified",
    "retire": "active",
    "escalate": "open",
    "sign": "draft",
    "sign off": "submitted",
    "submit": "draft",
    "lock": "open",
    "unlock": "locked",
    "redeem": "active",
    "block": "active",
    "ban": "active",
    "revoke": "active",
    "check in": "booked",
    "check out": "checked_in",
    "settle": "open",
    "dismiss": "open",
    "acknowledge": "open",
    "fulfil": "open",
    "fulfill": "open",
    "pause": "active",
    "terminate": "active",
    "hide": "visible",
    "adopt": "available",
    "discharge": "admitted",
    "release": "draft",
    "shortlist": "submitted",
    "call off": "planned",
}
_STATE_VERBS = {
    "done": "complete",
    "completed": "complete",
    "complete": "complete",
    "finished": "finish",
    "closed": "close",
    "paid": "pay",
    "sent": "send",
    "lost": "report lost",
    "sold": "sell",
    "active": "activate",
    "inactive": "deactivate",
    "in_progress": "start",
    "in_review": "submit for review",
    "under_review": "submit for review",
    "open": "reopen",
    "available": "make available",
    "ready": "make ready",
    "on_hold": "put on hold",
    "live": "publish",
    "in_transit": "ship",
    "on_loan": "lend",
    "in_use": "put in use",
    "no_show": "mark no show",
    "missed": "mark missed",
    "expired": "expire",
}


def find_lifecycles(draft: Draft, statements: list[Statement]) -> None:
    """Add a lifecycle to every entity that has states, declared or implied by verbs."""
    for entity in draft.entities.values():
        deeds = [
            deed
            for deed in draft.deeds
            if deed.entity == entity.words
            and not leaves_record(draft, deed.verb, entity)
            and (not deed.aspects or deed.state is not None)
        ]
        status = entity.status()
        if status is None:
            status = _implied_status(draft, entity, deeds)
        if status is not None:
            draft.lifecycles[entity.words] = _lifecycle(draft, entity, status, deeds, statements)


def _implied_status(draft: Draft, entity: EntityDraft, deeds: list[Deed]) -> FieldDraft | None:
    """Make a status field where verbs need one: "approve a request" needs pending and approved."""
    if any(item.values and item.name.endswith(("status", "state")) for item in entity.fields.values()):
        return None
    flags = {item.name for item in entity.fields.values() if item.type is FieldType.BOOLEAN}
    moving = [
        deed
        for deed in deeds
        if deed.verb in _IMPLYING
        and deed.verb not in RESCHEDULE_VERBS
        and snake_name(participle(deed.verb)) not in flags
    ]
    moving += [deed for deed in deeds if deed.state is not None and deed.verb.split(" ")[0] in ("mark", "flag")]
    if not any(deed.verb in CREATE_VERBS - {"submit", "publish"} for deed in deeds):
        moving = [deed for deed in moving if deed.verb != "submit"]
    if not moving:
        return None
    verbs = list(dict.fromkeys(deed.verb for deed in moving))
    states: list[str] = []
    first = _initial_state(verbs, deeds)
    for deed in moving:
        reached = deed.state or TRANSITION_VERBS.get(deed.verb) or state_name(participle(deed.verb))
        if reached not in states:
            states.append(reached)
    if first in states:
        states.remove(first)
    ordered = sorted(
        states, key=lambda state: (state in ABORTED_STATES, state in FINAL_STATES and not state.startswith("in_"))
    )
    values = [first, *ordered]
    trace = moving[0].trace.model_copy(update={"rule": "states-from-verbs", "confidence": 0.6})
    made = FieldDraft("status", FieldType.ENUM, trace, values=values)
    entity.add(made)
    draft.note(
        f"{entity.name}.status",
        f"{entity.name} has the states {', '.join(values)}; it begins as {first}.",
        f"People {_series(verbs[:3])} {plural(entity.words)}, which needs states, and the vision lists none.",
        f'List the states, for example "- {entity.name}: status ({" | ".join(values)})".',
    )
    return made


def _series(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _initial_state(verbs: list[str], deeds: list[Deed]) -> str:
    created = next(
        (
            deed.verb
            for deed in deeds
            if deed.verb
            in ("submit", "book", "request", "order", "place", "reserve", "report", "schedule", "plan", "propose")
        ),
        None,
    )
    if "check in" in verbs and not any(deed.verb == "book" for deed in deeds):
        return "expected"
    decided = [verb for verb in verbs if verb in ("approve", "reject", "decline", "accept", "deny")]
    if created is not None and created not in verbs:
        return state_name(participle(created))
    if decided:
        return "submitted" if created == "submit" else "pending"
    return next((_IMPLYING[verb] for verb in verbs if verb in _IMPLYING), "open")


def _lifecycle(  # noqa: C901 - one case after the other, in the order that decides
    draft: Draft, entity: EntityDraft, status: FieldDraft, deeds: list[Deed], statements: list[Statement]
) -> LifecycleDraft:
    states = list(dict.fromkeys(state_name(value) for value in status.values if state_name(value)))
    initial = (
        state_name(str(status.default))
        if isinstance(status.default, str) and state_name(str(status.default)) in states
        else states[0]
    )
    status.default = None
    if status.trace.rule in ("states-in-prose", "states-from-to", "states-by-arrows"):
        for deed in deeds:
            if (
                deed.verb in _IMPLYING
                and leads_to(deed.verb, states, deed.state) is None
                and not _leads_back(deed.verb)
            ):
                states.append(state_name(participle(deed.verb)))
                status.values.append(participle(deed.verb))
    made = LifecycleDraft(entity.words, status.name, states, initial, status.trace)
    for deed in deeds:
        target = leads_to(deed.verb, states, deed.state)
        if target is None and deed.sources and deed.verb in _FREEING and initial not in deed.sources:
            target = initial
        if target is None or (target == initial and not _leads_back(deed.verb)):
            continue
        step = _step(made, deed, target)
        step.actors.extend(actor for actor in deed.actors if actor not in step.actors)
        if deed.own:
            step.own.update(deed.actors)
        if deed.story and deed.story not in step.stories:
            step.stories.append(deed.story)
        step.sources.extend(source for source in deed.sources if source not in step.sources and source != target)
    for state in states:
        if state != initial and all(step.target != state for step in made.transitions.values()):
            _assume_step(draft, entity, made, state)
    for step in made.transitions.values():
        stated = stated_sources(entity, step, states, statements)
        step.sources = stated or step.sources or _with_twin(draft, made, step) or default_sources(made, step)
        step.sources = [source for source in states if source in step.sources and (source != step.target)] or [
            source for source in states if source != step.target
        ][:1]
    back = next((step for step in made.transitions.values() if step.target == "returned" and not step.assumed), None)
    sent = made.transitions.get("submit")
    if back is not None and sent is not None and sent.target in back.sources and "returned" not in sent.sources:
        sent.sources.append("returned")
    made.transitions = {name: step for name, step in made.transitions.items() if step.sources}
    return made


def _with_twin(draft: Draft, made: LifecycleDraft, step: TransitionDraft) -> list[str]:
    """Return the sources of the other side of an "or": "signs it off or returns it" both start where it was sent in."""
    if step.assumed:
        return []
    for other in made.transitions.values():
        between = draft.source.text[other.trace.end : step.trace.start]
        if other is not step and other.sources and re.fullmatch(r"[^.;:]{0,30}\bor\b[^.;:]{0,12}", between):
            return list(other.sources)
    return []


_FREEING = frozenset("release unblock unlock restore reactivate free clear reinstate".split())


def _leads_back(verb: str) -> bool:
    return verb in OPPOSITES.values() or verb in (
        "reopen",
        "restore",
        "return",
        "release",
        "reactivate",
        "unblock",
        "unlock",
        "activate",
        "check in",
        "resume",
        "unpublish",
    )


def _step(made: LifecycleDraft, deed: Deed, target: str) -> TransitionDraft:
    base = deed.verb.split(" ")[0]
    verb = (
        f"mark {target.replace('_', ' ')}"
        if deed.state is not None and base in ("mark", "set", "change", "move", "flag")
        else deed.verb
    )
    name = snake_name(verb, "to")
    existing = made.transitions.get(name) or next(
        (
            step
            for step in made.transitions.values()
            if step.target == target and deed.story is None and (set(step.actors) & set(deed.actors) or not deed.actors)
        ),
        None,
    )
    if existing is not None:
        return existing
    step = TransitionDraft(
        name, verb, [], target, deed.trace.model_copy(update={"rule": "verb-and-state", "confidence": 0.9})
    )
    made.transitions[name] = step
    return step


def _assume_step(draft: Draft, entity: EntityDraft, made: LifecycleDraft, state: str) -> None:
    words = state.replace("_", " ")
    verb = _STATE_VERBS.get(state) or state_base(state, KNOWN_VERBS) or f"mark {words}"
    name = snake_name(verb, "to")
    if name in made.transitions:
        verb = f"mark {words}"
        name = snake_name(verb, "to")
    trace = made.trace.model_copy(update={"rule": "verb-from-state", "confidence": 0.4})
    made.transitions[name] = TransitionDraft(name, verb, [], state, trace, assumed=True)
    draft.note(
        f"{entity.name}.{name}",
        f"{'An' if entity.words[0] in 'aeiou' else 'A'} {entity.words} becomes {words} by '{verb}', which those who "
        f"change {plural(entity.words)} may do.",
        f"The vision lists the state {words} and does not say how it is reached.",
        (
            f'Say who does it and when, for example "'
            f"{plural(next(iter(draft.actors.values())).label.lower()).capitalize()} {verb} "
            f'{plural(entity.words)}."'
        ),
    )


def default_sources(made: LifecycleDraft, step: TransitionDraft) -> list[str]:  # noqa: C901, PLR0911 - one case after the other, in the order that decides
    """Return the states a transition may start from where the vision does not say."""
    states = made.states
    verb = step.verb
    live = [state for state in states if state not in FINAL_STATES or state == made.initial]
    undone = next((do for do, undo in OPPOSITES.items() if undo == verb), None)
    if undone is not None and (done := leads_to(undone, states)) is not None and done != step.target:
        return [done]
    if verb in ("reopen", "restore", "reactivate") or step.target == made.initial:
        back = [state for state in states if state != made.initial and state not in ABORTED_STATES]
        return back or [state for state in states if state != step.target]
    if step.target in ABORTED_STATES:
        return [state for state in live if state != step.target]
    if verb == "refund" and "paid" in states:
        return ["paid"]
    if step.target in REFUSED_STATES:
        twin = next(
            (
                other
                for other in made.transitions.values()
                if other.target
                in (
                    "approved",
                    "accepted",
                    "confirmed",
                    "published",
                    "hired",
                    "active",
                    "attended",
                    "done",
                    "completed",
                )
                and other is not step
            ),
            None,
        )
        if twin is not None and (stated := twin.sources or default_sources(made, twin)):
            return list(stated)
        return [made.initial]
    position = states.index(step.target)
    before = [state for state in states[:position] if state not in ABORTED_STATES and state not in REFUSED_STATES]
    if not before:
        return [made.initial] if made.initial != step.target else [state for state in states if state != step.target]
    returns = any(other.target == made.initial for other in made.transitions.values())
    if returns and step.target not in FINAL_STATES:
        return before
    if step.target in FINAL_STATES:
        running = [state for state in before if state not in FINAL_STATES]
        if running:
            return running[-1:]
    return before[-1:]


def stated_sources(
    entity: EntityDraft, step: TransitionDraft, states: list[str], statements: list[Statement]
) -> list[str]:
    """Return the source states a rule names: "only pending requests can be approved", "from draft to published"."""
    found: list[str] = []
    spoken = {state: state.replace("_", "[ -]") for state in states}
    verb = step.verb.split(" ")[0]
    done = re.escape(participle(verb))
    for statement in statements:
        text = statement.text.lower()
        if entity.words.split(" ")[-1][:5] not in text and not any(
            entity.words.split(" ")[-1] in title.lower() for title in statement.sentence.block.path
        ):
            continue
        for state, pattern in spoken.items():
            target = spoken[step.target]
            if re.search(rf"\bfrom {pattern}\b(?:(?!\bto\b)[^.])*?\bto {target}\b(?! or)", text) or re.search(
                rf"\b{pattern}\s*(?:->|→|-->|=>)\s*{target}\b", text
            ):
                found.append(state)
            can = rf"\b(?:can|may|must)\s+(?:only\s+|still\s+)?be\s+(?:[a-z]+(?:,| or| and)\s+)*{done}\b"
            if (
                (
                    re.search(
                        (
                            rf"\b(?:only|an?|every|each)\s+(?:an?\s+)?(?:[a-z]+ (?:or|and) )?{pattern}\b(?: (?:or|"
                            rf"and) [a-z]+)?\s+[a-z ]*?{can}"
                        ),
                        text,
                    )
                    and not re.search(r"\bnot\b|\bnever\b|cannot", text)
                )
                or re.search(
                    (
                        rf"{can}[^.]*\b(?:only |when |while |if |as long as |once )+(?:it|they|the \w+)?\s*(?:is|"
                        rf"are|has been|have been)?\s*(?:still |in |already )?{pattern}\b"
                    ),
                    text,
                )
                or (
                    re.search(rf"\b(?:only\s+)?{re.escape(verb)}s?\s+(?:an?\s+|only\s+|the\s+)*{pattern}\b", text)
                    and state != step.target
                )
            ):
                found.append(state)
    refused = [
        state
        for state, pattern in spoken.items()
        for statement in statements
        if re.search(
            (
                rf"\b{pattern}\b[^.]*\b(?:cannot|can not|can no longer|may not|must not|can't|can "
                rf"never)\s+be\s+(?:[a-z]+ or )*{done}\b"
            ),
            statement.text.lower(),
        )
    ]
    if not found and refused:
        return [
            state for state in states if state not in refused and state != step.target and (state not in FINAL_STATES)
        ]
    return [state for state in dict.fromkeys(found) if state != step.target and state not in refused]
