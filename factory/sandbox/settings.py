"""How generated code is confined: the part of the factory's settings that the sandbox reads."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from factory.settings import Settings


class SandboxMode(StrEnum):
    """Full confinement by bubblewrap, or resource limits alone."""

    BUBBLEWRAP = "bubblewrap"
    LIMITS = "limits"


class SandboxSettings(BaseModel):
    """Limits on one command in the sandbox.

    Attributes:
        mode: `limits` gives up the confinement of files and network; it is never chosen by itself.
        memory_mib: Bounds the address space of each process and the memory of all of them together.
        cpu_seconds: Processor time of each process.
        processes: Processes and threads at one time.
        file_mib: Size of any one file, and of the private /tmp.
        wall_seconds: Time a command may take where the caller names none.
        output_kib: What is kept of the end of each output stream.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: SandboxMode = SandboxMode.BUBBLEWRAP
    memory_mib: int = Field(default=2048, ge=64)
    cpu_seconds: int = Field(default=300, ge=1)
    processes: int = Field(default=256, ge=4)
    file_mib: int = Field(default=256, ge=1)
    wall_seconds: float = Field(default=300, gt=0)
    output_kib: int = Field(default=256, ge=1)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the sandbox's part of the factory's settings."""
        return cls(
            mode=SandboxMode(settings.sandbox),
            memory_mib=settings.sandbox_memory_mib,
            cpu_seconds=settings.sandbox_cpu_seconds,
            processes=settings.sandbox_processes,
            file_mib=settings.sandbox_file_mib,
            wall_seconds=settings.sandbox_wall_seconds,
        )
