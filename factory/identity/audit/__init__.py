"""The audit trail (R35): who did what to what, when and from where; append-only, and every change of it shows."""

from factory.identity.audit.entry import AuditEntry
from factory.identity.audit.trail import AuditTrail, write

__all__ = ["AuditEntry", "AuditTrail", "write"]
