"""A request as a line of the audit trail (R35)."""

from http import HTTPStatus

from factory.identity.audit import AuditEntry
from factory.serve.facts import RequestFacts

ANONYMOUS = "anonymous"


def audit_line(facts: RequestFacts, status: int) -> AuditEntry:
    """Return what the audit trail keeps of a request: who, what, on what, from where, with which answer."""
    principal, resource, decision = facts.principal, facts.resource, facts.decision
    refused = status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND} and decision is None
    return AuditEntry(
        id=facts.id,
        subject=principal.subject if principal else ANONYMOUS,
        tenant=principal.tenant if principal else "",
        action=facts.action.value if facts.action else "request",
        resource_type=resource.type.value if resource else "",
        resource_id=resource.id if resource else "",
        project_id=resource.project_id if resource else None,
        allowed=not refused,
        policies=decision.policies if decision else (),
        status=status,
        method=facts.method,
        route=facts.path,
        address=facts.address,
        user_agent=facts.user_agent,
        trace_id=facts.trace_id,
    )
