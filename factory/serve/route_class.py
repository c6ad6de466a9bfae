"""What the rate limits tell routes apart by."""

from enum import StrEnum


class RouteClass(StrEnum):
    """A class of routes."""

    READ = "read"
    WRITE = "write"
    SEARCH = "search"
    STREAM = "stream"
    INTERNAL = "internal"
    ANONYMOUS = "anonymous"
