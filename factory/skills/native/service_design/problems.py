"""Which problems an endpoint may answer with."""

from factory.domain.product import OperationKind
from factory.skills.native.service_design.parts import Endpoint

PROBLEM_TITLES = {
    400: "The request cannot be read",
    401: "Authentication is needed",
    403: "This is not allowed",
    404: "There is no such thing",
    409: "A rule of the domain forbids this",
    422: "The request does not have the right shape",
    503: "The service is not ready",
}
_READS = frozenset({OperationKind.READ, OperationKind.LIST})


def problem_statuses(endpoint: Endpoint) -> tuple[int, ...]:
    """Return the statuses of the problems an endpoint may answer with."""
    statuses = {401, 403, 422}
    if endpoint.body:
        statuses.add(400)
    if "{id}" in endpoint.path:
        statuses.add(404)
    if endpoint.kind not in _READS:
        statuses.add(409)
    return tuple(sorted(statuses))
