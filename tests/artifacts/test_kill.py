import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("scenario", "moments"), [("put", 20), ("commit", 100), ("checkout", 60), ("replace", 60)])
def test_a_kill_before_any_write_loses_and_poisons_nothing(tmp_path: Path, scenario: str, moments: int) -> None:
    """Start the killer as its own process: forking one that runs an event loop and threads is not safe."""
    program = Path(__file__).with_name("killed.py")
    command = [sys.executable, str(program), scenario, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= moments
