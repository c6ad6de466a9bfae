"""One hierarchy of errors. A message names the thing, the value and the remedy."""

from enum import StrEnum


class ErrorCategory(StrEnum):
    """Why work ended badly; drives retry, dead letters and escalation."""

    SCHEMA = "schema"
    POISON = "poison"
    WORKER_LOST = "worker-lost"
    TIMEOUT = "timeout"
    DEPENDENCY = "dependency"
    VALIDATION = "validation"
    BUDGET = "budget"
    ORDER_BLOCKED = "order-blocked"
    EXPIRED = "expired"
    DEFECT = "defect"


class FactoryError(Exception):
    """Base of every error the factory raises on purpose.

    Args:
        message: What is wrong, with the offending value.
        remedy: What the reader can do about it.
        field: The input field at fault, where there is one.
    """

    def __init__(self, message: str, *, remedy: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.field = field

    def __str__(self) -> str:
        """Return the message followed by the remedy."""
        return f"{self.message} {self.remedy}".strip()


class BadInputError(FactoryError):
    """The caller's input cannot be used (CLI exit code 2, HTTP 4xx)."""


class NotFoundError(FactoryError):
    """A named thing does not exist."""


class ConflictError(FactoryError):
    """The request contradicts the present state."""


class UnauthenticatedError(FactoryError):
    """It is not proven who asks (HTTP 401)."""


class ForbiddenError(FactoryError):
    """Who asks may not do this (HTTP 403)."""


class ClassifiedError(FactoryError):
    """An error of a task, classified for the recovery rules."""

    def __init__(
        self,
        message: str,
        *,
        category: ErrorCategory,
        remedy: str = "",
        field: str | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, field=field)
        self.category = category


class RetryableError(ClassifiedError):
    """The same attempt may succeed later."""

    def __init__(self, message: str, *, category: ErrorCategory = ErrorCategory.DEPENDENCY, remedy: str = "") -> None:
        super().__init__(message, category=category, remedy=remedy)


class BacklogFullError(RetryableError):
    """A subscription has as much waiting as it may have; nothing was published."""

    def __init__(self, subscription: str, limit: int, *, paused: bool) -> None:
        remedy = (
            f"It is paused: resume it with `factory subscription resume {subscription}`."
            if paused
            else "Publish again later, give it more agents, or raise its max_backlog."
        )
        super().__init__(f"{limit} events or more wait for the subscription {subscription!r}.", remedy=remedy)
        self.subscription = subscription
        self.limit = limit


class TerminalError(ClassifiedError):
    """No further attempt can succeed; the delivery is dead-lettered at once."""

    def __init__(
        self,
        message: str,
        *,
        category: ErrorCategory = ErrorCategory.DEFECT,
        remedy: str = "",
        field: str | None = None,
    ) -> None:
        super().__init__(message, category=category, remedy=remedy, field=field)
