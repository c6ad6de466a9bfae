"""Rules that count: "a member may have at most 3 active loans"."""

import re

from factory.domain.product import (
    RelatedLimit,
    RelationKind,
    Trace,
)
from factory.skills.native.language.lexicon import FINAL_STATES
from factory.skills.native.language.names import snake_name
from factory.skills.native.language.words import NUMBERS, singular
from factory.skills.native.vision_document.draft import Draft
from factory.skills.native.vision_document.readings import Statement
from factory.skills.native.vision_document.rule_text import add_policy, as_sentence, mentioned_entities

_COUNTS = {**NUMBERS, "a single": 1}


_COUNT = r"(?P<count>\d+|one|two|three|four|five|six|seven|eight|nine|ten|twelve|a single)"


_LIMITS = (
    (
        rf"(?:can|may|could|is allowed to|are allowed to|must)\s+(?:only\s+)?(?:have|hold|borrow|rent|reserve|"
        rf"book|own|make|place|keep|be \w+ (?:to|in|for)|submit|carry|take|post|enter|\w+)\s+(?:(?:out|up|on|"
        rf"for|to)\s+)?(?:at most|up to|no more than|only|a maximum of|at the most|not more "
        rf"than)\s+{_COUNT}\s+(?P<what>[\w' -]+)"
    ),
    rf"(?:can|may|must)\s+only\s+(?:have|hold|make|place|book|borrow|submit|own|\w+)\s+{_COUNT}\s+(?P<what>[\w' -]+)",
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


def count_limit(draft: Draft, statement: Statement) -> bool:
    """Add "at most 3 active loans per member"; tell whether the sentence says so."""
    text = statement.text.lower()
    for pattern in _LIMITS:
        match = re.search(pattern, text)
        if match is None:
            continue
        count = match.group("count")
        limit = _COUNTS.get(count) or int(count) if not count.isdigit() else int(count)
        if limit < 1:
            continue
        what = re.split(r"\s+(?:at|per|in|on|for|of|during|before|within|and|with|a day|to)\b", match.group("what"))[0]
        groups = match.groupdict()
        who = groups.get("who") or text[: match.start()]
        related = _limit_on(draft, statement, what, who, limit)
        if related:
            return True
    return False


def limit_in_line(draft: Draft, owner: str, limit: int, noun: str, trace: Trace) -> None:
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
        add_policy(
            draft,
            RelatedLimit(
                name=name,
                entity=draft.entities[link.source].name,
                relation=link.name,
                limit=limit,
                statement=as_sentence(f"{trace.text} per {owner}"),
                trace=trace,
            ),
        )


def _limit_on(draft: Draft, statement: Statement, what: str, who: str, limit: int) -> bool:
    thing = draft.find_within(singular(what.strip()))
    holders = mentioned_entities(draft, who)
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
            return add_policy(
                draft,
                RelatedLimit(
                    name=name,
                    entity=counted.name,
                    relation=link.name,
                    limit=limit,
                    states=states,
                    statement=as_sentence(statement.text),
                    trace=statement.whole(draft, "related-limit", 0.9),
                ),
            )
    return False
