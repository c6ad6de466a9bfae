"""Rules that hold always: comparisons, no double booking, limits, and what is only written down."""

import re
from dataclasses import replace

from factory.domain.product import (
    Condition,
    FieldType,
    Invariant,
    StatedRule,
    UniqueTogether,
)
from factory.skills.native.language.names import snake_name, unique
from factory.skills.native.language.words import participle, singular
from factory.skills.native.vision_document.comparisons import compare
from factory.skills.native.vision_document.draft import Draft, EntityDraft
from factory.skills.native.vision_document.limits import count_limit, limit_in_line
from factory.skills.native.vision_document.qualities import category_of
from factory.skills.native.vision_document.readings import Statement, is_as_is, is_excluded
from factory.skills.native.vision_document.restrictions import restrict
from factory.skills.native.vision_document.rule_text import add_policy, as_sentence, mentioned_entities
from factory.skills.native.vision_document.sections import Section
from factory.skills.native.vision_document.uniqueness import double_booking, unique_value

_NORMATIVE = re.compile(
    (
        r"\b(?:must|up to|no later than|may not|must not|cannot|can't|can not|only|never|always|at most|at "
        r"least|no more than|every|each|unless|not allowed|required|has to|have to|is closed|are closed|"
        r"should not|may only|shall|limit(?:ed)?)\b"
    ),
    re.IGNORECASE,
)


def find_policies(draft: Draft, statements: list[Statement]) -> None:
    """Turn every rule that fits a known shape into a policy, and record the rest as stated."""
    for statement in [part for whole in statements for part in _parts(whole)]:
        if (
            statement.story is not None
            or statement.section in (Section.PROBLEM, Section.GOALS, Section.QUALITIES, Section.OUT_OF_SCOPE)
            or is_as_is(statement.text)
            or is_excluded(statement.text)
        ):
            continue
        made = (
            double_booking(draft, statement)
            or count_limit(draft, statement)
            or compare(draft, statement)
            or unique_value(draft, statement)
        )
        made = restrict(draft, statement) or _only_by(draft, statement) or made
        if not made and not _in_lifecycle(draft, statement) and not _freed(draft, statement):
            _stated(draft, statement)
    for owner, limit, noun, trace in draft.limits:
        limit_in_line(draft, owner, limit, noun, trace)
    for entity in draft.entities.values():
        _implied_order(draft, entity)


_JOINT = re.compile(
    r",\s+(?:and|but)\s+(?=(?:an?|the|no|each|every|only|it|they)\b[^,]*?\b(?:must|may|can|cannot|has to|"
    r"is|are|never)\b)"
)


def _parts(whole: Statement) -> list[Statement]:
    """Split a sentence that states two rules: "A must be positive, and B may have at most 2 C"."""
    statement = replace(whole, text=re.sub(r"\bshall\b", "must", whole.text))
    joint = _JOINT.search(statement.text)
    if statement.story is not None or joint is None or not _NORMATIVE.search(statement.text[: joint.start()]):
        return [statement]
    first, rest = statement.text[: joint.start()], statement.text[joint.end() :]
    block = statement.sentence
    begin = statement.shift
    pieces = ((first, begin), (rest, begin + joint.end()))
    return [
        replace(statement, text=text, shift=0, sentence=replace(block, start=block.start + max(offset, 0), text=text))
        for text, offset in pieces
    ]


def _only_by(draft: Draft, statement: Statement) -> bool:
    """Read "results can only be approved by the lab manager": nobody else may."""
    match = re.search(
        r"(?P<what>[\w -]+?)\s+(?:can|may|must)\s+only\s+be\s+(?P<done>[a-z]+)\s+by\s+(?:the |an? )?(?P<who>[\w -]+)",
        statement.text.lower(),
    )
    actor = draft.actor(singular(match.group("who").strip())) if match is not None else None
    entity = draft.find_within(singular(match.group("what").strip())) if match is not None else None
    if match is None or actor is None or entity is None:
        return False
    meant = [
        item
        for item in draft.operations
        if item.entity == entity.words and participle(item.verb.split(" ")[0]) == match.group("done")
    ]
    for item in meant:
        item.actors, item.own = [actor.words], item.own & {actor.words}
        for step in draft.lifecycles[entity.words].transitions.values() if item.transition else ():
            step.actors = [actor.words] if step.name == item.transition else step.actors
    return bool(meant)


def _in_lifecycle(draft: Draft, statement: Statement) -> bool:
    """Tell whether a rule is already in a transition: its sources, its guard, or the transition itself."""
    text = statement.text.lower()
    for made in draft.lifecycles.values():
        entity = draft.entities[made.entity]
        begin, end = statement.sentence.span(0, len(statement.sentence.text))
        told = any(begin <= step.trace.start < end and step.guards for step in made.transitions.values())
        if entity.words.split(" ")[-1] not in text.replace("-", " ") and not told:
            continue
        for step in made.transitions.values():
            verb = step.verb.split(" ")[0]
            spoken = re.search(rf"\b(?:{re.escape(verb)}s?|{re.escape(participle(verb))})\b", text)
            states = [state for state in made.states if re.search(rf"\b{state.replace('_', '[ -]')}\b", text)]
            if spoken and (
                (step.guards and "before" in text)
                or (
                    len(set(states) - {step.target}) > 0
                    and re.search(r"\b(?:only|cannot|can no longer|may not|must not|from|never)\b", text)
                )
            ):
                return True
            if verb == "mark" and step.target in states:
                return True
    return False


def _freed(draft: Draft, statement: Statement) -> bool:
    """Tell whether a sentence says which states a uniqueness rule leaves out: "a cancelled one frees its slot"."""
    text = statement.text.lower()
    if not re.search(r"\b(?:frees?|free again|does not count|do not count|no longer counts?|available again)\b", text):
        return False
    return any(
        isinstance(policy, UniqueTogether) and any(state.replace("_", " ") in text for state in policy.except_states)
        for policy in draft.policies
    )


def _stated(draft: Draft, statement: Statement) -> None:
    text = statement.original or statement.text
    ruled = statement.section is Section.RULES
    if not ruled and not (
        _NORMATIVE.search(text)
        and re.search(
            (
                r"\b(?:must|cannot|can't|may not|must not|never|unless|only if|only when|not allowed|at most|"
                r"at least|may only|up to \w+ (?:minute|hour|day|week)s?|no later than)\b"
            ),
            text,
            re.IGNORECASE,
        )
    ):
        return
    if len(text.split()) < 4:  # noqa: PLR2004 - a heading, not a rule
        return
    if category_of(text, strict=True) is not None:
        return
    named = mentioned_entities(draft, text)
    words = [word for word in re.findall(r"[a-z]+", text.lower()) if word not in _FILLER][:5]
    name = snake_name(" ".join(words)) or "rule"
    add_policy(
        draft,
        StatedRule(
            name=name,
            entity=named[0].name if named else None,
            statement=as_sentence(text),
            trace=statement.whole(draft, "stated-rule", 1.0),
        ),
    )


_FILLER = frozenset(
    """a an the of to in on at be is are for and or it its their that this by with as from when if can""".split()
)


def _implied_order(draft: Draft, entity: EntityDraft) -> None:
    """Assume that what ends does so after it starts, unless a rule says something of the two."""
    pairs = (
        ("start", "end"),
        ("starts", "ends"),
        ("begin", "end"),
        ("from", "until"),
        ("from", "to"),
        ("valid from", "valid until"),
        ("check in", "check out"),
        ("departure", "arrival"),
        ("pickup", "return"),
    )
    for first, second in pairs:
        for earlier in entity.fields.values():
            words = earlier.name.replace("_", " ")
            if not (words == first or words.startswith(f"{first} ")):
                continue
            later = entity.fields.get(snake_name(second + words[len(first) :]))
            if (
                later is None
                or later.type is not earlier.type
                or earlier.type not in (FieldType.DATE, FieldType.DATETIME, FieldType.TIME)
            ):
                continue
            known = any(
                isinstance(policy, Invariant)
                and policy.entity == entity.name
                and {policy.condition.left, policy.condition.right} == {earlier.name, later.name}
                for policy in draft.policies
            )
            if known:
                continue
            op = "ge" if earlier.type is FieldType.DATE else "gt"
            statement = (
                f"{later.words.capitalize()} must {'not be before' if op == 'ge' else 'be after'} {earlier.words}."
            )
            condition = Condition(left=later.name, op=op, right_kind="field", right=earlier.name)
            trace = later.trace.model_copy(update={"rule": "start-and-end", "confidence": 0.8})
            draft.policies.append(
                Invariant(
                    name=unique(
                        snake_name(f"{entity.words} {later.name} after {earlier.name}"),
                        {known.name for known in draft.policies},
                    ),
                    entity=entity.name,
                    condition=condition,
                    statement=statement,
                    trace=trace,
                )
            )
            draft.note(
                f"{entity.name}.{later.name}",
                statement,
                "A period cannot end before it begins; the vision does not say so.",
                f'Write the rule you want, for example "{later.words.capitalize()} may be before {earlier.words}."',
            )
