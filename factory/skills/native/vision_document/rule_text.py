"""What the rules of policies share: which things a sentence names, and adding a policy once."""

import re

from factory.domain.product import (
    Condition,
    Invariant,
    RelatedLimit,
    StatedRule,
    UniqueTogether,
)
from factory.skills.native.language.names import snake_name, unique
from factory.skills.native.language.words import plural, singular
from factory.skills.native.vision_document.draft import Draft, EntityDraft, FieldDraft
from factory.skills.native.vision_document.readings import Statement


def add_policy(draft: Draft, policy: Invariant | UniqueTogether | RelatedLimit | StatedRule) -> bool:
    """Add a policy unless an equal one is there; always true."""
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


def mentioned_entities(draft: Draft, text: str) -> list[EntityDraft]:
    """Return the entities a text names, in its order."""
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


def field_named(entity: EntityDraft, words: str) -> FieldDraft | None:
    """Return the field of an entity that some words mean, or None."""
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


def as_sentence(text: str) -> str:
    """Return a text as one sentence with a capital and a full stop."""
    plain = re.sub(r"\s+(?=[.,;])", "", " ".join(text.split())).rstrip(".;")
    return f"{plain[:1].upper()}{plain[1:]}."


def said(statement: Statement) -> str:
    """Return the author's sentence, cleaned, for people who run into the rule."""
    return as_sentence(statement.original or statement.text)


def same_condition(left: Condition, right: Condition) -> bool:
    """Tell whether two conditions demand the same, in whatever words."""
    return left.model_dump(exclude={"statement"}) == right.model_dump(exclude={"statement"})
