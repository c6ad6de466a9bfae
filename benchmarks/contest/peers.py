"""The peers: each runs `benchmarks/peers/<name>/run.py` in a virtual environment of its own."""

import asyncio
import json
from pathlib import Path

from benchmarks.contest.figures import Figure

ROOT = Path(__file__).resolve().parents[2]
PEERS = ("langgraph", "dbos", "pgqueuer", "procrastinate")
# As their documentation shows them, in one process; the others have as many as serve them best.
AS_DOCUMENTED = {"langgraph-as-documented": "langgraph", "dbos-as-documented": "dbos"}
_PATIENCE_SECONDS = 300


class PeerError(Exception):
    """A peer's script failed."""


def python_of(peer: str) -> Path:
    """Return the interpreter of a peer's environment, whether it is there or not."""
    return ROOT / ".venv-bench" / peer / "bin" / "python"


def is_installed(peer: str) -> bool:
    """Tell whether `make bench-setup` has finished for a peer."""
    return (ROOT / ".venv-bench" / AS_DOCUMENTED.get(peer, peer) / ".installed").exists()


async def run(peer: str, dsn: str, *, seconds: float, chains: int, steps: int) -> dict[str, Figure]:
    """Measure a peer on an empty database.

    Returns:
        Its figures by measurement: `throughput` and `chain`.

    Raises:
        PeerError: Its script failed or gave no answer; the message holds the end of what it said.
    """
    library = AS_DOCUMENTED.get(peer, peer)
    script = ROOT / "benchmarks" / "peers" / library / "run.py"
    options = ["--dsn", dsn, "--seconds", f"{seconds:g}", "--chains", str(chains), "--steps", str(steps)]
    if peer in AS_DOCUMENTED:
        options.append("--as-documented")
    process = await asyncio.create_subprocess_exec(
        str(python_of(library)),
        str(script),
        *options,
        cwd=script.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), _PATIENCE_SECONDS)
    except TimeoutError:
        process.kill()
        raise PeerError(f"{peer} gave no answer within {_PATIENCE_SECONDS} s") from None
    lines = out.decode().splitlines()
    if process.returncode or not lines:
        said = err.decode(errors="replace").strip()[-2000:]
        raise PeerError(f"{peer} ended with {process.returncode}: {said}")
    figures: dict[str, Figure] = json.loads(lines[-1])
    return figures
