"""Runs generated code so that it cannot reach anything but its own work folder."""

from factory.sandbox.diagnosis import Check, diagnose
from factory.sandbox.environment import EnvironmentCache
from factory.sandbox.errors import SandboxUnavailableError
from factory.sandbox.jail import Jail, JailResult
from factory.sandbox.settings import SandboxMode, SandboxSettings

__all__ = [
    "Check",
    "EnvironmentCache",
    "Jail",
    "JailResult",
    "SandboxMode",
    "SandboxSettings",
    "SandboxUnavailableError",
    "diagnose",
]
