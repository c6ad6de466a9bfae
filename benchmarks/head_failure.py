"""What becomes of work in flight when the head of the Ray cluster is lost.

    python benchmarks/head_failure.py
    python benchmarks/head_failure.py --projects 6 --away 20 --json

A head, whose state is in Redis, and a node with a supervisor and the pools build real projects. Meanwhile every
process of the head is killed with SIGKILL; after a while another one starts in its place. The run fails, with exit
code 1, where a project is not released, or a delivery is lost, done twice or given up.
"""

import argparse
import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console

from benchmarks.contest.machine import machine
from benchmarks.scale.fixed import FixedCluster
from benchmarks.scale.projects import begin, outcome, reached, standing
from benchmarks.scale.rehearsal import rehearse, tell
from factory.service import FactoryService
from factory.settings import Settings

PATIENCE_SECONDS = 600
# Run by a process of its own: one that is connected to the head ends with it.
_SUPERVISE = """
import sys, ray
from factory.actors.supervisor import SupervisorActor
from factory.settings import Settings
ray.init(address=sys.argv[1], namespace="factory", log_to_driver=False, logging_level="ERROR")
options = dict(name="supervisor", lifetime="detached", num_cpus=0, resources={"core": 1}, max_restarts=-1)
settings = Settings.model_validate_json(sys.argv[2])
supervisor = ray.remote(SupervisorActor).options(**options).remote(settings, "supervisor")
ray.get(supervisor.sizes.remote(), timeout=120)
"""
_PING = """
import sys, ray
ray.init(address=sys.argv[1], namespace="factory", log_to_driver=False, logging_level="ERROR")
@ray.remote(num_cpus=0, resources={"utility": 1})
class Probe:
    def answer(self): return 1
ray.get(Probe.remote().answer.remote(), timeout=300)
"""


async def run(options: argparse.Namespace, folder: Path, console: Console) -> dict[str, Any]:
    """Build projects, take the head away and give another; return what was seen."""
    settings = Settings(data_dir=folder / "data", memory="off")
    async with await FactoryService.open(settings) as factory:
        with FixedCluster(folder) as cluster:
            _connected(cluster, _SUPERVISE, settings.model_dump_json())
            await begin(factory, options.projects, folder)
            killed = await reached(factory, lambda now: now.done >= options.after, PATIENCE_SECONDS)
            cluster.kill_head()
            lost = time.monotonic()
            console.print(f"the head is gone after {killed.done} deliveries")
            await asyncio.sleep(options.away)
            away = await standing(factory)
            console.print(f"{away.done - killed.done} deliveries were done without a head")
            back = time.monotonic()
            await asyncio.to_thread(cluster.start_head)
            up = time.monotonic()
            console.print(f"another head is up after {up - back:.1f} s")
            await asyncio.to_thread(_connected, cluster, _PING)
            answers = time.monotonic()
            console.print(f"a new actor answered {answers - back:.1f} s after a head was started")
            now = await reached(factory, lambda now: now.ended >= options.projects, PATIENCE_SECONDS)
            console.print(f"{now.released} of {options.projects} released")
            found = await outcome(factory, options.projects)
    return {
        "machine": machine(),
        "projects": options.projects,
        "done_before": killed.done,
        "done_without_head": away.done - killed.done,
        "seconds_without_head": round(back - lost, 1),
        "head_start_seconds": round(up - back, 1),
        "recovery_seconds": round(answers - back, 1),
        **found,
    }


def _connected(cluster: FixedCluster, program: str, *arguments: str) -> None:
    """Run a program that connects to the cluster, again where there is no head yet."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        done = subprocess.run(
            [sys.executable, "-c", program, cluster.address, *arguments],
            env=cluster.environment,
            cwd=Path(__file__).resolve().parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(done.stderr)
        time.sleep(0.5)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=int, default=3, help="handed in at once")
    parser.add_argument("--after", type=int, default=12, help="deliveries that are done when the head goes")
    parser.add_argument("--away", type=float, default=10, help="seconds without a head")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    found = rehearse(lambda folder: run(options, folder, Console(stderr=True)))
    tell(found, as_json=options.json)
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
