"""Limits in time: "can only be cancelled at least 24 hours before it starts"."""

import re

from factory.domain.product import Condition, FieldType
from factory.skills.native.language.words import participle
from factory.skills.native.vision_document.draft import Draft, EntityDraft
from factory.skills.native.vision_document.readings import Statement
from factory.skills.native.vision_document.rule_text import said, same_condition


def find_guards(draft: Draft, statements: list[Statement]) -> None:
    """Add time limits on transitions: "can only be cancelled at least 24 hours before it starts"."""
    for statement in statements:
        text = statement.text.lower()
        limit = time_limit(text)
        if limit is None:
            continue
        begin, end = statement.sentence.span(0, len(statement.sentence.text))
        for made in draft.lifecycles.values():
            entity = draft.entities[made.entity]
            told = any(begin <= step.trace.start < end and not step.assumed for step in made.transitions.values())
            if not told and entity.words.split(" ")[-1] not in text:
                continue
            for step in made.transitions.values():
                verb = step.verb.split(" ")[0]
                if not re.search(rf"\b(?:{re.escape(verb)}s?|{re.escape(participle(verb))})\b", text):
                    continue
                foreign = [
                    other
                    for other in draft.entities.values()
                    if other is not entity and re.search(rf"\b{re.escape(other.words)}\b", limit.group("what"))
                ]
                guard = None if foreign else guard_condition(entity, limit)
                if guard is None or any(same_condition(guard, known) for known in step.guards):
                    continue
                step.guards.append(guard.model_copy(update={"statement": said(statement)}))


_UNITS = {"minute": 1, "hour": 60, "day": 1440, "week": 10080}
_LIMIT = re.compile(
    r"(?:(?P<most>at most|up to|no later than|not later than|until|at least|more than|only|up until|as "
    r"late as|less than)?\s*(?P<count>\d+|an?|one|two|three|24)\s*(?P<unit>minute|hour|day|week)s?\s+)?"
    r"(?:in advance of|ahead of|before)\s+(?P<what>(?:it|they|(?:the|its|their)(?: "
    r"\w+){1,3}?)(?:\s+(?P<event>starts?|begins?|departs?|opens?|takes place|leaves|ends?|closes))?)(?=$|"
    r"[.,;]|\s+(?:and|but|so|by|;))"
)


def time_limit(text: str) -> re.Match[str] | None:
    """Return the limit a text states, such as "at least 24 hours before it starts", or None."""
    plain = re.sub(r"(?<= before)(?=[.;,]?$)", " it starts", text)
    return re.search(_LIMIT.pattern.replace("(?P<what>(?:it", "(?P<what>(?:(?P<pronoun>it)"), plain)


def guard_condition(entity: EntityDraft, limit: re.Match[str]) -> Condition | None:
    """Return the condition on a date or time field that a limit states, or None where there is no such field."""
    what = f"{limit.group('what')} {limit.group('event') or ''}"
    kinds = (FieldType.DATETIME, FieldType.DATE)
    fields = [item for item in entity.fields.values() if item.type in kinds]
    if not fields:
        return None
    chosen = None
    ending = re.search(r"\bend|clos", what)
    for item in fields:
        words = item.words.lower()
        if re.search(r"end|clos|until|return" if ending else r"start|begin|depart|from|open|take", words):
            chosen = item
            break
        if any(word in words.split() for word in what.split() if len(word) > 3):  # noqa: PLR2004 - a telling word
            chosen = item
            break
    if chosen is None and re.match(r"(?:it|they)\b", what) and len(fields) == 1 and not fields[0].words.endswith(" on"):
        chosen = fields[0]
    if chosen is None:
        return None
    count = limit.group("count")
    number = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3}.get(
        count or "", int(count) if count and count.isdigit() else 0
    )
    minutes = number * _UNITS.get(limit.group("unit") or "", 0)
    anchor = "now" if chosen.type is FieldType.DATETIME else "today"
    return Condition(left=chosen.name, op="ge" if minutes else "gt", right_kind=anchor, offset_minutes=minutes)
