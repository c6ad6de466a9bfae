"""Rules that nothing may be twice: double bookings, one open record each, unique values."""

import re

from factory.domain.product import (
    FieldType,
    UniqueTogether,
)
from factory.skills.native.language.lexicon import DEED_NOUNS, FINAL_STATES
from factory.skills.native.language.names import snake_name
from factory.skills.native.language.words import participle, singular
from factory.skills.native.vision_document.draft import Draft, EntityDraft, RelationDraft
from factory.skills.native.vision_document.readings import Statement
from factory.skills.native.vision_document.rule_text import add_policy, as_sentence, field_named, mentioned_entities


def double_booking(draft: Draft, statement: Statement) -> bool:
    """Add "no two at the same time" and "only once"; tell whether the sentence says so."""
    text = statement.text.lower()
    together = re.search(
        (
            r"same (?:start )?(?:time|moment|slot|period|day|date|hour|evening|week)|double[- ]?book|overlap|"
            r"twice|at once|simultaneous|once per|only once|only (?:\w+ )?one|same (?P<thing>[\w ]+?)(?: twice)?$|more "
            r"than once"
        ),
        text,
    )
    refused = re.search(
        (
            r"\b(?:cannot|can not|can't|must not|may not|never|no two|no \w+ (?:can|may|is|has)|not be|only "
            r"once|only (?:\w+ )?one|once per|at most one|at most once|should not|no \w+ \w+ (?:can|may))\b"
        ),
        text,
    )
    if together is None or refused is None:
        return False
    only = re.search(
        r"\bonly (?P<verb>(?!one\b)[a-z]+ )?one (?P<what>[a-z -]+?)(?: per\b| for (?:each|every)\b|$|[.,;])", text
    )
    counted = draft.find_within(singular(only.group("what").strip())) if only is not None else None
    if (
        only is not None
        and only.group("verb")
        and (counted is None or re.search(r"\bper\b|\bevery\b|\beach\b", text) is None)
    ):
        return False
    named = mentioned_entities(draft, text)
    times = ("start", "date", "day", "time", "slot", "period", "at")
    for holder in sorted(draft.entities.values(), key=lambda item: item not in named):
        if (holder not in named and not _deed_of(holder, text)) or (counted is not None and holder is not counted):
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
        both = len(links) > 1 and (_PAIRED.search(text) is not None or counted is not None)
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
        add_policy(
            draft,
            UniqueTogether(
                name=name,
                entity=holder.name,
                fields=tuple(fields),
                relations=tuple(link.name for link in chosen),
                except_states=tuple(freed),
                statement=as_sentence(statement.text),
                trace=statement.whole(draft, "double-booking", 0.9),
            ),
        )
        if freed and not re.search(r"free|cancel", text):
            draft.note(
                f"{holder.name}: {name}",
                (
                    f"{'An' if holder.words[0] in 'aeiou' else 'A'} {holder.words} that is "
                    f"{' or '.join(state.replace('_', ' ') for state in freed)} does "
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
    return add_policy(
        draft,
        UniqueTogether(
            name=name,
            entity=holder.name,
            relations=(link.name,),
            except_states=tuple(ended),
            statement=as_sentence(statement.text),
            trace=statement.whole(draft, "double-booking", 0.9),
        ),
    )


def unique_value(draft: Draft, statement: Statement) -> bool:
    """Mark a value as unique, alone or within another thing; tell whether the sentence says so."""
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
    for entity in [*mentioned_entities(draft, statement.text), *draft.entities.values()]:
        found = field_named(entity, match.group("field"))
        if found is None:
            continue
        within = draft.find(singular((match.group("within") or "").strip().lower()))
        link = draft.link(entity.words, within.words) if within else None
        if link is None:
            found.constraints["unique"] = True
            return True
        name = snake_name(f"unique {found.name} per {link.name}")
        return add_policy(
            draft,
            UniqueTogether(
                name=name,
                entity=entity.name,
                fields=(found.name,),
                relations=(link.name,),
                statement=as_sentence(statement.text),
                trace=statement.whole(draft, "unique-within", 0.95),
            ),
        )
    return False
