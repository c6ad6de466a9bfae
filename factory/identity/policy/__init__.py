"""Roles and policies as data, in Cedar (R15, R34): deny by default, and say why."""

from factory.identity.policy.engine import PolicyEngine

__all__ = ["PolicyEngine"]
