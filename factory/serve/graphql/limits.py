"""What a query may cost, told before it runs."""

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    parse,
)

from factory.domain.errors import BadInputError

MOST_DEPTH = 8
MOST_ALIASES = 20
MOST_TOKENS = 2_000
MOST_COST = 5_000
MOST_BYTES = 20_000
_PAGE = 20
# Fields that answer with a page of `first` items.
_PAGED = frozenset({"projects", "artifacts", "versions", "events", "tasks", "escalations"})


def check_cost(query: str, variables: Mapping[str, Any]) -> None:
    """Make sure that a query does not ask for too much: each field counts once for every item it is answered for.

    Raises:
        BadInputError: It is too long, cannot be read, or asks for too much.
    """
    if len(query) > MOST_BYTES:
        raise BadInputError(f"the query is longer than {MOST_BYTES:,} characters.", field="query")
    try:
        document = parse(query, max_tokens=MOST_TOKENS)
    except Exception as error:  # noqa: BLE001 - whatever the parser raises, deep nesting included
        raise BadInputError(f"the query cannot be read: {str(error).splitlines()[0]}", field="query") from None
    cost = _Cost(document, variables).total()
    if cost > MOST_COST:
        raise BadInputError(
            f"the query costs {cost:,}, and may cost {MOST_COST:,}.",
            remedy="Ask for fewer items (`first`) or fewer fields.",
            field="query",
        )


class _Cost:
    def __init__(self, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._variables = variables

    def total(self) -> int:
        return sum(self._selected(operation.selection_set, ()) for operation in self._operations)

    def _selected(self, selection: SelectionSetNode | None, within: tuple[str, ...]) -> int:
        if selection is None:
            return 0
        # A query that names fragments in one another without end is refused by validation; here it ends.
        if len(within) > MOST_DEPTH:
            return MOST_COST + 1
        cost = 0
        for node in selection.selections:
            if isinstance(node, FieldNode):
                cost += 1 + self._times(node) * self._selected(node.selection_set, within)
            elif isinstance(node, InlineFragmentNode):
                cost += self._selected(node.selection_set, within)
            elif isinstance(node, FragmentSpreadNode) and node.name.value in self._fragments:
                name = node.name.value
                if name in within:
                    return MOST_COST + 1
                cost += self._selected(self._fragments[name].selection_set, (*within, name))
            if cost > MOST_COST:
                return cost
        return cost

    def _times(self, node: FieldNode) -> int:
        if node.name.value not in _PAGED:
            return 1
        for argument in node.arguments or ():
            if argument.name.value != "first":
                continue
            value = argument.value
            if isinstance(value, IntValueNode):
                return max(1, int(value.value))
            if isinstance(value, VariableNode):
                given = self._variables.get(value.name.value)
                return max(1, given) if isinstance(given, int) else _PAGE
        return _PAGE
