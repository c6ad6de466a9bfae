"""Sentences of the vision, parsed, with who speaks and where they stand."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from factory.domain.product import Trace
from factory.skills.native.language.clauses import Clause, Phrase, clauses
from factory.skills.native.language.lexicon import EVALUATIVE_ADJECTIVES, KNOWN_VERBS, is_person
from factory.skills.native.language.parser import parse
from factory.skills.native.language.stories import StoryParts, split_story
from factory.skills.native.language.words import is_plural, singular, verb_base
from factory.skills.native.vision_document.draft import Draft, StoryDraft
from factory.skills.native.vision_document.sections import Section, section_of
from factory.skills.native.vision_document.source import Block, BlockKind, Sentence, sentences

_AS_IS = re.compile(
    (
        r"^(?:today|currently|at the moment|right now|at present|so far|until now|until today|now(?:adays)?|"
        r"these days|in the past|last (?:year|month|week|summer|winter))\b"
    ),
    re.IGNORECASE,
)
_EXCLUDED = re.compile(
    r"\b(?:out of scope|not (?:be )?(?:needed|required|part of|in scope|included|supported|planned)|"
    r"do(?:es)? not need|don't need|no need (?:for|to)|"
    r"without any|will not (?:have|do|support|offer|include)|won't|not in the first (?:version|release)|"
    r"(?:comes?|later) in a later (?:version|release)|"
    r"later (?:version|release)|we do not (?:want|sell|send|handle|offer|plan|need|do|support|take|"
    r"process)|we don't (?:want|sell|send|handle|offer|plan|do)|"
    r"is not (?:planned|included|our job|part)|are not (?:planned|included|part)|no .{3,60} in the first "
    r"(?:version|release)|not yet|may come later|for now we (?:skip|leave))\b",
    re.IGNORECASE,
)
_SPEAKER_HEADING = re.compile(
    (
        r"^(?:as (?:an?|the) |for (?:an?|the)? ?|an? |the )?(?P<role>[A-Za-z' -]+?)(?:\s+(?:can|may|must|"
        r"should|want(?:s)? to|need(?:s)? to|stories|features|side|view|is able to|are able to).*)?:?$"
    ),
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence, parsed.

    Attributes:
        text: What was parsed; `shift` turns its offsets into offsets of the sentence. Brackets are blanked in it,
            and stand in `original`.
        speakers: Roles that "I", "they" or an elided subject stand for, in words.
        story: Id of the user story it is the goal of.
    """

    sentence: Sentence
    section: Section
    text: str
    shift: int
    clauses: tuple[Clause, ...]
    speakers: tuple[str, ...] = ()
    story: str | None = None
    original: str = ""

    def trace(self, draft: Draft, start: int, end: int, rule: str, confidence: float) -> Trace:
        """Return a trace of a span of the parsed text."""
        limit = len(self.sentence.text)
        begin, stop = (min(max(0, offset + self.shift), limit) for offset in (start, end))
        return draft.trace(*self.sentence.span(begin, stop), rule, confidence)

    def whole(self, draft: Draft, rule: str, confidence: float) -> Trace:
        """Return a trace of the whole sentence."""
        return draft.trace(*self.sentence.span(0, len(self.sentence.text)), rule, confidence)


def role_words(text: str) -> tuple[str, ...]:
    """Return the roles a story's "as a ..." names, in the singular, without adjectives of circumstance."""
    plain = re.split(
        r"\s+(?:who|that|which|with|without|in the|on the|at the|of the|looking|using|trying|wanting)\b|\(",
        text.lower(),
    )[0]
    found: list[str] = []
    for part in re.split(r"\s*(?:/|\bor\b|\band\b|,)\s*(?:an?\s+|the\s+)?", plain):
        words = [word for word in re.findall(r"[\w\u00c0-\u024f'-]+", part) if word not in {"a", "an", "the"}]
        while len(words) > 1 and words[0] in EVALUATIVE_ADJECTIVES:
            words = words[1:]
        if words:
            found.append(singular(" ".join(words)))
    return tuple(dict.fromkeys(found))


def is_excluded(text: str) -> bool:
    """Tell whether a sentence says that something is not wanted."""
    return bool(_EXCLUDED.search(text))


def is_as_is(text: str) -> bool:
    """Tell whether a sentence tells how things are today, before the product."""
    return bool(_AS_IS.search(text))


def read_statements(draft: Draft, blocks: tuple[Block, ...], declared: set[int]) -> list[Statement]:
    """Parse every sentence that may say what people do or what must hold; add the written stories."""
    found: list[Statement] = []
    lead: tuple[str, ...] = ()
    title = next((block.text for block in blocks if block.kind is BlockKind.HEADING and block.level == 1), "")
    for index, block in enumerate(blocks):
        if block.kind is BlockKind.HEADING:
            lead = ()
            continue
        if index in declared:
            continue
        section = section_of(block)
        if section is Section.GLOSSARY:
            continue
        if block.kind is BlockKind.PARAGRAPH:
            lead = _lead_in(block.text)
        speakers = lead if block.kind is BlockKind.ITEM and lead else _heading_speaker(block, title)
        found.extend(_statements(draft, block, section, speakers))
    return found


def _statements(draft: Draft, block: Block, section: Section, speakers: tuple[str, ...]) -> Iterator[Statement]:
    pieces = _stories_of(block)
    if pieces:
        for piece in pieces:
            story = split_story(piece.text)
            if story is not None:
                yield _story(draft, piece, story)
        return
    if section is Section.OUT_OF_SCOPE:
        return
    if section is Section.ACTORS and block.kind is BlockKind.ROW and len(block.cells) > 1:
        yield from _of_role(block)
        return
    last: Phrase | None = None
    duties = _duties(block)
    if duties is not None:
        name, parts = duties
        for part in parts:
            yield _role_statement(Sentence(part, 0, part.text), section, name, part.text, 0)
        return
    for sentence in sentences(block):
        made = _statement(sentence, section, speakers, block)
        made = replace(made, clauses=tuple(_with_object(clause, last) for clause in made.clauses))
        yield made
        last = _spoken_of(made) or last


def _of_role(block: Block) -> Iterator[Statement]:
    """Read a table row "| Technician | Registers samples, enters results |" as what the role does."""
    (begin, end), *rest = block.cells
    roles = role_words(block.text[begin:end])
    for start, stop in rest:
        for sentence in sentences(block.part(start, stop)) if roles else ():
            yield _role_statement(sentence, Section.ACTORS, roles[0], sentence.text, 0)


def _duties(block: Block) -> tuple[str, list[Block]] | None:
    """Split "Observers: visit stations, fill in checklists, report incidents" into the role and what it does."""
    label = re.match(r"([A-Z][\w' -]{1,40}?)\s*:\s+(?=\S)", block.text)
    name = singular(label.group(1).lower()) if label is not None else ""
    if label is None or not is_person(name) or re.search(r"[.;]\s", block.text):
        return None
    starts = [label.end()]
    starts += [match.end() for match in re.finditer(r",\s+(?:and\s+)?", block.text[: len(block.text)])]
    starts = [start for start in starts if start >= label.end()]
    firsts = [re.split(r"[\s,]", block.text[start:], maxsplit=1)[0].lower() for start in starts]
    acting = all(
        (first in KNOWN_VERBS or verb_base(first, KNOWN_VERBS) in KNOWN_VERBS) and first != "and" for first in firsts
    )
    if len(starts) < 2 or not acting:  # noqa: PLR2004 - one duty needs no splitting
        return None
    ends = [*starts[1:], len(block.text)]
    return name, [
        part
        for start, end in zip(starts, ends, strict=True)
        for part in [block.part(start, end - len(block.text[start:end]) + len(block.text[start:end].rstrip(" ,")))]
    ]


def _with_object(clause: Clause, thing: Phrase | None) -> Clause:
    """Let "it" and "them" mean the thing that the sentence before spoke of, where their own sentence names none."""
    if thing is None or not any(phrase.pronoun for phrase in clause.objects):
        return clause
    objects = tuple(
        replace(phrase, name=thing.name, pronoun=False, plural=thing.plural, owner=thing.owner)
        if phrase.pronoun and phrase.name in ("it", "them")
        else phrase
        for phrase in clause.objects
    )
    return replace(clause, objects=objects)


def _spoken_of(statement: Statement) -> Phrase | None:
    """Return the thing a sentence is about: its first object, else its subject, that is no person."""
    named = [
        phrase
        for clause in statement.clauses
        for phrase in ((*clause.objects, *clause.subjects) if clause.verb != "be" else clause.subjects)
    ]
    return next((phrase for phrase in named if not phrase.pronoun and not is_person(phrase.name)), None)


_STORY_START = re.compile(
    r"(?:^|(?<=[.!?;:] )|(?<=[.!?;:]))(?:[\w.#-]{1,10}[:.)# ] ?)?(?:In order (?:to|for)\b[^.]{3,120}?, "
    r"?)?[Aa]s (?:an?|the|any|every) [^.,;:]{2,70}?[,:]? (?:I|we|they)\b"
)


def _stories_of(block: Block) -> list[Block]:
    """Return the stories of a block, several where a paragraph holds one per line."""
    starts = [match.start() for match in _STORY_START.finditer(block.text)]
    if not starts:
        return [block] if split_story(block.text) is not None and len(block.text) < _LONGEST_STORY else []
    ends = [*starts[1:], len(block.text)]
    return [
        block.part(start, end)
        for start, end in zip(starts, ends, strict=True)
        if split_story(block.text[start:end]) is not None
    ]


_LONGEST_STORY = 400


def _story(draft: Draft, block: Block, parts: StoryParts) -> Statement:
    text = block.text
    roles = role_words(text[slice(*parts.role)]) or ("user",)
    number = sum(not story.derived for story in draft.stories) + 1
    identifier = f"US-{number}"
    begin = max(text.lower().find("as "), 0)
    begin = min(begin, parts.benefit[0] if parts.benefit else begin, parts.role[0])
    draft.stories.append(
        StoryDraft(
            id=identifier,
            actor=roles[0],
            goal=text[slice(*parts.goal)],
            benefit=text[slice(*parts.benefit)].rstrip(" .") if parts.benefit else None,
            trace=draft.trace(*block.span(begin, len(text)), "story-template", 1.0),
        )
    )
    goal_start, goal_end = parts.goal
    goal = text[goal_start:goal_end]
    prefix = "I want to " if parts.infinitive else "I want "
    original = f"{prefix}{goal}."
    parsed = _without_brackets(original)
    sentence = Sentence(block, 0, text)
    kept = tuple(clause for clause in clauses(parse(parsed)) if clause.start >= len(prefix) or not parts.infinitive)
    return Statement(sentence, Section.STORIES, parsed, goal_start - len(prefix), kept, roles, identifier, original)


def _statement(sentence: Sentence, section: Section, speakers: tuple[str, ...], block: Block) -> Statement:
    text = sentence.text
    labelled = re.match(r"(?P<name>[A-Z][\w' -]{1,40}?)(?:s|\(s\))?\s*(?::|\s[-–—])\s+(?P<body>\S.*)$", text)  # noqa: RUF001 - authors write dashes
    if labelled is not None and sentence.start == 0 and not _acts(labelled.group("name")):
        name = singular(labelled.group("name").lower())
        body = labelled.group("body")
        if section is Section.ACTORS or is_person(name):
            return _role_statement(sentence, section, name, body, labelled.start("body"))
        return _parsed(sentence, section, body, labelled.start("body"), speakers)
    granted = _GRANTED.match(text)
    if granted is not None:
        said = f"{granted.group('who')[:1].upper()}{granted.group('who')[1:]} can "
        return _parsed(sentence, section, said + text[granted.end() :], granted.end() - len(said), speakers)
    first = re.split(r"[\s,]", text, maxsplit=1)[0].lower().strip(":")
    if (first in KNOWN_VERBS and block.kind is BlockKind.ITEM and not is_plural(first)) or (
        speakers and first in KNOWN_VERBS
    ):
        prefix = "They can "
        return _parsed(sentence, section, prefix + text[:1].lower() + text[1:], -len(prefix), speakers)
    return _parsed(sentence, section, text, 0, speakers)


def _acts(name: str) -> bool:
    """Tell whether what stands before a colon says what a person does: "Technician records a calibration"."""
    words = name.lower().split(" ")
    verbs = (verb_base(word, KNOWN_VERBS) in KNOWN_VERBS for word in words[1:-1])
    return len(words) > 2 and is_person(singular(words[0])) and any(verbs)  # noqa: PLR2004 - subject, verb, object


def _role_statement(sentence: Sentence, section: Section, name: str, body: str, start: int) -> Statement:
    """Read what follows a role's name: "registers samples", "can approve results", "an engineer of the depot"."""
    first = re.split(r"[\s,]", body, maxsplit=1)[0].lower()
    plain = verb_base(first, KNOWN_VERBS)
    if first in KNOWN_VERBS or plain in KNOWN_VERBS or first in ("can", "may", "must", "also"):
        many = first in KNOWN_VERBS and first == plain
        prefix = "They can " if many and first not in ("can", "may", "must", "also") else f"The {name} "
        spoken = body if prefix.startswith("The") and body[:1].islower() else body[:1].lower() + body[1:]
        return _parsed(sentence, section, prefix + spoken, start - len(prefix), (name,))
    return _parsed(sentence, section, body, start, (name,))


# "The system shall allow a donor to book a slot", "The platform must let the coordinator see all bookings".
_GRANTED = re.compile(
    r"(?:the |our |this )?(?:system|application|service|app|platform|software|product|solution|tool|site)\s+"
    r"(?:shall|must|should|will|can|has to|needs to)?\s*(?:allows?|enables?|lets?|permits?)\s+"
    r"(?P<who>(?:(?:an?|the|all|every|each)\s+)?[\w-]+(?: [\w-]+){0,2}?(?:(?:,| and| or) (?:an? |the )?[\w-]+){0,3})"
    r"\s+(?:to\s+(?:be able to\s+)?|(?=(?:see|view|find|book|create|edit|manage|add|cancel|search|record|list)\b))",
    re.IGNORECASE,
)


def _parsed(sentence: Sentence, section: Section, text: str, shift: int, speakers: tuple[str, ...]) -> Statement:
    plain = _without_brackets(text)
    return Statement(sentence, section, plain, shift, tuple(clauses(parse(plain))), speakers, original=text)


def _without_brackets(text: str) -> str:
    """Blank what stands in brackets, so that the sentence around it parses; offsets stay."""
    return re.sub(r"\([^()]*\)", lambda match: " " * len(match.group()), text)


def _lead_in(text: str) -> tuple[str, ...]:
    """Return the roles of a lead-in such as "Receptionists can:" that speaks for the list below."""
    match = re.match(
        (
            r"^(?P<who>[A-Za-z' ,-]+?)\s+(?:can|may|must|should|need to|needs to|want to|wants to|is able to|"
            r"are able to|will)(?:\s+\w+){0,2}:$"
        ),
        text,
    )
    if match is None:
        return ()
    roles = role_words(match.group("who"))
    return tuple(role for role in roles if is_person(role))


def _heading_speaker(block: Block, title: str) -> tuple[str, ...]:
    for heading in reversed(block.path):
        match = _SPEAKER_HEADING.match(heading) if heading != title else None
        if match is not None:
            roles = tuple(role for role in role_words(match.group("role")) if is_person(role))
            if roles and len(match.group("role").split()) <= 3:  # noqa: PLR2004 - a role's name
                return roles
    return ()
