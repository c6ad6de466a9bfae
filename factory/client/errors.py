"""What can go wrong, as types: each answer that is no success is one of them."""

from collections.abc import Mapping
from typing import Any

from factory.domain.errors import FactoryError


class FactoryApiError(FactoryError):
    """The gateway answered with a problem (RFC 9457).

    Attributes:
        status: HTTP status.
        problem: The whole answer.
        trace_id: Of the request, to find it in traces.
        audit_id: Under which the audit trail has it.
        errors: What is wrong with which field, as pairs.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        detail = str(problem.get("detail") or problem.get("error_description") or f"the gateway answered {status}.")
        super().__init__(detail, remedy=str(problem.get("remedy") or ""))
        self.status = status
        self.problem = dict(problem)
        self.trace_id = str(problem.get("trace_id") or "")
        self.audit_id = headers.get("x-audit-id", "")
        self.errors = tuple((str(one.get("field")), str(one.get("message"))) for one in problem.get("errors") or ())
        self.retry_after = _seconds(headers.get("retry-after"))


class InvalidRequestError(FactoryApiError):
    """The request cannot be used: 400, 412, 413, 422, 428."""


class NotAuthenticatedError(FactoryApiError):
    """There is no token, or it is over: 401."""


class ForbiddenError(FactoryApiError):
    """The caller may not do this: 403."""


class NotFoundError(FactoryApiError):
    """There is no such thing, or none that the caller may see: 404."""


class ConflictError(FactoryApiError):
    """The request contradicts the present state: 409."""


class TooManyRequestsError(FactoryApiError):
    """A rate limit is used up: 429; `retry_after` tells the seconds to wait."""


class UnavailableError(FactoryApiError):
    """The factory cannot serve at the moment: 502, 503, 504."""


class ConnectionLostError(FactoryError):
    """The gateway cannot be reached, or stopped to answer."""


class RunFailedError(FactoryError):
    """A run ended without a release.

    Attributes:
        status: As the project has it: `failed` or `compensated`.
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(f"the run is {status}: {reason}.", remedy="See its dead letters and escalations.")
        self.status = status


_BY_STATUS: Mapping[int, type[FactoryApiError]] = {
    400: InvalidRequestError,
    401: NotAuthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    412: InvalidRequestError,
    413: InvalidRequestError,
    422: InvalidRequestError,
    428: InvalidRequestError,
    429: TooManyRequestsError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


def error_of(status: int, body: Any, headers: Mapping[str, str]) -> FactoryApiError:  # noqa: ANN401 - any JSON value
    """Return the error that an answer stands for."""
    problem = body if isinstance(body, dict) else {}
    return _BY_STATUS.get(status, FactoryApiError)(status, problem, headers)


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdecimal() else None
