"""Feature flags: for everybody, for some, or for a growing share (R42), from a file that may change meanwhile."""

import hashlib
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from factory.domain.errors import BadInputError, NotFoundError

_LOOK_SECONDS = 2.0
_SHARES = 10_000


class FlagReason(StrEnum):
    """Why a flag is on or off for somebody."""

    OFF = "off"
    EVERYBODY = "on-for-everybody"
    USER = "named-user"
    TENANT = "named-tenant"
    AGENT = "named-agent"
    SHARE = "within-the-share"
    NOT_MEANT = "not-among-those-it-is-on-for"


class Flag(BaseModel):
    """One flag.

    Attributes:
        description: What it is about.
        enabled: False switches it off for everybody, whatever else is said.
        everybody: On for all.
        users: On for these subjects, such as `user:ada`.
        tenants: On for these tenants.
        agents: On for the work of these agents.
        percent: On for such a share of subjects, always the same ones; who is in at 5 % is in at 50 %.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    enabled: bool = True
    everybody: bool = False
    users: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()
    percent: Annotated[float, Field(ge=0, le=100)] = 0

    def decide(self, name: str, *, subject: str, tenant: str, agent: str) -> FlagReason:
        """Return why the flag is on or off; empty texts stand for nobody."""
        if not self.enabled:
            return FlagReason.OFF
        named = ((self.users, subject, FlagReason.USER), (self.tenants, tenant, FlagReason.TENANT))
        for group, who, reason in (*named, (self.agents, agent, FlagReason.AGENT)):
            if who in group:
                return reason
        if self.everybody:
            return FlagReason.EVERYBODY
        if _share(name, subject or agent) < self.percent / 100:
            return FlagReason.SHARE
        return FlagReason.NOT_MEANT


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    flags: Mapping[Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")], Flag]


class Flags:
    """The flags of a factory. A file that was changed and cannot be used leaves them as they were.

    Args:
        path: The file, with the key `flags`; without one there are none.

    Raises:
        BadInputError: The file cannot be used; the message names the field.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._flags: Mapping[str, Flag] = _read(path)
        self._stamp = _stamp(path)
        self._looked_at = time.monotonic()

    @property
    def all(self) -> Mapping[str, Flag]:
        """The flags by name, as the file has them now."""
        now = time.monotonic()
        if now - self._looked_at > _LOOK_SECONDS:
            self._looked_at = now
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._flags = _read(self._path)
                except BadInputError:
                    # Whoever is writing it is not done, or made a mistake that must not switch things.
                    return self._flags
        return self._flags

    def decide(self, name: str, *, subject: str = "", tenant: str = "", agent: str = "") -> FlagReason:
        """Return why a flag is on or off for somebody.

        Raises:
            NotFoundError: There is no such flag.
        """
        flags = self.all
        if name not in flags:
            raise NotFoundError(f"there is no flag {name!r}.", remedy="See `factory flag list`.", field="flag")
        return flags[name].decide(name, subject=subject, tenant=tenant, agent=agent)

    def is_on(self, name: str, *, subject: str = "", tenant: str = "", agent: str = "") -> bool:
        """Tell whether a flag is on for somebody; one that is not there is off."""
        if name not in self.all:
            return False
        reason = self.decide(name, subject=subject, tenant=tenant, agent=agent)
        return reason not in {FlagReason.OFF, FlagReason.NOT_MEANT}


def _share(name: str, who: str) -> float:
    """Return where somebody stands between 0 and 1, evenly spread, and differently for each flag."""
    if not who:
        return 1.0
    digest = hashlib.sha256(f"{name}\x1f{who}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % _SHARES / _SHARES


def _stamp(path: Path | None) -> tuple[int, int] | None:
    try:
        status = path.stat() if path is not None else None
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size) if status is not None else None


def _read(path: Path | None) -> Mapping[str, Flag]:
    if path is None:
        return {}
    try:
        return _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).flags
    except ValidationError as error:
        first = error.errors()[0]
        why = f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}"
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = str(error)
    raise BadInputError(
        f"the flags in {path} cannot be used: {why}.",
        remedy="Write `flags:` with names and what each is on for: everybody, users, tenants, agents, percent.",
        field="FACTORY_FEATURE_FLAGS",
    )
