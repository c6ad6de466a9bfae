"""What is said about the product as a whole: title, summary, problem, goals, scope, qualities, glossary."""

import re
from collections.abc import Iterable

from factory.domain.product import NonFunctional, Term
from factory.skills.native.language.stories import split_story
from factory.skills.native.language.words import plural
from factory.skills.native.vision_document.draft import Draft
from factory.skills.native.vision_document.readings import is_as_is, is_excluded
from factory.skills.native.vision_document.sections import Section, heading_section, section_of
from factory.skills.native.vision_document.source import Block, BlockKind, sentences

_FIGURE = re.compile(
    r"(?:(?:in |within |under |below |less than |at least |at most |up to |no more than |over "
    r")*(?:\d[\d.,]*|one|two|three|five|ten)\s*(?:%|percent|per cent|ms|milliseconds?|seconds?|s\b|"
    r"minutes?|hours?|days?|months?|years?|"
    r"(?:concurrent |simultaneous |active |registered )?(?:users|requests|members|customers|devices|"
    r"people|visitors|sensors|records|messages|orders|transactions)(?: (?:per|a) (?:second|minute|hour|"
    r"day|month))?))",
    re.IGNORECASE,
)
_CATEGORIES: tuple[tuple[str, str], ...] = (
    ("compliance", (
            r"\bgdpr\b|\bhipaa\b|\bpci\b|\biso ?\d+|\bsox\b|regulat|complian|comply|\blegal|\blaw\b|audit trail|"
            r"retention|wcag|data protection act|ccpa"
        )),
    ("privacy", r"privacy|privat|personal data|anonym|consent|forgotten|confidential"),
    ("availability", r"availab|uptime|up \d|24/7|around the clock|downtime|outage|99[.,]"),
    ("performance", (
            r"\b(?:ms|milliseconds?|seconds?)\b|fast|quick|respon[sd]|latency|speed|performan|answers? in|real[- "
            r"]time|instantly"
        )),
    ("scalability", (
            r"concurrent|simultaneous|scal|peak|grow|per second|per minute|\d[\d.,]* (?:users|members|sensors|"
            r"devices|requests|visitors|people|customers|records|orders)"
        )),
    ("security", (
            r"secur|encrypt|password|authenti|authoris|authoriz|two-factor|2fa|sign-on|token|tls|https|permission|"
            r"log(?:ged)? in"
        )),
    ("usability", (
            r"usab|easy to|accessib|phone|mobile|screen reader|language|translat|intuitive|training|older people|"
            r"without instruction|one hand|offline"
        )),
    ("operations", (
            r"backup|backed up|monitor|deploy|restore|logging|log files|observab|maintenance|migrat|"
            r"export.*(?:csv|archive)|kubernetes|docker|cloud|postgres"
        )),
)  # fmt: skip


def find_qualities(draft: Draft, blocks: tuple[Block, ...]) -> list[NonFunctional]:
    """Return the non-functional requirements, from their section and from sentences with a figure or a law."""
    found: list[NonFunctional] = []
    for block in blocks:
        section = section_of(block)
        if block.kind is BlockKind.HEADING or section in (
            Section.OUT_OF_SCOPE,
            Section.GLOSSARY,
            Section.PROBLEM,
            Section.ENTITIES,
            Section.STORIES,
        ):
            continue
        for sentence in sentences(block):
            if is_excluded(sentence.text) or is_as_is(sentence.text) or len(sentence.text.split()) < 3:  # noqa: PLR2004
                continue
            category = category_of(sentence.text, strict=section is not Section.QUALITIES)
            if category is None:
                continue
            figure = _FIGURE.search(sentence.text)
            span = sentence.span(0, len(sentence.text))
            found.append(
                NonFunctional.model_validate(
                    {
                        "id": f"NFR-{len(found) + 1}",
                        "category": category,
                        "statement": _tidy(sentence.text),
                        "measure": figure.group().strip() if figure is not None else None,
                        "trace": draft.trace(*span, "quality", 1.0 if section is Section.QUALITIES else 0.8),
                    }
                )
            )
    return found


def category_of(text: str, *, strict: bool) -> str | None:
    """Return the category of quality a sentence speaks of; `strict` asks for a figure, a law or a plain demand."""
    lower = text.lower()
    if strict:
        known = re.search(
            (
                r"\bgdpr\b|\bhipaa\b|\bpci\b|wcag|uptime|\d[\d.,]* ?%? (?:of the time|uptime|availab)|encrypt|"
                r"backed up|\bbackups?\b|two-factor|data protection"
            ),
            lower,
        )
        timed = re.search(r"\b(?:\d+|one|two|three|five|a) ?(?:ms|milliseconds?|seconds?)\b", lower) and re.search(
            r"within|under|less than|in at most|answer|respon|load|faster|below", lower
        )
        load = re.search(
            (
                r"\d[\d.,]* (?:concurrent|simultaneous|active)? ?(?:users|requests|visitors|devices|"
                r"sensors)\b.*(?:same time|concurrent|per second|at once|second|support|handle|cope)|"
                r"(?:support|handle|cope|serve)\D{0,30}\d[\d.,]* (?:concurrent |simultaneous )?(?:users|"
                r"requests|visitors|devices|sensors|members)"
            ),
            lower,
        )
        usable = re.search(
            (
                r"\b(?:service|system|app|product|website|platform|it|software)\b.{0,20}\b(?:must|has to|"
                r"should|needs to)\b.{0,30}\b(?:easy|simple|accessib|usable|fast|quick|secure|work (?:on|"
                r"offline|without))|easy to use"
            ),
            lower,
        )
        if not (known or timed or load or usable):
            return None
    for category, pattern in _CATEGORIES:
        if re.search(pattern, lower):
            return category
    return None if strict else "operations"


def find_glossary(draft: Draft, blocks: tuple[Block, ...]) -> list[Term]:
    """Return the terms of a glossary section, and "by X we mean Y" sentences."""
    found: dict[str, Term] = {}
    for block in blocks:
        if block.kind is BlockKind.HEADING:
            continue
        if section_of(block) is Section.GLOSSARY:
            if block.kind is BlockKind.ROW and len(block.cells) > 1:
                (a, b), (c, d) = block.cells[:2]
                if not re.match(r"(?:term|word|name)s?$", block.text[a:b].lower()):
                    _term(draft, found, block, block.text[a:b], block.text[c:d])
                continue
            match = re.match(
                r"(?P<term>[^:–—]{1,50}?)\s*(?::|\s[-–—]{1,2}\s|\s=\s|\s(?:is|are|means)\s)\s*(?P<text>.+)$",  # noqa: RUF001 - authors write dashes
                block.text,
            )
            if match is not None:
                _term(draft, found, block, match.group("term"), match.group("text"))
            continue
        for sentence in sentences(block):
            match = re.match(
                r"(?:By|With) (?:an? |the )?['\"]?(?P<term>[\w -]+?)['\"]? we mean (?P<text>.+)$", sentence.text
            )
            match = match or re.match(
                r"(?:An? |The )?['\"](?P<term>[\w -]+)['\"] (?:means|is|refers to) (?P<text>.+)$", sentence.text
            )
            match = match or re.match(r"(?:An? )?(?P<term>[\w -]{2,30}?) means (?P<text>.+)$", sentence.text)
            if match is not None:
                _term(draft, found, block, match.group("term"), match.group("text"))
    return list(found.values())


def _term(draft: Draft, found: dict[str, Term], block: Block, term: str, text: str) -> None:
    words = term.strip(" *_`\"'")
    if words and words.lower() not in found and text.strip():
        found[words.lower()] = Term(
            term=words, definition=_tidy(text), trace=draft.trace(*block.span(0, len(block.text)), "glossary", 1.0)
        )


def find_title(draft: Draft, name_hint: str | None) -> str:
    """Return the product's name: front matter, first heading, what was given, or a plain word."""
    source = draft.source
    if source.name:
        return source.name
    heading = next((block for block in source.blocks if block.kind is BlockKind.HEADING), None)
    if (
        heading is not None
        and heading.level == 1
        and (heading_section(heading.text) is Section.PROSE or heading is source.blocks[0])
    ):
        title = re.sub(
            (
                r"^(?:product\s+)?(?:vision|brief|product brief|prd|spec(?:ification)?)\s*(?:for|of|:|"
                r"[-–—])?\s*(?:the\s+)?"  # noqa: RUF001 - authors write dashes
            ),
            "",
            heading.text,
            flags=re.IGNORECASE,
        )
        title = re.sub(
            r"\s*[-–—:]\s*(?:product )?(?:vision|brief|spec).*$|\s+(?:product )?vision(?: document)?$",  # noqa: RUF001 - authors write dashes
            "",
            title,
            flags=re.IGNORECASE,
        )
        title = re.split(r"\s+[-–—]\s+|:\s+", title)[0].strip()  # noqa: RUF001 - authors write dashes
        if re.search(r"[A-Za-z0-9]", title) and len(title) <= 60:  # noqa: PLR2004 - a name
            return title
    first = next((block.text for block in source.blocks if block.kind is BlockKind.PARAGRAPH), "")
    labelled = re.match(
        (
            r"(?:product|project|name|title|app|service)(?: name)?\s*:\s*(?P<name>[A-Z]\w*(?: "
            r"[A-Z]\w*){0,3}?)(?=\s(?:We|A|An|The|This|It|Our)\b|\s*[.,;–-]|$)"  # noqa: RUF001 - authors write dashes
        ),
        first,
        re.IGNORECASE,
    )
    if labelled is not None:
        return labelled.group("name")
    if name_hint and re.search(r"[A-Za-z0-9]", name_hint):
        plain = re.sub(r"[-_]+", " ", re.sub(r"\.\w+$", "", name_hint)).strip()
        return plain[:1].upper() + plain[1:]
    for block in source.blocks:
        match = re.match(
            r"(?P<name>[A-Z]\w+(?: [A-Z]\w+)?) (?:is|helps|lets|gives|replaces|allows|keeps)\b", block.text
        )
        if match is not None and match.group("name") not in ("This", "It", "There", "The", "Our", "We"):
            return match.group("name")
    draft.note(
        "name",
        "The product is called Product.",
        "The vision has no name and no heading.",
        "Put 'name: Your name' between two '---' lines at the top.",
    )
    return "Product"


def find_summary(draft: Draft, title: str) -> str:
    """Return the first paragraph that tells what the product is."""
    paragraphs = [
        block
        for block in draft.source.blocks
        if block.kind is BlockKind.PARAGRAPH
        and section_of(block)
        not in (
            Section.OUT_OF_SCOPE,
            Section.QUALITIES,
            Section.GLOSSARY,
            Section.STORIES,
            Section.ACTORS,
            Section.ENTITIES,
            Section.RULES,
        )
    ]
    for block in paragraphs:
        for sentence in sentences(block):
            if (
                re.match(
                    (
                        rf"(?:the )?{re.escape(title.lower())}\b|(?:we (?:want|need|are building|build)|this "
                        rf"(?:product|service|system|app)|the (?:service|system|product|app|platform))\b"
                    ),
                    sentence.text.lower(),
                )
                and len(sentence.text.split()) > 5  # noqa: PLR2004 - a length of a word or name
                and category_of(sentence.text, strict=True) is None
                and not _RULING.search(sentence.text)
            ):
                return _tidy(sentence.text)
    paragraphs = [block for block in paragraphs if split_story(block.text) is None]
    paragraphs = [block for block in paragraphs if not _RULING.search(sentences(block)[0].text)]
    if paragraphs and len(paragraphs[0].text.split()) > 3:  # noqa: PLR2004 - a sentence
        return _tidy(" ".join(sentence.text for sentence in sentences(paragraphs[0])[:2]))
    things = _series([plural(entity.words) for entity in list(draft.entities.values())[:4]])
    people = _series([plural(actor.label.lower()) for actor in list(draft.actors.values())[:4]])
    return f"{title} keeps {things} for {people}."


_RULING = re.compile(r"\b(?:must|cannot|can't|may only|can only|shall|may not|never)\b")


def _series(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def find_problem(draft: Draft) -> str:
    """Return what is wrong today, from its section or from sentences that tell how things are."""
    told = [
        sentence.text
        for block in draft.source.blocks
        if block.kind is not BlockKind.HEADING and section_of(block) is Section.PROBLEM
        for sentence in sentences(block)
    ]
    if not told:
        told = _as_is(draft.source.blocks)
    return " ".join(_tidy(text) for text in told[:4])


def _as_is(blocks: Iterable[Block]) -> list[str]:
    found: list[str] = []
    for block in blocks:
        if block.kind is not BlockKind.PARAGRAPH:
            continue
        for sentence in sentences(block):
            wished = re.search(r"\b(?:should|can|must|may|marks?|will|shall|only)\b", sentence.text) is not None
            if is_as_is(sentence.text) or (
                not wished
                and re.search(
                    (
                        r"\b(?:problem|too often|nobody|by hand|on paper|spreadsheets?|paper|lost|forgotten|phone "
                        r"calls|tired of|mess|chaos)\b"
                    ),
                    sentence.text.lower(),
                )
            ):
                found.append(sentence.text)
    return found


def find_goals(draft: Draft) -> list[str]:
    """Return the goals the vision lists."""
    return [_tidy(text) for block, text in _texts(draft.source.blocks) if section_of(block) is Section.GOALS]


def find_out_of_scope(draft: Draft) -> list[str]:
    """Return what the vision says is not wanted."""
    found = [
        _tidy(text)
        for block, text in _texts(draft.source.blocks)
        if section_of(block) is Section.OUT_OF_SCOPE
        or (
            is_excluded(text)
            and split_story(block.text) is None
            and section_of(block) not in (Section.GLOSSARY, Section.STORIES, Section.ENTITIES)
        )
    ]
    return list(dict.fromkeys(found))


def _texts(blocks: Iterable[Block]) -> Iterable[tuple[Block, str]]:
    for block in blocks:
        if block.kind is BlockKind.HEADING:
            continue
        for sentence in sentences(block):
            yield block, sentence.text


def _tidy(text: str) -> str:
    plain = text.strip()
    plain = plain[:1].upper() + plain[1:]
    return plain if plain.endswith((".", "!", "?")) else f"{plain.rstrip(' ;,:')}."
