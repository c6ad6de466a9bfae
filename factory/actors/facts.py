"""Facts: what the supervisor looks up for agents, which have no database connection of their own.

An agent names the facts it needs in its `AgentSpec.facts`; they arrive in `Task.facts` under the same names.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from pydantic import JsonValue

from factory.events.delivery import Delivery
from factory.storage.database import Connection

# Reads, in one transaction with everything else that goes into the tasks, what a batch of deliveries needs; answers
# by uid. A delivery without an answer gets null.
FactProvider = Callable[[Connection, Sequence[Delivery]], Awaitable[Mapping[int, JsonValue]]]

FACTS: dict[str, FactProvider] = {}
