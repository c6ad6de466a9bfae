"""What is true of the generated service, read off its design: nothing is claimed that does not follow from it."""

from factory.domain.product import DomainModel, FieldType, Relation, RelationKind
from factory.skills.native.rendering.english import count, listing, words
from factory.skills.native.rendering.obstacles import Obstacles
from factory.skills.native.rendering.phrases import Phrases
from factory.skills.native.service_design.design import design_service
from factory.skills.native.service_design.ordering import relaxed_references
from factory.skills.native.service_design.parts import Endpoint, HopKind, Resource, Unique

_DECIMALS = frozenset({FieldType.MONEY, FieldType.DECIMAL})


class Facts:
    """Answers questions about one service."""

    def __init__(self, model: DomainModel) -> None:
        self.model = model
        self.design = design_service(model)
        self.phrases = Phrases(model)
        self.obstacles = Obstacles(model, self.phrases)

    @property
    def package(self) -> str:
        """The service's Python package."""
        return self.design.package

    @property
    def routed(self) -> tuple[Resource, ...]:
        """Resources that have endpoints."""
        return tuple(resource for resource in self.design.resources if resource.endpoints)

    @property
    def endpoints(self) -> tuple[tuple[Resource, Endpoint], ...]:
        """Every endpoint with its resource."""
        return tuple((resource, endpoint) for resource in self.design.resources for endpoint in resource.endpoints)

    @property
    def has_events(self) -> bool:
        """Whether the service publishes anything."""
        return bool(self.design.events)

    @property
    def uniques(self) -> tuple[tuple[Resource, Unique], ...]:
        """Everything the database keeps unique."""
        return tuple((resource, unique) for resource in self.design.resources for unique in resource.uniques)

    @property
    def plain_links(self) -> tuple[Relation, ...]:
        """Many-to-many relations kept in a table without a life of its own."""
        return tuple(
            relation
            for relation in self.model.relations
            if relation.kind is RelationKind.MANY_TO_MANY and relation.join_entity is None
        )

    @property
    def joined(self) -> tuple[Relation, ...]:
        """Many-to-many relations that an entity of the domain realises."""
        return tuple(relation for relation in self.model.relations if relation.join_entity)

    @property
    def relaxed(self) -> tuple[Relation, ...]:
        """Required relations that close a circle, which the service stores as optional."""
        names = relaxed_references(self.model)
        return tuple(relation for relation in self.model.relations if (relation.source, relation.name) in names)

    @property
    def held_back(self) -> tuple[Relation, ...]:
        """Relations that stop the deletion of their target."""
        return self._deleting("restrict")

    @property
    def cascading(self) -> tuple[Relation, ...]:
        """Relations whose source goes with their target."""
        return self._deleting("cascade")

    def _deleting(self, what: str) -> tuple[Relation, ...]:
        deletable = {resource.entity.name for resource, point in self.endpoints if point.kind == "delete"}
        return tuple(
            relation
            for relation in self.model.relations
            if relation.on_delete == what
            and relation.target in deletable
            and relation.kind is not RelationKind.MANY_TO_MANY
        )

    @property
    def personal(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Entities with the names of their fields that hold personal data."""
        found = (
            (entity.name, tuple(field.name for field in entity.fields if field.personal_data))
            for entity in self.model.entities
        )
        return tuple((entity, fields) for entity, fields in found if fields)

    @property
    def personal_in_events(self) -> tuple[str, ...]:
        """Events that carry personal data out of the service."""
        personal = {(entity, name) for entity, fields in self.personal for name in fields}
        return tuple(
            event.name for event in self.design.events if any((event.entity, name) in personal for name in event.fields)
        )

    @property
    def exact_numbers(self) -> tuple[str, ...]:
        """Fields that are kept and sent as exact decimals, as `Invoice.total`."""
        return tuple(
            f"{entity.name}.{field.name}"
            for entity in self.model.entities
            for field in entity.fields
            if field.type in _DECIMALS
        )

    def ownership(self, resource: Resource, role: str) -> str:
        """Return how the service finds out that a record belongs to a caller of the role."""
        paths = next(owner.paths for owner in resource.ownerships if owner.role == role)
        return listing([self._path(resource, path) for path in paths], "or")

    def _path(self, resource: Resource, path: tuple[object, ...]) -> str:
        hops = [hop for owner in resource.ownerships for found in owner.paths if found is path for hop in found]
        noun = self.phrases.noun(resource.entity.name)
        if hops[0].kind is HopKind.SELF:
            return f"the {noun} is the caller's own record"
        if hops[0].kind is HopKind.CREATOR:
            return f"the caller created the {noun}"
        steps = " → ".join(hop.member for hop in hops)
        return f"{steps} leads to the caller's own record"

    def size(self) -> str:
        """Return the size of the product in one phrase."""
        parts = [
            count(len(self.model.entities), "kind") + " of record",
            count(len(self.endpoints), "operation"),
            count(len(self.model.actors), "role"),
        ]
        if self.has_events:
            parts.append(count(len(self.design.events), "event"))
        return listing(parts)

    def relation_words(self, relations: tuple[Relation, ...]) -> str:
        """Return relations as `the team of an employee`."""
        return listing([f"the {words(rel.name)} of {self.phrases.a(rel.source)}" for rel in relations])
