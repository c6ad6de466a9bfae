"""Who uses the product: roles from stories, from a section of users, and from what people are said to do."""

import re

from factory.skills.native.language.lexicon import (
    KNOWN_VERBS,
    PERSON_NOUNS,
    is_person,
    may_be_person,
)
from factory.skills.native.language.names import label
from factory.skills.native.language.words import singular, verb_base
from factory.skills.native.vision_document.draft import ActorDraft, Draft
from factory.skills.native.vision_document.readings import Statement, is_as_is, is_excluded, role_words
from factory.skills.native.vision_document.sections import Section, section_of
from factory.skills.native.vision_document.source import Block, BlockKind

_SYSTEM = re.compile(r"^(?:system|scheduler|timer|job|service|bot)$")
# Machines and other companies' systems that act on the product from outside.
_OUTSIDE = re.compile(
    r"^(?:[a-z-]+ )?(?:sensor|scanner|gateway|meter|tracker|payment (?:provider|service|processor|gateway)|"
    r"weather station|kiosk|terminal|external (?:system|lab|service)|partner system)$"
)
_ENOUGH = 2
_NO_ROLES = frozenset({"people", "person", "user experience", "someone", "everyone", "anyone", "nobody"})


def find_actors(draft: Draft, blocks: tuple[Block, ...], statements: list[Statement]) -> None:  # noqa: C901 - one case after the other, in the order that decides
    """Add every actor; where there is none, assume a user."""
    for block in blocks:
        if section_of(block) is Section.ACTORS:
            _from_section(draft, block)
    for statement in statements:
        if statement.story is not None:
            story = next(item for item in draft.stories if item.id == statement.story)
            for role in statement.speakers:
                _add(draft, role, story.trace.start, story.trace.end, "story-role", 1.0, label(role))
    named = len(draft.actors)
    for statement in statements:
        if (
            statement.section in (Section.PROBLEM, Section.GOALS)
            or is_as_is(statement.text)
            or is_excluded(statement.text)
        ):
            continue
        for speaker in statement.speakers:
            if is_person(speaker) and statement.story is None:
                _add(
                    draft,
                    speaker,
                    *statement.sentence.span(0, len(statement.sentence.text)),
                    "heading-role",
                    0.9,
                    label(speaker),
                )
        if (
            named < _ENOUGH
            or _speaks_of_machine(statement)
            or statement.section in (Section.FEATURES, Section.RULES, Section.STATES)
        ):
            _from_prose(draft, statement)
    if not draft.actors:
        draft.actors["user"] = ActorDraft("user", draft.trace(0, 0, "assumed-actor", 0.3), "User")
        draft.note(
            "user",
            "One role, user, may do everything.",
            "The vision names nobody who uses the product.",
            'Name the roles, for example in a section "Who uses it": "- Librarian: lends books and takes them back".',
        )


def _from_section(draft: Draft, block: Block) -> None:  # noqa: C901 - one case after the other, in the order that decides
    if block.kind is BlockKind.ROW:
        start, end = block.cells[0]
        name = block.text[start:end]
        if not re.match(r"(?:role|user|actor|who|name|persona)s?$", name.lower()) and len(name.split()) <= 4:  # noqa: PLR2004
            rest = block.text[block.cells[1][0] : block.cells[1][1]] if len(block.cells) > 1 else ""
            _add(draft, _role(name), *block.span(start, end), "actor-section", 1.0, name, rest)
        return
    if block.kind is BlockKind.HEADING:
        if block.path and len(block.text.split()) <= 3 and is_person(_role(block.text)):  # noqa: PLR2004
            _add(draft, _role(block.text), *block.span(0, len(block.text)), "actor-section", 1.0, block.text)
        return
    listing = (
        re.fullmatch(r"[A-Z][\w' ]*(?:\s*[,/]\s*(?:and )?[\w' ]+)+(?:\s+and [\w' ]+)?\.?", block.text)
        if block.kind is BlockKind.PARAGRAPH
        else None
    )
    if listing is not None and all(
        len(part.split()) <= 3  # noqa: PLR2004 - a name, not a sentence
        for part in re.split(r"[,/]|\band\b", block.text.rstrip("."))
    ):
        for part in re.finditer(r"[\w' ]+?(?=\s*(?:,|/|\band\b|\.?$))", block.text):
            name = re.sub(r"^\s*and\s+", "", part.group()).strip()
            if name and name != "and":
                begin = part.start() + part.group().index(name)
                _add(draft, _role(name), *block.span(begin, begin + len(name)), "actor-section", 1.0, name)
        return
    if block.kind is not BlockKind.ITEM or block.level > 0:
        return
    match = re.match(
        (
            r"(?P<names>[A-Z\u00c0-\u00de]?[\w\u00c0-\u024f' /,&-]{1,60}?)\s*(?:\((?P<note>[^)]*)\))?\s*(?::|"
            r"\s[-–—]{1,2}\s|\.?$)\s*(?P<rest>.*)$"  # noqa: RUF001 - authors write dashes
        ),
        block.text,
    )
    if match is not None and len(match.group("names").split()) <= 5:  # noqa: PLR2004 - names, not a sentence
        for part in re.finditer(r"[^,/&]+?(?=\s*(?:,|/|&|\band\b|$))", match.group("names")):
            name = re.sub(r"^\s*and\s+", "", part.group()).strip()
            if not name or name == "and":
                continue
            begin = match.start("names") + part.start() + part.group().index(name)
            note = match.group("note") or match.group("rest") or ""
            _add(draft, _role(name), *block.span(begin, begin + len(name)), "actor-section", 1.0, name, note)
        return
    match = re.match(
        (
            r"(?:an?|the|our)?\s*(?P<name>[\w\u00c0-\u024f' -]+?)\s+(?:who|that|can|may|must|should|is|are|"
            r"has|have|will|wants?|needs?|uses?|[a-z]+s)\b(?P<rest>.*)$"
        ),
        block.text,
        re.IGNORECASE,
    )
    if match is not None and len(match.group("name").split()) <= 3 and may_be_person(_role(match.group("name"))):  # noqa: PLR2004
        _add(
            draft,
            _role(match.group("name")),
            *block.span(*match.span("name")),
            "actor-section",
            0.9,
            match.group("name"),
            block.text,
        )


def _role(name: str) -> str:
    roles = role_words(re.sub(r"^(?:an?|the|our)\s+", "", name.strip(), flags=re.IGNORECASE))
    return roles[0] if roles else ""


def _add(  # noqa: PLR0917 - the parts of one statement
    draft: Draft, words: str, start: int, end: int, rule: str, confidence: float, name: str, description: str = ""
) -> None:
    if not words or words in _NO_ROLES or _SYSTEM.match(words):
        return
    known = draft.actor(words)
    if known is not None and known.words == words:
        if description and not known.description:
            known.description = _described(description)
        return
    if known is not None and rule not in ("actor-section", "story-role"):
        return
    spelled = label(" ".join(singular(name.strip().lower()).split())) if rule == "actor-section" else label(words)
    made = ActorDraft(words, draft.trace(start, end, rule, confidence), spelled, _described(description))
    if made.name and all(other.name != made.name for other in draft.actors.values()):
        draft.actors[words] = made


def _speaks_of_machine(statement: Statement) -> bool:
    return statement.story is None and any(
        _OUTSIDE.match(singular(subject.name)) for clause in statement.clauses for subject in clause.subjects
    )


def _described(text: str) -> str:
    plain = text.strip().rstrip(".")
    return plain[:1].upper() + plain[1:] + "." if plain else ""


def _from_prose(draft: Draft, statement: Statement) -> None:
    for clause in statement.clauses:
        if (
            clause.verb in ("be", "have", "know", "forget")
            or verb_base(clause.verb.split(" ")[0], KNOWN_VERBS) not in KNOWN_VERBS
        ):
            continue
        if not clause.objects and not clause.prepositions:
            continue
        for subject in clause.subjects:
            words = singular(subject.name)
            outside = _OUTSIDE.match(words) is not None and draft.find(words) is None
            sure = is_person(words) or outside
            likely = may_be_person(words) and (not clause.passive or words.endswith("er")) and not draft.find(words)
            if any(singular(word) != word and is_person(singular(word)) for word in words.split(" ")[:-1]):
                continue
            if (
                subject.pronoun
                or not (sure or likely)
                or (draft.find(words) is not None and words.split(" ")[-1] not in PERSON_NOUNS)
            ):
                continue
            trace = statement.trace(draft, subject.start, subject.end, "subject-of-action", 0.8 if sure else 0.6)
            _add(draft, words, trace.start, trace.end, trace.rule, trace.confidence, words)
