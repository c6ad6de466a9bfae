"""Run the fault harness for as long as asked, in rounds of some minutes, each with a seed of its own.

`make chaos` calls it. Prints a line per fault and a verdict per round; ends with 1, and with the seed, at the first
round in which an invariant broke. The same seed and the same number of seconds give the same plan of faults.
"""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.arena import Arena, Scale
from tests.faults.garden import Garden, Plot

_ROUND_SECONDS = 300.0
_LEAST_SECONDS = 20.0
# Of a round, for the bus alone; the rest is for real hosts, whose faults and recoveries take seconds each.
_BUS_SHARE = 0.6
_SECONDS_PER_PROJECT = 1.5


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def play(folder: Path, seed: int, seconds: float, projects: int) -> bool:
    """Run both loads with a seed, one after the other; True if every invariant held."""
    bus, engine = folder / "bus", folder / "engine"
    bus.mkdir()
    engine.mkdir()
    scale = Scale(_BUS_SHARE * seconds, projects=projects, drain_seconds=120.0)
    say(f"bus: {scale.seconds:.0f} s, {projects} projects, seed {seed}")
    verdict = asyncio.run(Arena(bus, seed, scale, say).run())
    for line in verdict.lines():
        say(line)
    if not verdict.ok:
        return False
    left = seconds - scale.seconds
    plot = Plot(left, projects=max(10, int(left / _SECONDS_PER_PROJECT)), hosts=2, drain_seconds=300.0)
    say(f"engine: {plot.seconds:.0f} s, {plot.projects} projects, {plot.hosts} hosts, seed {seed}")
    verdict = asyncio.run(Garden(engine, seed, plot, say).run())
    for line in verdict.lines():
        say(line)
    return verdict.ok


def main() -> int:
    """Run rounds until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--projects", type=int, default=2000)
    arguments = parser.parse_args()
    # Told to stop, it still ends everything that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    ends = time.monotonic() + arguments.seconds
    seed = arguments.seed
    while (left := ends - time.monotonic()) > 0:
        seconds = max(_LEAST_SECONDS, min(_ROUND_SECONDS, left))
        folder = Path(tempfile.mkdtemp(prefix="factory-chaos-"))
        if not play(folder, seed, seconds, arguments.projects):
            say(f"what it left is in {folder}")
            repeat = f"CHAOS_SECONDS={seconds:.0f} CHAOS_SEED={seed} CHAOS_PROJECTS={arguments.projects}"
            say(f"again with: make chaos {repeat}")
            return 1
        shutil.rmtree(folder)
        seed += 1
    say("every invariant held")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
