"""Run the fault harness for as long as asked, in rounds of some minutes, each with a seed of its own.

`make chaos` calls it. Prints a line per fault and a verdict per round; ends with 1, and with the seed, at the first
round in which an invariant broke. The same seed and the same number of seconds give the same plan of faults.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.arena import Arena, Scale

_ROUND_SECONDS = 300.0


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run rounds until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--projects", type=int, default=2000)
    arguments = parser.parse_args()
    ends = time.monotonic() + arguments.seconds
    seed = arguments.seed
    while (left := ends - time.monotonic()) > 0:
        seconds = min(_ROUND_SECONDS, arguments.seconds, max(left, 10.0))
        say(f"round with seed {seed}, {seconds:.0f} s, {arguments.projects} projects")
        folder = Path(tempfile.mkdtemp(prefix="factory-chaos-"))
        scale = Scale(seconds, projects=arguments.projects, drain_seconds=120.0)
        verdict = asyncio.run(Arena(folder, seed, scale, say).run())
        for line in verdict.lines():
            say(line)
        if not verdict.ok:
            say(f"what it left is in {folder}")
            repeat = f"CHAOS_SECONDS={seconds:.0f} CHAOS_SEED={seed} CHAOS_PROJECTS={arguments.projects}"
            say(f"again with: make chaos {repeat}")
            return 1
        shutil.rmtree(folder)
        seed += 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
