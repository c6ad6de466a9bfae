"""How fast the factory's engine is, beside LangGraph, DBOS, pgqueuer and procrastinate in the same run.

    make bench-setup                        once: each peer into a virtual environment of its own
    python benchmarks/engine.py             every measurement, three rounds, as a table
    python benchmarks/engine.py --quick --json
    python benchmarks/engine.py --growth    the factory with millions of events behind it, against an empty database
    python benchmarks/engine.py --telemetry what traces and figures cost
    python benchmarks/engine.py --only factory --profile

All run on one embedded PostgreSQL with its durable settings, one database per contestant. docs/benchmarks/engine.md
tells what is measured and how each peer is used.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console

from benchmarks.contest import report
from benchmarks.contest.chart import write_chart
from benchmarks.contest.contest import Contest, Plan
from benchmarks.contest.growth import measure_growth
from benchmarks.contest.machine import machine
from benchmarks.contest.peers import AS_DOCUMENTED, PEERS
from benchmarks.contest.server import Server
from benchmarks.contest.telemetry import measure_telemetry

CONTESTANTS = ("factory", *PEERS, *AS_DOCUMENTED)
QUICK = Plan(rounds=1, seconds=2.5, chains=15)
FULL = Plan(rounds=3, seconds=10, chains=100, model_steps=6)


async def run(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Measure what the options ask for, and return it."""
    plan = QUICK if options.quick else FULL
    plan = plan.changed(
        rounds=options.rounds, seconds=options.seconds, chains=options.chains, model_steps=options.model_steps
    )
    console = Console(stderr=True)
    with Server.running(folder) as server:
        found: dict[str, object] = {"machine": {**machine(), "postgresql": await server.settings()}}
        if options.growth:
            growth = await measure_growth(
                server, folder, events=options.events, deliveries=options.deliveries, plan=plan, console=console
            )
            return {"growth": growth, **found}
        if options.telemetry:
            return {"telemetry": await measure_telemetry(server, folder, plan=plan, console=console), **found}
        contest = Contest(server, folder, plan, console, profile=options.profile)
        return {**await contest.run(options.only or CONTESTANTS), **found}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round: under a minute in all")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--only", action="append", choices=CONTESTANTS, help="leave the others out; may be repeated")
    parser.add_argument("--profile", action="store_true", help="tell where the supervisor's time goes (needs py-spy)")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the figures as well")
    parser.add_argument("--growth", action="store_true", help="compare a full database with an empty one")
    parser.add_argument("--telemetry", action="store_true", help="compare with a factory that tells nothing of itself")
    parser.add_argument("--events", type=int, default=10_000_000, help="logged events of the full database")
    parser.add_argument("--deliveries", type=int, default=1_000_000, help="finished deliveries of the full database")
    parser.add_argument("--rounds", type=int, help="how often each measurement is repeated")
    parser.add_argument("--seconds", type=float, help="how long each throughput measurement takes")
    parser.add_argument("--chains", type=int, help="how many chains run alone, one after another")
    parser.add_argument("--model-steps", type=int, help="steps of the chains that wait as for a model; 0 for none")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="factory-bench-") as folder:
        # PostgreSQL runs under an account of its own where this is root.
        Path(folder).chmod(0o755)
        found = asyncio.run(run(options, Path(folder)))
    if options.json:
        print(json.dumps(found))
    else:
        report.show(found)
    if options.plot:
        write_chart(found, options.plot)


if __name__ == "__main__":
    main()
