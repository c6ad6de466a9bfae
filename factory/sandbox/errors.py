"""What goes wrong with the sandbox itself, as opposed to the code inside it."""

from factory.domain.errors import ErrorCategory, TerminalError

LIMITS_REMEDY = "To run generated code under resource limits alone, without confinement, set FACTORY_SANDBOX=limits."


class SandboxUnavailableError(TerminalError):
    """Generated code cannot be confined on this machine; nothing was run.

    Args:
        message: What is missing or forbidden.
        remedy: How to provide it; the setting that does without is added.
    """

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message, category=ErrorCategory.DEPENDENCY, remedy=f"{remedy} {LIMITS_REMEDY}")
