"""How the factory's nodes follow its work: from none to as many as it needs, and back to none.

    python benchmarks/autoscale.py                          three projects, two nodes killed on the way
    python benchmarks/autoscale.py --projects 8 --kills 3 --json
    python benchmarks/autoscale.py --plot docs/benchmarks/autoscale.svg

Ray's autoscaler (version 2, as on the cluster) starts and ends raylets on this machine; its node types are the worker
groups of cluster/kuberay. Real agents build real projects from examples/visions/clinic.md. While they do, nodes are
killed with SIGKILL. The run fails, with exit code 1, where a project is not released, an event is lost or handled
twice, a dead letter is left, or a node stays.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import ray
from ray.actor import ActorHandle
from rich.console import Console

from benchmarks.contest.machine import machine
from benchmarks.scale.chart import write_chart
from benchmarks.scale.nodes import Cluster
from benchmarks.scale.projects import begin, outcome, standing
from benchmarks.scale.rehearsal import rehearse
from factory.actors.supervisor import SupervisorActor
from factory.service import FactoryService
from factory.settings import Settings

IDLE_SECONDS = 20.0
PATIENCE_SECONDS = 900


@dataclass(frozen=True)
class Sample:
    """What there was at one time.

    Attributes:
        second: Since the projects were handed in.
        backlog: Deliveries that wait or are worked on.
        actors: Of all pools.
        nodes: Without the head.
        killed: Nodes that were killed so far.
    """

    second: float
    backlog: int
    actors: int
    nodes: int
    killed: int


async def run(options: argparse.Namespace, folder: Path, console: Console) -> dict[str, Any]:
    """Build the projects on a cluster that begins and ends without nodes; return what was seen."""
    settings = Settings(data_dir=folder / "data", pool_idle_seconds=IDLE_SECONDS, memory="off")
    with Cluster(folder, idle_seconds=IDLE_SECONDS) as cluster:
        async with await FactoryService.open(settings) as factory:
            supervisor: Any = (
                ray.remote(SupervisorActor)
                .options(name="supervisor", num_cpus=0, max_restarts=-1, max_task_retries=2)
                .remote(settings, "supervisor")
            )
            await supervisor.sizes.remote()
            await begin(factory, options.projects, folder)
            samples = await _watch(factory, cluster, supervisor, options, console)
            found = await outcome(factory, options.projects)
            ray.kill(supervisor)
    faults = {
        "nodes left": samples[-1].nodes,
        "actors left": samples[-1].actors,
        "kills that found no node": options.kills - samples[-1].killed,
    }
    found["faults"] |= {name: number for name, number in faults.items() if number}
    return {
        "machine": machine(),
        "projects": options.projects,
        "seconds": samples[-1].second,
        "most_nodes": max(sample.nodes for sample in samples),
        "most_actors": max(sample.actors for sample in samples),
        "first_node_second": next((sample.second for sample in samples if sample.nodes), None),
        "released_second": next((sample.second for sample in samples if not sample.backlog), None),
        "killed": samples[-1].killed,
        **found,
        "samples": [asdict(sample) for sample in samples],
    }


async def _watch(
    factory: FactoryService, cluster: Cluster, supervisor: ActorHandle, options: argparse.Namespace, console: Console
) -> list[Sample]:
    chance = random.Random(options.seed)  # noqa: S311 - chooses victims
    started = time.monotonic()
    samples: list[Sample] = []
    killed = 0
    ended = False
    while time.monotonic() - started < PATIENCE_SECONDS:
        now = await standing(factory)
        sizes = await supervisor.sizes.remote()
        nodes = cluster.nodes()
        sample = Sample(
            round(time.monotonic() - started, 1),
            now.backlog,
            sum(size.size for size in sizes),
            sum(nodes.values()),
            killed,
        )
        samples.append(sample)
        console.print(
            f"{sample.second:6.1f} s: {sample.backlog:4} deliveries, {sample.actors:2} actors, {sample.nodes} nodes,"
            f" {now.released} of {options.projects} released"
        )
        ended = ended or now.ended >= options.projects
        if ended and not sample.nodes and not sample.actors:
            break
        busy = [size.agent for size in sizes if size.busy]
        lively = sorted(kind for kind, count in nodes.items() if count)
        # One after another, each once there was work since the last.
        due = killed < options.kills and sample.second > (killed + 1) * options.every
        if due and busy and lively and cluster.kill_one(victim := chance.choice(lively)):
            killed += 1
            console.print(f"         killed a node of {victim}")
        await asyncio.sleep(1)
    return samples


def main() -> int:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=int, default=3, help="handed in at once")
    parser.add_argument("--kills", type=int, default=2, help="nodes that are killed on the way")
    parser.add_argument("--every", type=float, default=20, help="seconds between kills, at least")
    parser.add_argument("--seed", type=int, default=1, help="chooses the nodes that are killed")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw backlog, actors and nodes over time")
    options = parser.parse_args()
    console = Console(stderr=True)
    found = rehearse(lambda folder: run(options, folder, console))
    if options.plot:
        write_chart(found, options.plot)
    if options.json:
        print(json.dumps(found))
    else:
        _show(found, Console())
    return 1 if found["faults"] else 0


def _show(found: dict[str, Any], console: Console) -> None:
    console.print(
        f"{found['projects']} projects: first node after {found['first_node_second']} s, at most"
        f" {found['most_nodes']} nodes with {found['most_actors']} actors, {found['killed']} nodes killed, nothing"
        f" left to do after {found['released_second']} s, no node left after {found['seconds']:g} s"
    )
    console.print(f"{found['deliveries']} deliveries were done; {found['attempts_repeated']} attempts were repeated")
    for name, number in found["faults"].items():
        console.print(f"[red]{name}: {number}[/red]")


if __name__ == "__main__":
    sys.exit(main())
