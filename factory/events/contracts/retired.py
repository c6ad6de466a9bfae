"""Versions that were deprecated, had their sunset and are gone from the code."""

from factory.events.lifecycle import Retired

RETIRED: tuple[Retired, ...] = ()
