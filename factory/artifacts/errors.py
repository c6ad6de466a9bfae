"""Errors of artifact storage."""

from factory.domain.errors import FactoryError


class IntegrityError(FactoryError):
    """Stored bytes are not those that were stored."""
