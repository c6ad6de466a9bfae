"""Identifiers: time-ordered for new things, derived for repeatable ones."""

import hashlib
import os
import time
from uuid import UUID

_NAMESPACE = UUID("6f2b7a0e-6c4b-5d55-9a0b-3a8f0f1c2d4e").bytes
# Bits of a UUID: where its version and its variant stand, and what follows the 48 of the time.
_VERSION = 0xF << 76
_VARIANT = 0x3 << 62
_LATER = (1 << 80) - 1


def new_id() -> UUID:
    """Return a UUID version 7 (RFC 9562, section 5.7): sortable by time of creation."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    value = milliseconds << 80 | random
    return UUID(int=value & ~_VERSION & ~_VARIANT | 7 << 76 | 2 << 62)


def derived_id(*parts: object) -> UUID:
    """Return the same id for the same parts, so that repeated work cannot double its result.

    A UUID version 5 (RFC 9562, section 5.5); `uuid.uuid5` takes twice as long over it, and a step derives several.
    """
    return UUID(int=_derived(parts) & ~_VERSION & ~_VARIANT | 5 << 76 | 2 << 62)


def derived_number(*parts: object) -> int:
    """Return the first 64 bits of the id that is derived from these parts."""
    return (_derived(parts) & ~_VERSION | 5 << 76) >> 64


def _derived(parts: tuple[object, ...]) -> int:
    name = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha1(_NAMESPACE + name, usedforsecurity=False).digest()[:16])


def event_id_near(origin: UUID, *parts: object) -> UUID:
    """Return the same id for the same parts, which begins with the time that the id of its origin begins with.

    A UUID version 8 (RFC 9562, section 5.8). Keys of the event log that are scattered at random touch any page of an
    index with millions of entries; these lie where their project's other events do.

    Args:
        origin: The project or the event that it belongs to, mostly a UUID version 7.
        parts: What it depends on, beside the origin's first 48 bits.
    """
    value = origin.int & ~_LATER | _derived(parts) & _LATER
    return UUID(int=value & ~_VERSION & ~_VARIANT | 8 << 76 | 2 << 62)


def new_trace_id() -> str:
    """Return a W3C trace id: 32 lowercase hexadecimal digits, not all zero."""
    return os.urandom(16).hex()


def trace_id_of(traceparent: str) -> str:
    """Return the trace id of a W3C traceparent that is known to be one."""
    return traceparent[3:35]
