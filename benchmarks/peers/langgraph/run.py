"""LangGraph: a graph of as many nodes as a chain has steps, with the PostgreSQL checkpointer.

Choices:
    - Durability "sync": a checkpoint is committed before the next node starts. The default, "async", writes while the
      next node runs and may lose the last one.
    - Connections as the checkpointer's documentation asks: autocommit and dictionary rows; prepared statements on.
    - `AsyncPostgresSaver` lets one coroutine at a time through, with a connection pool as well as with one connection.
      So there are several of them, each with a connection and a compiled graph of its own.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypedDict
from uuid import uuid4

from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg import AsyncConnection
from psycopg.rows import dict_row

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import peer

_SAVERS = 8
_CHAINS_PER_SAVER = 4


class Chain(TypedDict):
    """State of a chain: the step it has come to."""

    step: int


async def relay(state: Chain) -> dict[str, int]:
    """Take a step."""
    return {"step": state["step"] + 1}


def graph_of(steps: int, saver: AsyncPostgresSaver) -> Any:  # noqa: ANN401 - a compiled graph has four type arguments
    """Return a compiled graph of so many nodes in a row."""
    graph = StateGraph(Chain)
    names = [f"step-{number}" for number in range(steps)]
    for name in names:
        graph.add_node(name, relay)
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    return graph.compile(checkpointer=saver)


class LangGraph:
    """Chains as threads of graphs, spread over checkpointers.

    Args:
        savers: How many checkpointers there are, each with a connection.
    """

    def __init__(self, savers: int = _SAVERS) -> None:
        self._savers = savers

    async def open(self, dsn: str, number: int, steps: int) -> None:  # noqa: ARG002 - threads need no worker's number
        """Connect the checkpointers and compile a graph for each."""
        self._stack = AsyncExitStack()
        self._graphs = []
        for _ in range(self._savers):
            connecting = AsyncConnection.connect(dsn, autocommit=True, row_factory=dict_row)
            connection = await self._stack.enter_async_context(await connecting)
            self._graphs.append(graph_of(steps, AsyncPostgresSaver(connection)))

    async def run(self, chains: int) -> None:
        """Invoke a graph per chain; each checkpointer is given a few at a time."""
        left = iter(range(chains))

        async def lane(graph: Any) -> None:  # noqa: ANN401 - as above
            for _ in left:
                thread = {"configurable": {"thread_id": str(uuid4())}, "recursion_limit": 1000}
                await graph.ainvoke({"step": 0}, thread, durability="sync")

        await asyncio.gather(*(lane(graph) for graph in self._graphs for _ in range(_CHAINS_PER_SAVER)))

    async def close(self) -> None:
        """Close the connections."""
        await self._stack.aclose()


def prepare(dsn: str) -> None:
    """Make the checkpointer's tables."""
    with PostgresSaver.from_conn_string(dsn) as saver:
        saver.setup()


if __name__ == "__main__":
    peer.main(
        prepare,
        LangGraph,
        processes=2,
        at_once=_SAVERS * _CHAINS_PER_SAVER,
        documented=partial(LangGraph, savers=1),
    )
