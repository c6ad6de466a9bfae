"""What `factory doctor` says about the sandbox."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from factory.sandbox.errors import SandboxUnavailableError
from factory.sandbox.jail import Jail
from factory.sandbox.settings import SandboxMode, SandboxSettings


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at.

    Attributes:
        name: What was looked at.
        passed: Whether it is as it must be.
        detail: What was found.
        remedy: What to do where it did not pass.
    """

    name: str
    passed: bool
    detail: str
    remedy: str = ""


def diagnose(settings: SandboxSettings) -> list[Check]:
    """Run a harmless command in the sandbox and one that must fail, and tell how it went."""
    with tempfile.TemporaryDirectory(prefix="factory-doctor-") as folder:
        try:
            result = Jail(settings).run(["/bin/sh", "-c", "test -r /etc/shadow || echo confined"], Path(folder))
        except SandboxUnavailableError as error:
            return [Check(name="sandbox", passed=False, detail=error.message, remedy=error.remedy)]
    if settings.mode is SandboxMode.LIMITS:
        return [
            Check(
                name="sandbox",
                passed=True,
                detail="generated code runs under resource limits alone; it can read your files and use the network",
                remedy="Set FACTORY_SANDBOX=bubblewrap to confine it.",
            )
        ]
    passed = result.exit_code == 0 and result.stdout.strip() == "confined"
    return [
        Check(
            name="sandbox",
            passed=passed,
            detail="generated code runs confined by bubblewrap" if passed else f"unexpected answer: {result.stderr}",
            remedy="" if passed else "Run the command again; if it persists, report it with this output.",
        )
    ]
