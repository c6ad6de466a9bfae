"""Rules that hold always: comparisons, no double booking, limits, and what is only written down."""

import re
from dataclasses import replace

from factory.domain.product import (
    Condition,
    FieldType,
    Invariant,
    RelatedLimit,
    RelationKind,
    StatedRule,
    Trace,
    UniqueTogether,
)
from factory.skills.native.language.lexicon import DEED_NOUNS, FINAL_STATES
from factory.skills.native.language.names import snake_name, unique
from factory.skills.native.language.words import participle, plural, singular
from factory.skills.native.vision_document.draft import Draft, EntityDraft, FieldDraft, RelationDraft
from factory.skills.native.vision_document.qualities import category_of
from factory.skills.native.vision_document.readings import Statement, is_as_is, is_excluded
from factory.skills.native.vision_document.sections import Section

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
_NUMBERS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
    "a single": 1,
}
_COUNT = r"(?P<count>\d+|one|two|three|four|five|six|seven|eight|nine|ten|twelve|a single)"
_LIMITS = (
    (
        rf"(?:can|may|could|is allowed to|are allowed to|must)\s+(?:only\s+)?(?:have|hold|borrow|rent|reserve|"
        rf"book|own|make|place|keep|be \w+ (?:to|in|for)|submit|carry|take|post|enter|\w+)\s+(?:(?:out|up|on|"
        rf"for|to)\s+)?(?:at most|up to|no more than|only|a maximum of|at the most|not more "
        rf"than)\s+{_COUNT}\s+(?P<what>[\w' -]+)"
    ),
    (
        rf"(?:cannot|can not|can't|may not|must not|should not|can never|may never|must never)\s+(?:have|hold|"
        rf"borrow|rent|reserve|book|own|make|place|keep|be \w+ (?:to|in|for)|submit|\w+)\s+(?:(?:out|up|on|"
        rf"for)\s+)?more than\s+{_COUNT}\s+(?P<what>[\w' -]+)"
    ),
    (
        rf"(?:has|have|holds?|takes?|borrows?|books?)\s+(?:at most|no more than|up to|a maximum "
        rf"of)\s+{_COUNT}\s+(?P<what>[\w' -]+)"
    ),
    (
        rf"(?:at most|no more than|up to|a maximum of|maximum|max\.?)\s+{_COUNT}\s+(?P<what>[\w' "
        rf"-]+?)\s+(?:per|for each|for every|for one|for a)\s+(?P<who>[\w -]+)"
    ),
)
_DOUBLE = re.compile(
    (
        r"(?P<who>[\w -]+?)\s+(?:cannot|can not|can't|must not|may not|can never|must never|may never|should "
        r"not|never)\s+(?:have|hold|be in|run|host|be (?:double[- ]?)?(?P<deed>booked|reserved|rented|"
        r"assigned|scheduled|used|lent|allocated)|overlap)\b.*?"
    ),
    re.IGNORECASE,
)
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
            _double_booking(draft, statement)
            or _limit(draft, statement)
            or _comparison(draft, statement)
            or _unique(draft, statement)
        )
        if not made and not _in_lifecycle(draft, statement) and not _freed(draft, statement):
            _stated(draft, statement)
    for owner, limit, noun, trace in draft.limits:
        _limit_in_line(draft, owner, limit, noun, trace)
    for entity in draft.entities.values():
        _implied_order(draft, entity)


_JOINT = re.compile(
    r",\s+(?:and|but)\s+(?=(?:an?|the|no|each|every|only|it|they)\b[^,]*?\b(?:must|may|can|cannot|has to|"
    r"is|are|never)\b)"
)


def _parts(statement: Statement) -> list[Statement]:
    """Split a sentence that states two rules: "A must be positive, and B may have at most 2 C"."""
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


def _add(draft: Draft, policy: Invariant | UniqueTogether | RelatedLimit | StatedRule) -> bool:
    same = [
        known
        for known in draft.policies
        if type(known) is type(policy)
        and known.model_dump(exclude={"name", "statement", "trace"})
        == policy.model_dump(exclude={"name", "statement", "trace"})
    ]
    if same and not isinstance(policy, StatedRule):
        return True
    draft.policies.append(
        policy.model_copy(update={"name": unique(policy.name, {known.name for known in draft.policies})})
    )
    return True


def _mentioned(draft: Draft, text: str) -> list[EntityDraft]:
    lower = f" {text.lower().replace('-', ' ')} "
    found = []
    for entity in draft.entities.values():
        words = entity.words.replace("-", " ")
        for form in (words, plural(words)):
            position = re.search(rf"\b{re.escape(form)}\b", lower)
            if position is not None:
                found.append((position.start(), entity))
                break
    return [entity for _, entity in sorted(found, key=lambda pair: pair[0])]


def _field(entity: EntityDraft, words: str) -> FieldDraft | None:
    plain = re.sub(r"^(?:the|its|their|a|an|any|every|each)\s+", "", words.strip().lower())
    plain = re.sub(rf"\s+of (?:the |an? |each |every )?{re.escape(entity.words)}s?$", "", plain)
    plain = re.sub(rf"^{re.escape(entity.words)}(?:'s|s')?\s+", "", plain)
    for name in (plain, singular(plain), re.sub(r"\s+(?:date|time|at|on)$", "", plain)):
        key = snake_name(name)
        if key in entity.fields:
            return entity.fields[key]
    for key, item in entity.fields.items():
        spoken = key.replace("_", " ")
        if spoken.startswith(f"{plain} ") or (len(plain) > 3 and plain.endswith(f" {spoken}")):  # noqa: PLR2004 - a telling word
            return item
    return None


def _comparison(draft: Draft, statement: Statement) -> bool:
    text = statement.text
    match = _AFTER.search(text)
    if match is None:
        return _sign(draft, statement)
    named = _mentioned(draft, text)
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
        left = _field(entity, left_text) or _event_field(entity, text[: match.start("op")].lower())
        if left is None or left.type not in _ORDERED:
            continue
        right = _field(entity, right_text) or _event_field(entity, right_text.lower())
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
            return _add(
                draft,
                Invariant(
                    name=name,
                    entity=entity.name,
                    condition=condition,
                    statement=_sentence(text),
                    trace=statement.whole(draft, "comparison", 0.9),
                ),
            )
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
    for entity in [*_mentioned(draft, statement.text), *draft.entities.values()]:
        found = _field(entity, re.sub(r"^.*\b(?:that|if)\s+", "", match.group("left")))
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
            return _add(
                draft,
                Invariant(
                    name=name,
                    entity=entity.name,
                    condition=condition,
                    statement=_sentence(statement.text),
                    trace=statement.whole(draft, "sign", 0.95),
                ),
            )
    return False


def _double_booking(draft: Draft, statement: Statement) -> bool:
    text = statement.text.lower()
    together = re.search(
        (
            r"same (?:start )?(?:time|moment|slot|period|day|date|hour|evening|week)|double[- ]?book|overlap|"
            r"twice|at once|simultaneous|once per|only once|only one|same (?P<thing>[\w ]+?)(?: twice)?$|more "
            r"than once"
        ),
        text,
    )
    refused = re.search(
        (
            r"\b(?:cannot|can not|can't|must not|may not|never|no two|no \w+ (?:can|may|is|has)|not be|only "
            r"once|only one|once per|at most one|at most once|should not|no \w+ \w+ (?:can|may))\b"
        ),
        text,
    )
    if together is None or refused is None:
        return False
    named = _mentioned(draft, text)
    times = ("start", "date", "day", "time", "slot", "period", "at")
    for holder in sorted(draft.entities.values(), key=lambda item: item not in named):
        if holder not in named and not _deed_of(holder, text):
            continue
        links = [
            link
            for link in draft.relations_of(holder.words)
            if any(entity.words == link.target for entity in named) and (holder in named or link.required)
        ]
        moments = [
            item
            for item in holder.fields.values()
            if item.type in (FieldType.DATETIME, FieldType.DATE, FieldType.TIME) and item.name.startswith(times)
        ]
        moments += [
            item
            for item in holder.fields.values()
            if item.name.endswith("_for") and item.type in (FieldType.DATETIME, FieldType.DATE)
        ]
        lifecycle = draft.lifecycles.get(holder.words)
        ended = [state for state in lifecycle.states if state in FINAL_STATES] if lifecycle else []
        both = len(links) > 1 and _PAIRED.search(text) is not None
        if links and not moments and ended and not both and (holder in named or _deed_of(holder, text)):
            return _one_live(draft, statement, holder, links[0], ended)
        timed = (
            re.search(
                r"time|moment|slot|period|day|date|hour|evening|overlap|double|once\b|simultan|week", together.group()
            )
            is not None
        )
        if not links or (timed and not moments and len(links) < 2):  # noqa: PLR2004 - two links make a pair
            continue
        pair = both
        chosen = links if pair else links[:1]
        freed = (
            [
                state
                for state in lifecycle.states
                if state in FINAL_STATES
                and state
                not in (
                    "done",
                    "completed",
                    "finished",
                    "attended",
                    "paid",
                    "delivered",
                    "hired",
                    "collected",
                    "redeemed",
                    "graduated",
                    "won",
                    "adopted",
                    "sold",
                    "fulfilled",
                    "served",
                    "resolved",
                )
            ]
            if lifecycle
            else []
        )
        if pair and lifecycle and any(word in text for word in ("same time", "at once", "active", "open", "current")):
            freed = [state for state in lifecycle.states if state in FINAL_STATES]
        fields = [] if pair and not timed else [item.name for item in moments[:1]]
        if pair and timed and "twice" in together.group():
            fields = []
        spoken = " and ".join(
            [link.name.replace("_", " ") for link in chosen] + [name.replace("_", " ") for name in fields]
        )
        name = snake_name(f"one {holder.words} per {spoken}")
        _add(
            draft,
            UniqueTogether(
                name=name,
                entity=holder.name,
                fields=tuple(fields),
                relations=tuple(link.name for link in chosen),
                except_states=tuple(freed),
                statement=_sentence(statement.text),
                trace=statement.whole(draft, "double-booking", 0.9),
            ),
        )
        if freed and not re.search(r"free|cancel", text):
            draft.note(
                f"{holder.name}: {name}",
                (
                    f"A {holder.words} that is {' or '.join(state.replace('_', ' ') for state in freed)} does "
                    f"not count for this rule."
                ),
                "It takes up nothing any more, and the vision does not say whether it counts.",
                f'Say so, for example "a cancelled {holder.words} still counts".',
            )
        return True
    return False


def _deed_of(holder: EntityDraft, text: str) -> bool:
    """Tell whether a text speaks of the deed that a record stands for: "registered" for a registration."""
    head = holder.words.rsplit(" ", 1)[-1]
    verbs = [verb for verb, nouns in DEED_NOUNS.items() if head in nouns] + [
        "use",
        "schedule",
        "assign",
        "double-book",
        "overlap",
    ]
    return any(re.search(rf"\b(?:{re.escape(verb)}s?|{re.escape(participle(verb))})\b", text) for verb in verbs)


_PAIRED = re.compile(
    r"one\b[a-z -]*\bper\b|same (?!time|day|date|moment|slot|start|hour)|twice|more than once|only once|"
    r"once per|at most once|once to each|once for each"
)


def _one_live(draft: Draft, statement: Statement, holder: EntityDraft, link: RelationDraft, ended: list[str]) -> bool:
    """Add "a copy cannot be in two loans at the same time": one record per target until it has ended."""
    name = snake_name(f"one open {holder.words} per {link.name}")
    return _add(
        draft,
        UniqueTogether(
            name=name,
            entity=holder.name,
            relations=(link.name,),
            except_states=tuple(ended),
            statement=_sentence(statement.text),
            trace=statement.whole(draft, "double-booking", 0.9),
        ),
    )


def _limit(draft: Draft, statement: Statement) -> bool:
    text = statement.text.lower()
    for pattern in _LIMITS:
        match = re.search(pattern, text)
        if match is None:
            continue
        count = match.group("count")
        limit = _NUMBERS.get(count) or int(count) if not count.isdigit() else int(count)
        if limit < 1:
            continue
        what = re.split(r"\s+(?:at|per|in|on|for|of|during|before|within|and|with|a day|to)\b", match.group("what"))[0]
        groups = match.groupdict()
        who = groups.get("who") or text[: match.start()]
        related = _limit_on(draft, statement, what, who, limit)
        if related:
            return True
    return False


def _limit_in_line(draft: Draft, owner: str, limit: int, noun: str, trace: Trace) -> None:
    """Add the limit of "Team: name, max 5 members", where one thing belongs to it."""
    counted = draft.find_within(singular(noun))
    links = [
        relation
        for relation in draft.relations
        if relation.target == owner and relation.kind is not RelationKind.MANY_TO_MANY
    ]
    chosen = [relation for relation in links if counted is not None and relation.source == counted.words] or links
    if len(chosen) == 1:
        link = chosen[0]
        name = snake_name(f"at most {limit} {link.source} per {link.name}")
        _add(
            draft,
            RelatedLimit(
                name=name,
                entity=draft.entities[link.source].name,
                relation=link.name,
                limit=limit,
                statement=_sentence(f"{trace.text} per {owner}"),
                trace=trace,
            ),
        )


def _limit_on(draft: Draft, statement: Statement, what: str, who: str, limit: int) -> bool:
    thing = draft.find_within(singular(what.strip()))
    holders = _mentioned(draft, who)
    speakers = [
        draft.find(actor.entity) for words in statement.speakers if (actor := draft.actors.get(words)) and actor.entity
    ]
    for holder in [*holders, *(entity for entity in speakers if entity is not None)]:
        for counted in [*([thing] if thing else []), *draft.entities.values()]:
            link = draft.link(counted.words, holder.words)
            if link is None or counted is holder:
                continue
            if counted is not thing and (thing is None or draft.link(counted.words, thing.words) is None):
                continue
            lifecycle = draft.lifecycles.get(counted.words)
            states: tuple[str, ...] = ()
            if lifecycle is not None:
                named = [
                    state
                    for state in lifecycle.states
                    if re.search(rf"\b{state.replace('_', '[ -]')}\b", statement.text.lower())
                ]
                live = [state for state in lifecycle.states if state not in FINAL_STATES]
                words = re.search(
                    (
                        r"\b(?:active|open|current|running|outstanding|at the same time|at a time|at once|"
                        r"simultaneous|ongoing|upcoming)"
                    ),
                    statement.text.lower(),
                )
                states = tuple(named or (live if words or counted is not thing else []))
                states = states if len(states) < len(lifecycle.states) else ()
            name = snake_name(f"at most {limit} {' '.join(states[:1])} {counted.words} per {link.name}")
            return _add(
                draft,
                RelatedLimit(
                    name=name,
                    entity=counted.name,
                    relation=link.name,
                    limit=limit,
                    states=states,
                    statement=_sentence(statement.text),
                    trace=statement.whole(draft, "related-limit", 0.9),
                ),
            )
    return False


def _unique(draft: Draft, statement: Statement) -> bool:
    match = re.search(
        (
            r"(?P<field>[\w -]+?)\s+(?:must be|is|are|has to be|should be)\s+unique(?: (?:per|within|for each|"
            r"in each|inside)(?: an?| the)? (?P<within>[\w ]+))?"
        ),
        statement.text,
        re.IGNORECASE,
    )
    if match is None:
        return False
    for entity in [*_mentioned(draft, statement.text), *draft.entities.values()]:
        found = _field(entity, match.group("field"))
        if found is None:
            continue
        within = draft.find(singular((match.group("within") or "").strip().lower()))
        link = draft.link(entity.words, within.words) if within else None
        if link is None:
            found.constraints["unique"] = True
            return True
        name = snake_name(f"unique {found.name} per {link.name}")
        return _add(
            draft,
            UniqueTogether(
                name=name,
                entity=entity.name,
                fields=(found.name,),
                relations=(link.name,),
                statement=_sentence(statement.text),
                trace=statement.whole(draft, "unique-within", 0.95),
            ),
        )
    return False


def _in_lifecycle(draft: Draft, statement: Statement) -> bool:
    """Tell whether a rule is already in a transition: its sources, its guard, or the transition itself."""
    text = statement.text.lower()
    for made in draft.lifecycles.values():
        entity = draft.entities[made.entity]
        if entity.words.split(" ")[-1] not in text.replace("-", " "):
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
    named = _mentioned(draft, text)
    words = [word for word in re.findall(r"[a-z]+", text.lower()) if word not in _FILLER][:5]
    name = snake_name(" ".join(words)) or "rule"
    _add(
        draft,
        StatedRule(
            name=name,
            entity=named[0].name if named else None,
            statement=_sentence(text),
            trace=statement.whole(draft, "stated-rule", 1.0),
        ),
    )


_FILLER = frozenset(
    """a an the of to in on at be is are for and or it its their that this by with as from when if can""".split()
)


def _sentence(text: str) -> str:
    plain = re.sub(r"\s+(?=[.,;])", "", " ".join(text.split())).rstrip(".;")
    return f"{plain[:1].upper()}{plain[1:]}."


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
