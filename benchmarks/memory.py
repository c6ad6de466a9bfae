"""How fast semantic memory is, beside pgvector, LanceDB, Qdrant, hnswlib and Chroma in the same run.

    make bench-setup                        once: each peer into a virtual environment of its own
    python benchmarks/memory.py             100,000 vectors, three rounds, as a table
    python benchmarks/memory.py --quick --json
    python benchmarks/memory.py --size 1000000 --rounds 1 --only factory --only hnswlib --only pgvector

All store the same rows, mostly of real texts, and are asked the same queries; each one's knob is raised until it finds
99 % of what exact search finds. docs/benchmarks/memory.md tells what is measured and how each peer is used.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from rich.console import Console

from benchmarks.contest.machine import machine
from benchmarks.recall import report
from benchmarks.recall.contest import Contest, Plan
from benchmarks.recall.contestants import CONTESTANTS
from benchmarks.recall.data import DataPlan, prepare

QUICK = Plan(rounds=1, seconds=0.3, inserts=10, limit=42)
FULL = Plan(rounds=3, seconds=2, inserts=100)
_QUICK_DATA = DataPlan(size=20_000, real=2_048, queries=100)
_FULL_DATA = DataPlan(size=100_000, real=20_480, queries=300)


def main() -> None:
    """Measure and print."""
    began = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20,000 vectors, one short round: under a minute in all")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--only", action="append", choices=CONTESTANTS, help="leave the others out; may be repeated")
    parser.add_argument("--size", type=int, help="vectors stored")
    parser.add_argument("--real", type=int, help="how many texts are embedded; the other vectors lie between theirs")
    parser.add_argument("--queries", type=int, help="how many of the texts are searched with instead of stored")
    parser.add_argument("--vectors", type=Path, metavar="FILE.npy", help="unit vectors in place of embedded texts")
    parser.add_argument("--rounds", type=int, help="how often everything is repeated")
    parser.add_argument("--seconds", type=float, help="how long each rate is measured")
    parser.add_argument("--inserts", type=int, help="rows written one by one in each round")
    parser.add_argument("--cache", type=Path, default=Path("out/memory-recall"), help="keeps embedded texts and rows")
    parser.add_argument("--prepare", action="store_true", help="embed the texts of --quick and end")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    plan = plan.changed(rounds=options.rounds, seconds=options.seconds, inserts=options.inserts)
    default = _QUICK_DATA if options.quick or options.prepare else _FULL_DATA
    wanted = DataPlan(
        options.size or default.size,
        options.real or default.real,
        options.queries or default.queries,
        options.vectors,
    )
    console = Console(stderr=True)
    about = machine()
    data = prepare(wanted, options.cache.resolve())
    if options.prepare:
        return
    if plan.limit is not None:
        plan = plan.changed(limit=plan.limit - (time.perf_counter() - began))
    with tempfile.TemporaryDirectory(prefix="factory-bench-") as folder:
        # PostgreSQL runs under an account of its own where this is root.
        Path(folder).chmod(0o755)
        found = Contest(data, Path(folder), plan, console).run(options.only or CONTESTANTS)
    dimension = int(np.load(data / "vectors.npy", mmap_mode="r").shape[1])
    found["machine"] = about
    found["plan"] = {"size": wanted.size, "real": wanted.real, "dimension": dimension, "rounds": plan.rounds}
    if options.json:
        print(json.dumps(found))
    else:
        report.show(found)


if __name__ == "__main__":
    main()
