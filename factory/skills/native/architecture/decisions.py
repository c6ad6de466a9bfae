"""Decision records: those every service of this kind makes, and those this model causes."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from factory.skills.native.architecture.facts import Facts
from factory.skills.native.rendering.english import capitalised, count, listing, words
from factory.skills.native.rendering.markdown import one_line

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision record; every sentence is plain text.

    Attributes:
        earlier: The decision on the same question in an earlier project, in words.
    """

    number: int
    title: str
    context: str
    choice: str
    consequences: tuple[str, ...]
    earlier: str = ""

    @property
    def file_name(self) -> str:
        """Name of the record's file, such as 0003-jwt-with-roles.md."""
        words_of_title = re.findall(r"[a-z0-9]+", self.title.lower())
        return f"{self.number:04d}-{'-'.join(words_of_title)[:60].strip('-')}.md"


class _Record(NamedTuple):
    title: str
    context: str
    choice: str
    consequences: tuple[str, ...]


def decide(facts: Facts) -> tuple[Decision, ...]:
    """Return the decisions of the service, general ones first."""
    makers: tuple[Callable[[Facts], Iterator[_Record]], ...] = (
        _database,
        _layers,
        _tokens,
        _problems,
        _outbox,
        _lifecycles,
        _uniqueness,
        _limits,
        _ownership,
        _join_entities,
        _links,
        _circles,
        _deletion,
        _decimals,
        _personal_data,
        _unenforced,
    )
    records = [record for maker in makers for record in maker(facts)]
    return tuple(
        Decision(
            number,
            record.title,
            one_line(record.context),
            one_line(record.choice),
            tuple(one_line(line) for line in record.consequences),
        )
        for number, record in enumerate(records, start=1)
    )


def _database(facts: Facts) -> Iterator[_Record]:
    links = sum(relation.required for relation in facts.model.relations)
    needs = f"{count(links, 'required link')} between them" if links else "rules that look at several records at once"
    yield _Record(
        "Keep the data in PostgreSQL",
        f"The product keeps {count(len(facts.model.entities), 'kind')} of record, with {needs}. "
        "A change must be stored as a whole or not at all.",
        "PostgreSQL in production; SQLite for development and for tests without a server. The URL in DATABASE_URL "
        "decides. Alembic migrations own the schema, on both.",
        (
            "References, uniqueness and transactions are the database's work, not the application's.",
            "Whatever only one of the two databases can do stays out of the code, or the tests run it on PostgreSQL.",
            "The service needs a migration step before each release.",
        ),
    )


def _layers(facts: Facts) -> Iterator[_Record]:
    yield _Record(
        "Separate domain, persistence, API and events",
        "The rules of the product must be readable and testable without a web framework or a database.",
        f"Four packages under src/{facts.package}: domain imports none of the others, api puts them together. "
        "A test reads the imports and fails when one points the wrong way.",
        (
            "A rule is changed in one place and tested without a server.",
            "A record exists in two forms, a row and a schema, which the API module translates.",
        ),
    )


def _tokens(facts: Facts) -> Iterator[_Record]:
    roles = listing([actor.name for actor in facts.model.actors])
    yield _Record(
        "Authenticate with JWT that carry a role",
        f"The product distinguishes {roles}. Accounts, passwords and sign-in are not part of it.",
        "The service takes bearer tokens that someone else issues. The claim role names one of the roles; with "
        "AUTH_JWKS_URL the tokens are signed by the identity provider (RS256 or ES256), without it by a shared secret "
        "(HS256).",
        (
            "The service stores no password and has no sign-in page.",
            "A role taken away counts from the next token on, so tokens should be short-lived.",
            "In production the service does not start with the development secret.",
        ),
    )


def _problems(_: Facts) -> Iterator[_Record]:
    yield _Record(
        "Answer errors with problem documents",
        "A client must be able to tell a malformed request from a broken rule without reading English.",
        "Every error is an RFC 9457 document (application/problem+json) whose type names the reason: 422 for a "
        "request that breaks its schema, 409 for one that breaks a rule or meets the wrong state, and 401, 403 and "
        "404 as usual.",
        (
            "A refusal is raised in the domain as an exception and becomes HTTP in one place.",
            "The API specification lists the problems each operation can answer with.",
        ),
    )


def _outbox(facts: Facts) -> Iterator[_Record]:
    if not facts.has_events:
        return
    names = [event.name for event in facts.design.events[:_EXAMPLES]]
    more = len(facts.design.events) - _EXAMPLES
    told = listing([*names, f"{more} more"] if more > 0 else names)
    yield _Record(
        "Publish events through an outbox",
        f"Others learn of what happened from events: {told}. A crash between the database and the receiver must "
        "neither lose an event nor announce a change that was rolled back.",
        "An event is a row of the table outbox, written in the transaction of the change it reports. A relay process "
        "sends the rows, oldest first, to EVENT_WEBHOOK_URL, or prints them where that is not set.",
        (
            "Delivery is at least once: receivers must ignore an id they have seen.",
            "Events are late by the relay's pause, one second by default.",
            "The relay runs beside the API; several relays share the work through row locks.",
        ),
    )


def _lifecycles(facts: Facts) -> Iterator[_Record]:
    kept = [resource for resource in facts.design.resources if resource.lifecycle]
    if not kept:
        return
    nouns = listing([facts.phrases.nouns(resource.entity.name) for resource in kept])
    steps = [endpoint.path for _, endpoint in facts.endpoints if endpoint.step]
    example = f", such as POST {steps[0]}" if steps else ""
    yield _Record(
        "Change states by named transitions only",
        f"The states of {nouns} follow rules: where one may go depends on where it is.",
        f"The state is not a field that clients write. Each transition is an operation of its own{example}, with "
        "its own permission, guards and event; the row is locked while its state is checked.",
        (
            "Two requests that race cannot both leave the same state.",
            "A state that no transition leads to cannot be reached through the API.",
        ),
    )


def _uniqueness(facts: Facts) -> Iterator[_Record]:
    if not facts.uniques:
        return
    statements = "; ".join(unique.statement.rstrip(".") for _, unique in facts.uniques)
    partial = [unique for _, unique in facts.uniques if unique.except_states]
    extra = " Records in states that do not count are left out of the index." if partial else ""
    yield _Record(
        "Let the database hold uniqueness",
        f"The product promises: {statements}.",
        "A unique index holds each promise. The application looks first, only to give a better answer; the index "
        f"closes the race between two requests.{extra}",
        (
            "The promise holds for data that enters past the API, too.",
            "A lost race answers 409 without naming the field.",
        ),
    )


def _limits(facts: Facts) -> Iterator[_Record]:
    limits = [limit for resource in facts.design.resources for limit in resource.limits]
    if not limits:
        return
    statements = "; ".join(limit.statement.rstrip(".") for limit in limits)
    shared = listing(
        list(dict.fromkeys(words(limit.member.relation.name) for limit in limits if limit.member.relation))
    )
    yield _Record(
        "Count under a lock where a number is limited",
        f"The product promises: {statements}. Two requests that count at the same time would both find room.",
        f"The service locks the shared record ({shared}) before it counts.",
        (
            "Requests for the same shared record wait for one another; requests for others do not.",
            "On SQLite, which locks as a whole, the same code is merely slower.",
        ),
    )


def _ownership(facts: Facts) -> Iterator[_Record]:
    lines = [
        capitalised(
            f"{facts.phrases.a(resource.entity.name)} belongs to {facts.phrases.an_actor(owner.role)} if "
            f"{facts.ownership(resource, owner.role)}"
        )
        for resource in facts.design.resources
        for owner in resource.ownerships
    ]
    if not lines:
        return
    yield _Record(
        "Derive ownership from relations",
        "Some roles may touch their own records alone.",
        f"Ownership is a condition on the data, not a list of permissions. {'. '.join(lines)}. The caller's own "
        "record is named by the token's claim entity_id.",
        (
            "Lists are narrowed in SQL; anything else on a foreign record answers 403.",
            "A record that changes hands changes its owner at once.",
            "The identity provider must put entity_id into the tokens of these roles.",
        ),
    )


def _join_entities(facts: Facts) -> Iterator[_Record]:
    for relation in facts.joined:
        name = str(relation.join_entity)
        left, right = facts.phrases.nouns(relation.source), facts.phrases.nouns(relation.target)
        yield _Record(
            f"Make {name} an entity of its own",
            f"{left} and {right} are linked many to many, and the link has a life of its own.".capitalize(),
            f"{name} is an entity with its own table, operations and rules, and refers to either side.",
            (
                "The link can carry values, states and permissions.",
                "A query from one side to the other joins two tables.",
            ),
        )


def _links(facts: Facts) -> Iterator[_Record]:
    if not facts.plain_links:
        return
    pairs = listing([f"{rel.source}.{rel.name}" for rel in facts.plain_links])
    yield _Record(
        "Keep plain links in link tables",
        f"{pairs}: many to many, and nothing is known about the link itself.",
        "A link table with two columns, written together with the record that owns the list of ids.",
        ("If the link ever needs a value of its own, it has to become an entity.",),
    )


def _circles(facts: Facts) -> Iterator[_Record]:
    if not facts.relaxed:
        return
    yield _Record(
        "Relax references that close a circle",
        f"Every one of them is required: {facts.relation_words(facts.relaxed)}. No first record could ever be stored.",
        "The reference that closes the circle may be empty.",
        ("The API accepts a record without it; whoever needs it complete has to check.",),
    )


def _deletion(facts: Facts) -> Iterator[_Record]:
    if not facts.held_back and not facts.cascading:
        return
    parts = []
    if facts.held_back:
        targets = listing(list(dict.fromkeys(facts.phrases.nouns(rel.target) for rel in facts.held_back)))
        parts.append(f"Deleting {targets} is refused while other records refer to them")
    if facts.cascading:
        gone = listing(list(dict.fromkeys(facts.phrases.nouns(rel.source) for rel in facts.cascading)))
        parts.append(f"{gone} go with what they belong to")
    yield _Record(
        "Delete only what nothing refers to" if facts.held_back else "Delete what belongs to a record with it",
        "Deleting a record must not leave others that point to nothing.",
        f"{'. '.join(part[:1].upper() + part[1:] for part in parts)}. Foreign keys hold this in the database.",
        ("Deletion is final: there is no recycle bin and no history besides the events.",)
        if facts.has_events
        else ("Deletion is final: there is no recycle bin and no history.",),
    )


def _decimals(facts: Facts) -> Iterator[_Record]:
    if not facts.exact_numbers:
        return
    others = ", among others," if len(facts.exact_numbers) > _EXAMPLES else ""
    yield _Record(
        "Send exact numbers as strings",
        f"{listing(facts.exact_numbers[:_EXAMPLES])}{others} must not be rounded by a client that reads JSON numbers "
        "as floating point.",
        "NUMERIC in the database, Decimal in Python, a string with a pattern in JSON.",
        ("Clients parse the string themselves.", "One currency is assumed; amounts carry none."),
    )


def _personal_data(facts: Facts) -> Iterator[_Record]:
    if not facts.personal:
        return
    fields = listing([f"{entity}.{name}" for entity, names in facts.personal for name in names])
    leaving = listing(facts.personal_in_events)
    out = (
        f"{leaving} carry some of it to whoever receives the events."
        if leaving
        else ("No event carries any of it." if facts.has_events else "It leaves the service through the API only.")
    )
    yield _Record(
        "Mark personal data in the model",
        f"These fields are personal data: {fields}.",
        f"They are marked in .factory/domain-model.json. {out} Request logs hold method, path, status and time, and "
        "no body.",
        (
            "Erasing a person means deleting or overwriting these fields; the list says where.",
            "Backups and receivers of events are outside the service and need rules of their own.",
        ),
    )


def _unenforced(facts: Facts) -> Iterator[_Record]:
    if not facts.design.unenforced:
        return
    yield _Record(
        "Leave some stated rules to people",
        f"The vision states rules that the model cannot express: {' '.join(facts.design.unenforced)}",
        "They are documented and not enforced.",
        ("Someone has to watch them, or the vision has to say them more precisely.",),
    )
