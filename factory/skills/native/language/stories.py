"""The story template: "As a <role> I want <goal> so that <benefit>", in the shapes people write it."""

import re
from dataclasses import dataclass

_ROLE = re.compile(
    r"\bas\s+(?:an?\s*(?:\(n\))?|the|one of the|our|any|every|a\(n\))?\s*(?P<role>[^,.;:]*?)\s*(?:,\s*|"
    r":\s*|\s+-\s+|\s+)"
    r"(?P<want>(?:\bI['\u2019]?d|\bI|\bwe|\bthey|\bhe|\bshe)\b(?:\s*\([^)]*\))?\s*(?:also\s+|only\s+|"
    r"really\s+|do not\s+|don['\u2019]?t\s+|never\s+)*"
    r"(?P<wish>(?:would\s+)?(?:want|wants|need|needs|wish|like|love|prefer|expect|must|should|can|could|"
    r"may|shall|will|am|have|be)\b"
    r"(?:\s+to\s+be\s+able|\s+be\s+able|\s+able|\s+allowed)?(?:\s+to\b)?)?)\s*",
    re.IGNORECASE,
)
_BENEFIT = re.compile(
    r"[,;.]?\s*(?:\band\s+)?(?:\b(?:so that|so I|so we|so they|so the|so my|so it|so users|so,|in order "
    r"to|in order that|in order for|because|such that|thereby|"
    r"which (?:lets|helps|allows) (?:me|us))\b)\s*(?P<that>that\s+)?,?",
    re.IGNORECASE,
)
_SO_SUBJECT = re.compile(r"so (?P<subject>I|we|they|the|my|it|users)$", re.IGNORECASE)
_LEAD = re.compile(r"^\s*in order (?:to|for|that)\s+(?P<benefit>.*?),\s*(?=as an?\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StoryParts:
    """Spans of a story's parts in its text; the goal begins after "I want to"."""

    role: tuple[int, int]
    goal: tuple[int, int]
    benefit: tuple[int, int] | None
    infinitive: bool
    wish: tuple[int, int] | None = None


def split_story(text: str) -> StoryParts | None:
    """Return the parts of a story, or None where the text is no story."""
    lead = _LEAD.match(text)
    match = _ROLE.search(text, lead.end() if lead else 0)
    if match is None or not match.group("role").strip() or len(match.group("role").split()) > 12:  # noqa: PLR2004 - a role
        return None
    if not match.group("wish") and not re.match(r"\s*to\b", text[match.end() :]):
        return None
    role_start, role_end = match.span("role")
    while role_start < role_end and text[role_end - 1] == " ":
        role_end -= 1
    goal_start, goal_end = match.end(), len(text)
    benefit: tuple[int, int] | None = lead.span("benefit") if lead else None
    found = _BENEFIT.search(text, goal_start)
    if found is not None and found.start() > goal_start:
        begin = found.end()
        subject = _SO_SUBJECT.search(text[found.start() : found.end()])
        if subject is not None:
            begin = found.start() + subject.start("subject")
        while begin < len(text) and text[begin] in " ,":
            begin += 1
        benefit = (begin, len(text)) if begin < len(text) else benefit
        goal_end = found.start()
    while goal_end > goal_start and text[goal_end - 1] in " .,;":
        goal_end -= 1
    if goal_end <= goal_start:
        return None
    wish = match.span("wish") if match.group("wish") else None
    phrase = (match.group("wish") or "").lower()
    infinitive = phrase.endswith(" to") or phrase in ("can", "must", "should", "could", "may", "shall", "will")
    return StoryParts((role_start, role_end), (goal_start, goal_end), benefit, infinitive, wish)
