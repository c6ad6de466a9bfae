"""Rules that compare: "the end must be after the start", "a result must have a value of at least 0"."""

import re

from factory.domain.product import Condition, FieldType, Invariant
from factory.skills.native.language.names import snake_name
from factory.skills.native.vision_document.draft import Draft, EntityDraft, FieldDraft
from factory.skills.native.vision_document.readings import Statement
from factory.skills.native.vision_document.rule_text import add_policy, as_sentence, field_named, mentioned_entities

_ORDERED = (
    FieldType.DATE,
    FieldType.DATETIME,
    FieldType.TIME,
    FieldType.INTEGER,
    FieldType.DECIMAL,
    FieldType.MONEY,
    FieldType.PERCENTAGE,
    FieldType.DURATION,
)
_AFTER = re.compile(
    r"(?P<left>[\w -]+?)\s+(?:must|has to|should|is always|shall|needs to|may|can|cannot|can not|must not|"
    r"may not)\s*(?P<not>not\s+)?(?:only\s+)?(?:be|lie|come|is|end|start)?\s*"
    r"(?P<op>after|later than|before|earlier than|on or after|not before|greater than|more than|larger "
    r"than|at least|less than|at most|higher than|exceed|lower than)\s+(?:the |its |their )?(?P<right>[\w "
    r"-]+)",
    re.IGNORECASE,
)


def compare(draft: Draft, statement: Statement) -> bool:
    """Add the comparison, sign or bound that a sentence states; tell whether it states one."""
    text = statement.text
    match = _AFTER.search(text)
    if match is None:
        return _sign(draft, statement) or _having(draft, statement)
    named = mentioned_entities(draft, text)
    titled = [
        entity
        for entity in draft.entities.values()
        if any(entity.words in title.lower() for title in statement.sentence.block.path)
    ]
    right_text = re.split(r"\s+(?:and|or|if|when|unless|so)\b", match.group("right"))[0]
    left_text = re.sub(r"^.*\b(?:that|if|and|where)\s+", "", match.group("left").strip())
    operator = match.group("op").lower()
    negative = bool(match.group("not")) or bool(
        re.search(r"\b(?:cannot|can not|must not|may not)\b", match.group().lower())
    )
    op = {
        "after": "gt",
        "later than": "gt",
        "before": "lt",
        "earlier than": "lt",
        "on or after": "ge",
        "not before": "ge",
        "greater than": "gt",
        "more than": "gt",
        "larger than": "gt",
        "higher than": "gt",
        "at least": "ge",
        "less than": "lt",
        "lower than": "lt",
        "at most": "le",
        "exceed": "gt",
    }[operator]
    if negative or operator == "exceed":
        op = {"gt": "le", "lt": "ge", "ge": "lt", "le": "gt"}[op]
    for entity in [*named, *titled, *draft.entities.values()]:
        left = field_named(entity, left_text) or _event_field(entity, text[: match.start("op")].lower())
        if left is None or left.type not in _ORDERED:
            continue
        right = field_named(entity, right_text) or _event_field(entity, right_text.lower())
        condition = None
        if right is not None and right.name != left.name and _comparable(left, right):
            condition = Condition(left=left.name, op=op, right_kind="field", right=right.name)
        elif re.search(r"\b(?:now|today|past|future|moment of)\b", text.lower()) and left.type in (
            FieldType.DATE,
            FieldType.DATETIME,
        ):
            return False
        elif re.fullmatch(r"\s*(?:\d+(?:\.\d+)?.*|zero)", right_text) and left.type in (
            FieldType.INTEGER,
            FieldType.DECIMAL,
            FieldType.MONEY,
            FieldType.PERCENTAGE,
            FieldType.DURATION,
        ):
            number = re.search(r"\d+(?:\.\d+)?", right_text)
            literal = (
                float(number.group()) if number and "." in number.group() else int(number.group()) if number else 0
            )
            condition = Condition(left=left.name, op=op, right_kind="literal", right=literal)
        if condition is not None:
            words = (
                {"gt": "after", "ge": "not_before", "lt": "before", "le": "not_after"}
                if left.type in (FieldType.DATE, FieldType.DATETIME, FieldType.TIME)
                else {"gt": "above", "ge": "at_least", "lt": "below", "le": "at_most"}
            )
            name = snake_name(f"{entity.words} {left.name} {words[condition.op]} {condition.right}")
            return add_policy(
                draft,
                Invariant(
                    name=name,
                    entity=entity.name,
                    condition=condition,
                    statement=as_sentence(text),
                    trace=statement.whole(draft, "comparison", 0.9),
                ),
            )
    return False


_HAVING = re.compile(
    r"(?P<who>[\w -]+?)\s+(?:must|should|has to|have to)\s+(?:always )?have\s+(?:an?\s+)?(?P<what>[\w -]+?)\s+"
    r"(?:of\s+)?(?:(?P<least>at least|no less than|not less than)|(?P<most>at most|no more than|up to)|between)\s+"
    r"(?P<first>-?\d+(?:\.\d+)?)(?:\s+and\s+(?P<second>-?\d+(?:\.\d+)?))?",
    re.IGNORECASE,
)


def _having(draft: Draft, statement: Statement) -> bool:
    """Read "a result must have a value of at least 0" and "a donation must have a volume between 200 and 500 ml"."""
    match = _HAVING.search(statement.text)
    if match is None:
        return False
    for entity in mentioned_entities(draft, match.group("who")):
        found = field_named(entity, match.group("what"))
        if found is None or found.type not in _ORDERED or found.type in (FieldType.DATE, FieldType.DATETIME):
            continue
        bounds = [("ge" if not match.group("most") else "le", match.group("first"))]
        bounds += [("le", match.group("second"))] if match.group("second") else []
        for op, number in bounds:
            literal = float(number) if "." in number else int(number)
            condition = Condition.model_validate(
                {"left": found.name, "op": op, "right_kind": "literal", "right": literal}
            )
            add_policy(
                draft,
                Invariant(
                    name=snake_name(f"{entity.words} {found.name} {'at least' if op == 'ge' else 'at most'} {number}"),
                    entity=entity.name,
                    condition=condition,
                    statement=as_sentence(statement.text),
                    trace=statement.whole(draft, "having", 0.9),
                ),
            )
        return True
    return False


def _comparable(left: FieldDraft, right: FieldDraft) -> bool:
    numeric = {FieldType.INTEGER, FieldType.DECIMAL, FieldType.MONEY, FieldType.PERCENTAGE}
    return left.type is right.type or (left.type in numeric and right.type in numeric)


def _event_field(entity: EntityDraft, words: str) -> FieldDraft | None:
    """Return the moment field that a bare verb means: "it must end after it starts"."""
    for cue, starts in (("end", ("end", "finish", "until")), ("start", ("start", "begin", "from"))):
        if re.search(rf"\b{cue}(?:s|ed)?\b", words):
            for item in entity.fields.values():
                if item.type in (FieldType.DATE, FieldType.DATETIME, FieldType.TIME) and item.name.startswith(starts):
                    return item
    return None


def _sign(draft: Draft, statement: Statement) -> bool:
    """Read "the amount must be positive" and "the price is never negative"."""
    match = re.search(
        (
            r"(?P<left>[\w -]+?)\s+(?:must|has to|should|is|are|can|may|cannot|can)\s*(?:always |never |not |"
            r"be )*(?P<sign>positive|negative|zero or more|greater than zero|more than zero)\b"
        ),
        statement.text,
        re.IGNORECASE,
    )
    if match is None:
        return False
    strict = match.group("sign").lower() in ("positive", "greater than zero", "more than zero")
    for entity in [*mentioned_entities(draft, statement.text), *draft.entities.values()]:
        found = field_named(entity, re.sub(r"^.*\b(?:that|if)\s+", "", match.group("left")))
        if (
            found is None
            and draft.find(re.sub(r"^(?:an?|the|each|every)\s+", "", match.group("left").strip().lower())) is entity
        ):
            amounts = [item for item in entity.fields.values() if item.type is FieldType.MONEY]
            found = amounts[0] if len(amounts) == 1 else None
        if found is not None and found.type in (
            FieldType.INTEGER,
            FieldType.DECIMAL,
            FieldType.MONEY,
            FieldType.PERCENTAGE,
            FieldType.DURATION,
        ):
            condition = Condition(left=found.name, op="gt" if strict else "ge", right_kind="literal", right=0)
            name = snake_name(f"{entity.words} {found.name} {'positive' if strict else 'not negative'}")
            return add_policy(
                draft,
                Invariant(
                    name=name,
                    entity=entity.name,
                    condition=condition,
                    statement=as_sentence(statement.text),
                    trace=statement.whole(draft, "sign", 0.95),
                ),
            )
    return False
