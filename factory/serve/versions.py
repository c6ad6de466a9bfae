"""Versions of the public API, and how clients learn that one ends."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from fastapi import Request

from factory.serve.facts import facts_of


@dataclass(frozen=True, slots=True)
class Retirement:
    """That a version is on its way out.

    Attributes:
        deprecated: Since when nobody should begin to use it.
        sunset: When it stops to answer.
        successor: Path prefix of the version to use instead.
        guide: Address of what tells how to change over.
    """

    deprecated: datetime
    sunset: datetime
    successor: str
    guide: str = ""

    def headers(self) -> dict[str, str]:
        """Return `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and `Link` (RFC 5829) as answers carry them."""
        links = [f'<{self.successor}>; rel="successor-version"']
        if self.guide:
            links.append(f'<{self.guide}>; rel="deprecation"')
        return {
            "Deprecation": f"@{int(self.deprecated.timestamp())}",
            "Sunset": format_datetime(self.sunset.astimezone(UTC), usegmt=True),
            "Link": ", ".join(links),
        }


@dataclass(frozen=True, slots=True)
class ApiVersion:
    """A version that answers, and its retirement where one is announced."""

    name: str
    retirement: Retirement | None = None

    @property
    def prefix(self) -> str:
        """Where its paths begin."""
        return f"/api/{self.name}"


CURRENT = ApiVersion("v1")


class Retiring:
    """A dependency that tells of a retirement with every answer of a version."""

    def __init__(self, retirement: Retirement) -> None:
        self._headers = retirement.headers()

    async def __call__(self, request: Request) -> None:
        """Note the headers, whatever the answer will be."""
        facts_of(request.scope).headers.update(self._headers)
