"""What a section of a vision is about, from its heading."""

import re
from enum import StrEnum

from factory.skills.native.vision_document.source import Block, BlockKind


class Section(StrEnum):
    """The sections that are read in a way of their own; everything else is prose."""

    ENTITIES = "entities"
    ACTORS = "actors"
    STORIES = "stories"
    RULES = "rules"
    STATES = "states"
    RELATIONS = "relations"
    OUT_OF_SCOPE = "out-of-scope"
    GOALS = "goals"
    QUALITIES = "qualities"
    GLOSSARY = "glossary"
    PROBLEM = "problem"
    FEATURES = "features"
    PROSE = "prose"


# The first pattern that fits a heading decides.
_HEADINGS: tuple[tuple[Section, str], ...] = (
    (
        Section.OUT_OF_SCOPE,
        r"out of scope|not in scope|not now|not yet|non-?goals?|not (?:included|needed|planned|part|"  # noqa: ISC004 - one pattern
        r"doing)|won'?t|will not|exclu|"
        r"do(?:es)? not (?:do|need|want|cover|build)|don'?t (?:do|need|want)|leave out|left out|for later|"
        r"^later\b|future|"
        r"no need|beyond|what it is not|is not\b|nice to have later|parking lot|phase 2|version 2|deferred",
    ),
    (
        Section.GLOSSARY,
        r"glossar|terminolog|definitions?\b|vocabular|^terms?\b|^words\b|dictionary|language we use|what .* means?$",
    ),
    (
        Section.QUALITIES,
        r"non-?functional|qualit|performance|\bnfr|service level|\bsla\b|technical (?:requirements|"  # noqa: ISC004 - one pattern
        r"constraints|notes)|security|privacy|compliance|"
        r"reliab|availab|scal|how well|legal",
    ),
    (Section.STORIES, r"stor(?:y|ies)\b|backlog|\bepics?\b"),
    (
        Section.FEATURES,
        (
            r"what (?:they|people|users|it|each|everyone|\w+) (?:can |must |should |needs? to |wants? to "
            r")?(?:do|does)\b|user actions|user tasks"
        ),
    ),
    (
        Section.GOALS,
        (
            r"\bgoals?\b|objectives?|outcomes?|success|benefits?|measures?|metrics|kpis?|what good looks like|"
            r"value|vision\b$|aims?\b"
        ),
    ),
    (Section.STATES, r"\bstates?\b|status(?:es)?\b|life ?-?cycles?|workflows?"),
    (Section.RELATIONS, r"relation(?:ship)?s?|associations?"),
    (
        Section.ENTITIES,
        r"entit|data\b|domain model|domain objects?|\bobjects?\b|\brecords?\b|resources|\bnouns?\b|"  # noqa: ISC004 - one pattern
        r"(?:what|things?|stuff|information) (?:we|it|the \w+|is|are|to|that|must|\w+ must) .*(?:keeps?|"
        r"stores?|records?|manages?|tracks?|knows?|kept|stored|remembers?|holds?|handles?|remember)|"
        r"things$|the things|main (?:things|concepts)|^concepts|schema|tables|what is (?:kept|stored|"
        r"recorded)|^model$|we keep|we store|keep track of|building blocks|the model",
    ),
    (
        Section.RULES,
        (
            r"rules?\b|constraints?|polic(?:y|ies)|invariants?|conditions|validations?|restrictions|limits|"
            r"must hold|always true"
        ),
    ),
    (
        Section.ACTORS,
        (
            r"\bwho\b|users?\b|roles?\b|actors?\b|personas?\b|people|audience|stakeholders?|participants$|"
            r"target group|permissions|user types|team$"
        ),
    ),
    (
        Section.PROBLEM,
        (
            r"problem|background|motivation|situation|\bwhy\b|context|today|pain|status quo|challenge|history|"
            r"introduction to the problem"
        ),
    ),
    (
        Section.FEATURES,
        (
            r"feature|capabilit|function|use cases?|what it does|requirements|actions?|operations|what "
            r"(?:they|people|users|it|each|\w+) (?:can |must |should |needs? to )?(?:do|does)|tasks|scenarios|"
            r"scope|how it works|in scope|must have|solution|product|process"
        ),
    ),
)


def section_of(block: Block) -> Section:
    """Return the section a block stands in; for a heading, the section it stands in or opens."""
    path = block.path
    if block.kind is BlockKind.HEADING:
        return next(
            (found for title in reversed((*path,)) if (found := heading_section(title)) is not Section.PROSE),
            Section.PROSE,
        )
    for depth, title in reversed(list(enumerate(path))):
        found = heading_section(title)
        if found is not Section.PROSE and (depth > 0 or len(path) == 1 or found in (Section.ENTITIES, Section.STORIES)):
            return found
    return Section.PROSE


def heading_section(title: str) -> Section:
    """Return what a heading announces."""
    plain = title.lower().strip(" :.")
    plain = re.sub(r"^(?:\d+(?:\.\d+)*[.)]?\s+)", "", plain)
    if len(plain.split()) > 9:  # noqa: PLR2004 - a sentence, not a heading
        return Section.PROSE
    for section, pattern in _HEADINGS:
        if re.search(pattern, plain):
            return section
    return Section.PROSE
