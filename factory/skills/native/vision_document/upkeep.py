"""What operations the vision needs besides those it names, and who may read."""

from factory.domain.product import OperationKind, RelationKind
from factory.skills.native.language.words import plural
from factory.skills.native.vision_document.assignments import main_actor
from factory.skills.native.vision_document.draft import (
    Draft,
    EntityDraft,
    OperationDraft,
)


def handlers(draft: Draft, entity: str) -> list[str]:
    """Return the roles that do anything with an entity, those that act on all its records first."""
    roles: list[str] = []
    for operation in draft.operations:
        if operation.entity == entity:
            roles.extend(actor for actor in operation.actors if actor not in roles)
    own = {
        actor
        for operation in draft.operations
        if operation.entity == entity
        for actor in operation.own - operation.foreign
    }
    return sorted(roles, key=lambda role: role in own)


def complete_operations(draft: Draft, entity: EntityDraft) -> None:
    """Add creation, reading and listing where nobody was said to do them, for the roles that handle the thing."""
    kinds = {operation.kind for operation in draft.operations if operation.entity == entity.words}
    silent = not kinds
    keepers = _keepers(draft, entity)
    added: list[str] = []
    if OperationKind.CREATE not in kinds:
        _assume(draft, entity, OperationKind.CREATE, "create", keepers)
        added.append("create")
    for kind, verb in ((OperationKind.LIST, "list"), (OperationKind.READ, "view")):
        if kind not in kinds:
            _assume(draft, entity, kind, verb, handlers(draft, entity.words) or keepers)
            added.append(verb)
    if silent:
        _assume(draft, entity, OperationKind.UPDATE, "update", keepers)
        added.append("update")
    if not added:
        return
    verbs = added[0] if len(added) == 1 else f"{', '.join(added[:-1])} and {added[-1]}"
    who = draft.actors[keepers[0]].label.lower()
    draft.note(
        entity.name,
        f"{plural(who).capitalize()} may {verbs} {plural(entity.words)}.",
        (
            f"The vision does not say who may {verbs.replace(' and ', ' or ')} {plural(entity.words)}, and a thing "
            f"that cannot be made and found is of no use."
        ),
        f'Say who does it, for example "{plural(who).capitalize()} {added[0]} {plural(entity.words)}."',
    )


def _assume(draft: Draft, entity: EntityDraft, kind: OperationKind, verb: str, actors: list[str]) -> None:
    made = OperationDraft(kind, verb, entity.words, entity.trace, list(actors), assumed=True)
    if kind in (OperationKind.LIST, OperationKind.READ):
        made.own = _owners(draft, entity) & set(actors)
    draft.operations.append(made)


def _keepers(draft: Draft, entity: EntityDraft) -> list[str]:
    """Return who looks after a thing: those who change all its records, else the main role, else its owners."""
    own = _owners(draft, entity)
    busy = (OperationKind.UPDATE, OperationKind.DELETE, OperationKind.CHANGE, OperationKind.TRANSITION)
    parents = [
        relation.target
        for relation in draft.relations_of(entity.words)
        if relation.on_delete == "cascade" and relation.kind is not RelationKind.MANY_TO_MANY
    ]
    makers = [
        role
        for operation in draft.operations
        if operation.entity in parents and operation.kind is OperationKind.CREATE
        for role in operation.actors
    ]
    if makers:
        return list(dict.fromkeys(makers))
    editing = [
        role
        for operation in draft.operations
        if operation.entity == entity.words and operation.kind in busy
        for role in operation.actors
        if role not in own
    ]
    return list(dict.fromkeys(editing))[:1] or [main_actor(draft)]


def _owners(draft: Draft, entity: EntityDraft) -> set[str]:
    return {
        actor
        for operation in draft.operations
        if operation.entity == entity.words
        for actor in operation.own - operation.foreign
    }


def open_reading(draft: Draft) -> None:
    """Let every role that handles a thing find it, and find what it must point at."""
    for entity in draft.entities.values():
        own = _owners(draft, entity)
        readers = handlers(draft, entity.words)
        for relation in draft.relations:
            makers = [
                role
                for operation in draft.operations
                if operation.entity == relation.source
                and operation.kind in (OperationKind.CREATE, OperationKind.CHANGE)
                for role in operation.actors
            ]
            if relation.target == entity.words and relation.kind is not RelationKind.MANY_TO_MANY and relation.required:
                readers += [role for role in makers if draft.actors[role].entity != entity.words]
        for operation in draft.operations:
            if operation.entity != entity.words or operation.kind not in (OperationKind.LIST, OperationKind.READ):
                continue
            added = [role for role in dict.fromkeys(readers) if role not in operation.actors]
            operation.actors.extend(added)
            operation.own |= own & set(added)
