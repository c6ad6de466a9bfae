"""How long a build takes and how much memory it needs.

    python benchmarks/build.py [VISION] [--json]

Three figures, with an empty data directory and a running machine:
    cold    `factory build` that starts the database, Ray and the pools, and prepares the test environment
    again   the same with the environment prepared by the first
    warm    a build in a factory that runs already (`factory up`), and the part of it that is not the product's tests
Memory is the largest sum, over the processes of the factory, of their proportional set sizes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
MIB = 1024 * 1024


class Memory:
    """Watches what all processes with our data directory in their environment take together."""

    def __init__(self, data_dir: Path) -> None:
        self._marker = str(data_dir)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak = 0

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; `peak` is then final."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            self.peak = max(self.peak, sum(self._sizes()))

    def _sizes(self) -> Iterator[int]:
        for process in psutil.process_iter():
            try:
                if process.environ().get("FACTORY_DATA_DIR") == self._marker:
                    yield process.memory_full_info().pss
            except psutil.Error:
                continue


def factory(*arguments: str, environment: dict[str, str]) -> dict[str, Any]:
    """Run a `factory` command that must succeed, and return what it prints."""
    command = [sys.executable, "-m", "factory", *arguments, "--json"]
    done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextmanager
def running(environment: dict[str, str]) -> Iterator[None]:
    """Keep a factory running."""
    factory("up", environment=environment)
    try:
        yield
    finally:
        factory("down", environment=environment)


def test_seconds(project_id: str, environment: dict[str, str]) -> float:
    """Return how long the step that runs the product's own tests took."""
    shown = factory("project", "show", project_id, environment=environment)
    return float(next(step["seconds"] for step in shown["steps"] if step["goal"] == "test-report"))


def timed(*arguments: str, environment: dict[str, str]) -> tuple[float, dict[str, Any]]:
    """Return how long a command took, and what it printed."""
    started = time.perf_counter()
    answer = factory(*arguments, environment=environment)
    return time.perf_counter() - started, answer


def measure(vision: Path, folder: Path) -> dict[str, float]:
    """Return the figures, in seconds and MiB."""
    environment = {**os.environ, "FACTORY_DATA_DIR": str(folder / "data")}
    memory = Memory(folder / "data")
    memory.start()
    build = ("build", str(vision), "--new", "--out")
    cold, _ = timed(*build, str(folder / "cold"), environment=environment)
    again, _ = timed(*build, str(folder / "again"), environment=environment)
    with running(environment):
        timed(*build, str(folder / "first"), environment=environment)
        warm, answer = timed(*build, str(folder / "second"), environment=environment)
        tests = test_seconds(answer["project_id"], environment)
    memory.stop()
    return {
        "cold_seconds": round(cold, 1),
        "again_seconds": round(again, 1),
        "warm_seconds": round(warm, 1),
        "warm_tests_seconds": round(tests, 1),
        "warm_without_tests_seconds": round(warm - tests, 1),
        "peak_memory_mib": round(memory.peak / MIB),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vision", nargs="?", type=Path, default=ROOT / "examples/visions/clinic.md")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="factory-bench-") as folder:
        figures = measure(arguments.vision.resolve(), Path(folder))
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:<28}{value:>8}")


if __name__ == "__main__":
    main()
