"""Rules that say when a record may be changed: "only booked appointments can be rescheduled"."""

import re

from factory.domain.product import OperationKind
from factory.skills.native.language.lexicon import DELETE_VERBS, RESCHEDULE_VERBS, UPDATE_VERBS
from factory.skills.native.language.words import participle, plural
from factory.skills.native.vision_document.assignments import main_actor
from factory.skills.native.vision_document.draft import Draft, EntityDraft, LifecycleDraft, OperationDraft
from factory.skills.native.vision_document.guards import guard_condition, time_limit
from factory.skills.native.vision_document.readings import Statement
from factory.skills.native.vision_document.rule_text import mentioned_entities, said, same_condition

_CHANGING = (OperationKind.UPDATE, OperationKind.CHANGE, OperationKind.DELETE)
_ANY_CHANGE = ("change", "modify", "alter")
_CAN = r"(?:can|may|must|shall|should|is allowed to|are allowed to)"
_CANNOT = (
    r"(?:cannot|can not|can no longer|can never|can't|may not|may no longer|may never|must not|must never|"
    r"mustn't|shall not|should not|is not allowed to|are not allowed to)"
)
_UNTIL = r"(?:until|till|before|unless)"
_AFTERWARDS = r"(?:once|after|when|if|as soon as|while|from the moment)"


def restrict(draft: Draft, statement: Statement) -> bool:
    """Limit changes and deletions to states and moments a rule names; tell whether the rule says so."""
    text = " ".join(statement.text.lower().replace("-", " ").split())
    found = False
    for entity in mentioned_entities(draft, text) or _titled(draft, statement):
        found = _by_state(draft, statement, entity, text) or found
        found = _by_time(draft, statement, entity, text) or found
    return found


def _titled(draft: Draft, statement: Statement) -> list[EntityDraft]:
    return [entity for title in statement.sentence.block.path for entity in mentioned_entities(draft, title)]


def _by_state(draft: Draft, statement: Statement, entity: EntityDraft, text: str) -> bool:
    made = draft.lifecycles.get(entity.words)
    if made is None:
        return False
    verbs = _forbidden_or_allowed_verbs(text)
    if not verbs:
        return False
    states = _allowed_states(draft, made, text)
    if not states or len(states) == len(made.states):
        return False
    limited = False
    for operation in _meant(draft, statement, entity, verbs):
        kept = [state for state in operation.states if state in states] if operation.states else states
        operation.states = kept or states
        limited = True
    return limited


def _by_time(draft: Draft, statement: Statement, entity: EntityDraft, text: str) -> bool:
    limit = time_limit(text)
    guard = guard_condition(entity, limit) if limit is not None else None
    if guard is None:
        return False
    limited = False
    for operation in _meant(draft, statement, entity, _forbidden_or_allowed_verbs(text)):
        stated = guard.model_copy(update={"statement": said(statement)})
        if not any(same_condition(stated, known) for known in operation.guards):
            operation.guards.append(stated)
        limited = True
    return limited


_VERB = r"[a-z]+(?: (?:off|out|back|up)(?! to\b))?"
_PASSIVE = re.compile(
    rf"\b(?:{_CAN}|{_CANNOT})\s+(?:only\s+|still\s+|no longer\s+|not\s+|never\s+)*be\s+"
    rf"(?P<verbs>{_VERB}(?:\s*(?:,|,?\s+or|,?\s+and|/|nor)\s*{_VERB})*)"
)
_ACTIVE = re.compile(
    rf"\b(?:{_CAN}|{_CANNOT})\s+(?:only\s+|still\s+|no longer\s+|not\s+|never\s+)*"
    r"(?P<verbs>(?!be\b)[a-z]+(?:\s*(?:,|,?\s+or|,?\s+and|/)\s*[a-z]+)*)\s+(?:an?|the|their|his|her|its|only|any|all|"
    r"[a-z]+)\b"
)


def _forbidden_or_allowed_verbs(text: str) -> list[str]:
    """Return the participles a rule speaks of: "can only be edited or deleted" → edited, deleted."""
    found: list[str] = []
    for match in _PASSIVE.finditer(text):
        found += re.split(r"\s*(?:,|\bor\b|\band\b|/|\bnor\b)\s*", match.group("verbs"))
    for match in _ACTIVE.finditer(text):
        found += [participle(word) for word in re.split(r"\s*(?:,|\bor\b|\band\b|/)\s*", match.group("verbs")) if word]
    return [word.strip() for word in found if word.strip()]


def _meant(draft: Draft, statement: Statement, entity: EntityDraft, verbs: list[str]) -> list[OperationDraft]:
    """Return the operations the participles mean; a change or deletion that only a rule names is added."""
    known = [item for item in draft.operations if item.entity == entity.words and item.kind in _CHANGING]
    found: list[OperationDraft] = []
    for done in verbs:
        meant = [item for item in known if _means(done, item)]
        if not meant and (kind := _kind_of(done)) is not None:
            meant = [_assumed(draft, statement, entity, kind)]
            known += meant
        found += [item for item in meant if item not in found]
    return found


def _means(done: str, operation: OperationDraft) -> bool:
    head = operation.verb.split(" ")[0]
    if done in (participle(head), participle(operation.verb)):
        return True
    if operation.kind is OperationKind.DELETE:
        return _kind_of(done) is OperationKind.DELETE
    if operation.kind is OperationKind.UPDATE:
        return _kind_of(done) is OperationKind.UPDATE
    return done in map(participle, _ANY_CHANGE) or (
        head in RESCHEDULE_VERBS - {"extend", "renew", "prolong"}
        and done in {participle(verb) for verb in RESCHEDULE_VERBS - {"extend", "renew", "prolong"}}
    )


def _kind_of(done: str) -> OperationKind | None:
    if done in {participle(verb) for verb in DELETE_VERBS}:
        return OperationKind.DELETE
    if done in {participle(verb) for verb in UPDATE_VERBS - {"complete with", "fix", "maintain", "set", "fill"}}:
        return OperationKind.UPDATE
    return None


def _assumed(draft: Draft, statement: Statement, entity: EntityDraft, kind: OperationKind) -> OperationDraft:
    makers = [item for item in draft.operations if item.entity == entity.words and item.kind is OperationKind.CREATE]
    actors = list(dict.fromkeys(role for item in makers for role in item.actors)) or [main_actor(draft)]
    verb = "update" if kind is OperationKind.UPDATE else "delete"
    made = OperationDraft(kind, verb, entity.words, statement.whole(draft, "restriction", 0.6), actors)
    made.own = {role for item in makers for role in item.own if role in actors}
    made.assumed = True
    draft.operations.append(made)
    who = plural(draft.actors[actors[0]].label.lower())
    draft.note(
        entity.name,
        f"{who.capitalize()} may {verb} {plural(entity.words)}.",
        f'A rule says when that is allowed ("{said(statement)}"), and no sentence says who does it.',
        f'Say who does it, for example "{who.capitalize()} {verb} {plural(entity.words)}."',
    )
    return made


def _allowed_states(draft: Draft, made: LifecycleDraft, text: str) -> list[str]:
    """Return the states in which the rule lets a record be changed; empty where it names none."""
    forbids = re.search(_CANNOT, text) is not None
    conditional = re.search(
        rf"\b{_UNTIL}\s+(?:[a-z]+ ){{0,4}}?(?:is|are|has been|have been|was|were)\s+(?P<s>.+)", text
    )
    if conditional is not None:
        named = _named(made, conditional.group("s"))
        if named:
            return [state for state in made.states if state not in _reached(made, named)]
    if forbids:
        named = _named(made, text)
        after = re.search(rf"\b(?:{_AFTERWARDS})\b", text) is not None and re.search(r"\bonce|after|as soon\b", text)
        gone = _reached(made, named) if after else set(named)
        return [state for state in made.states if state not in gone] if named else []
    if re.search(r"\bonly\b|\b(?:while|as long as)\b", text) is None:
        return []
    people = "|".join(re.escape(form) for words in draft.actors for form in (words, plural(words)))
    if people and re.search(rf"\bonly (?:an? |the )?(?:{people})\b", text):
        return []
    named = _named(made, text)
    return [state for state in made.states if state in named]


def _named(made: LifecycleDraft, text: str) -> list[str]:
    """Return the states a text names; "a signed entry" is one that is signed off."""
    found = []
    for state in made.states:
        words = re.escape(state.replace("_", " "))
        short = re.sub(r"\\ (?:off|out|back|up|in)$", "", words)
        if re.search(rf"\b(?:{words}|{short})\b", text):
            found.append(state)
    return found


def _reached(made: LifecycleDraft, states: list[str]) -> set[str]:
    """Return states and every state that can follow them, other than the first one."""
    reached, front = set(states), list(states)
    while front:
        current = front.pop()
        for step in made.transitions.values():
            if current in step.sources and step.target not in reached and step.target != made.initial:
                reached.add(step.target)
                front.append(step.target)
    return reached
