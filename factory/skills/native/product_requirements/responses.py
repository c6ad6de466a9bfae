"""What the system does when an operation succeeds, as the second half of an EARS sentence."""

from factory.domain.product import DomainModel, Operation, OperationKind, RelationKind
from factory.skills.native.rendering.english import field_words, listing, words
from factory.skills.native.rendering.obstacles import Obstacles
from factory.skills.native.rendering.phrases import Phrases


class Responses:
    """Writes responses for the operations of one model, without their full stop."""

    def __init__(self, model: DomainModel, phrases: Phrases, obstacles: Obstacles) -> None:
        self.model = model
        self.phrases = phrases
        self.obstacles = obstacles

    def of(self, operation: Operation) -> str:
        """Return the response, such as `store the appointment in the state “booked”`."""
        effect = self._effect(operation)
        events = self.obstacles.events(operation)
        if not events:
            return effect
        noun = "event" if len(events) == 1 else "events"
        return f"{effect}{',' if ',' in effect else ''} and publish the {noun} {listing(events)}"

    def _effect(self, operation: Operation) -> str:
        noun = self.phrases.noun(operation.entity)
        if operation.kind is OperationKind.CREATE:
            return f"store the {noun}{self._contents(operation)}{self._initial(operation)}"
        if operation.kind is OperationKind.DELETE:
            return f"remove the {noun}{self._consequences(operation)}"
        if operation.kind is OperationKind.TRANSITION:
            return self._move(operation)
        if operation.kind is OperationKind.CHANGE:
            changed = listing([field_words(name) for name in (*operation.fields, *operation.relations)])
            return f"store the new {changed} of the {noun}" if changed else f"record it on the {noun}"
        nouns = self.phrases.nouns(operation.entity)
        return {
            OperationKind.READ: f"return that {noun}",
            OperationKind.LIST: f"return {nouns} page by page, filtered and sorted as asked",
            OperationKind.UPDATE: f"store the new values of the {noun}",
        }[operation.kind]

    def _contents(self, operation: Operation) -> str:
        required = set(self.obstacles.required(operation))
        written = [field.name for field in self.obstacles.written_fields(operation)]
        linked = [relation.name for relation in self.obstacles.written_relations(operation)]
        always = [field_words(name) for name in written if name in required]
        perhaps = [field_words(name) for name in written if name not in required]
        text = f" with the {listing(always)}" if always else ""
        if perhaps:
            text += f"{' and' if always else ' with'}, where given, the {listing(perhaps)}"
        if linked:
            owners = listing([f"the {field_words(name)}" for name in linked if name in required])
            others = listing([f"the {field_words(name)}" for name in linked if name not in required])
            text += f", linked to {owners}" if owners else ""
            text += f"{' and' if owners else ', linked'}, where given, to {others}" if others else ""
        return text

    def _initial(self, operation: Operation) -> str:
        lifecycle = self.model.lifecycle_of(operation.entity)
        if lifecycle is None:
            return ""
        comma = "," if self._contents(operation) else ""
        return f"{comma} in the state {self.phrases.state(lifecycle.initial)}"

    def _consequences(self, operation: Operation) -> str:
        gone, emptied = [], []
        for relation in self.model.relations:
            if relation.target == operation.entity and relation.kind is not RelationKind.MANY_TO_MANY:
                nouns = self.phrases.nouns(relation.source)
                if relation.on_delete == "cascade":
                    gone.append(nouns)
                elif relation.on_delete == "set-null":
                    emptied.append(f"the {words(relation.name)} of its {words(relation.inverse)}")
        text = f" together with its {listing(list(dict.fromkeys(gone)))}" if gone else ""
        return text + (f" and leave empty {listing(emptied)}" if emptied else "")

    def _move(self, operation: Operation) -> str:
        step, noun = self.obstacles.step(operation), self.phrases.noun(operation.entity)
        if step is None:
            return f"record it on the {noun}"
        sources, target = self.phrases.states(step.transition.sources), self.phrases.state(step.transition.target)
        return f"move the {noun} from {sources} to {target}"
