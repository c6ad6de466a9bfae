"""What the gateway costs, beside a bare hello-world of FastAPI on Ray Serve in the same run.

    python benchmarks/gateway.py                      latency and throughput, three rounds
    python benchmarks/gateway.py --quick --json       one short round
    python benchmarks/gateway.py --streams 1000       so many readers of one project's events at once
    python benchmarks/gateway.py --soak 30            minutes of mixed load while replicas are killed

A read of the gateway is authenticated, authorised, counted against a limit, audited and answered from PostgreSQL.
docs/benchmarks/gateway.md tells what is measured, and how.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console

from benchmarks.contest.machine import machine
from benchmarks.door import report
from benchmarks.door.plan import FULL, QUICK
from benchmarks.door.soak import soak
from benchmarks.door.stage import stage
from benchmarks.door.streams import follow_all
from benchmarks.door.versus import compare


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round: under a minute in all")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, help="how often everything is repeated")
    parser.add_argument("--seconds", type=float, help="how long each rate is measured")
    parser.add_argument("--streams", type=int, metavar="READERS", help="follow a project's events with so many readers")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="mixed load while replicas are killed")
    options = parser.parse_args()
    plan = (QUICK if options.quick else FULL).changed(rounds=options.rounds, seconds=options.seconds)
    console = Console(stderr=True)
    found: dict[str, object] = {"machine": machine()}
    with stage(replicas=2 if options.soak else 1) as door:
        if options.streams:
            found["streams"] = follow_all(door, options.streams, console)
        elif options.soak:
            found["soak"] = soak(door, options.soak * 60, console)
        else:
            found["versus"] = compare(door, plan, console)
    if options.json:
        print(json.dumps(found))
    else:
        report.show(found)


if __name__ == "__main__":
    main()
