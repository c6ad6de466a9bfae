"""The topics of the bus (R06)."""

from enum import StrEnum


class Topic(StrEnum):
    """Where an event belongs: one topic per sub-cluster of agents, and one for the system itself."""

    VISION = "vision"
    ARCHITECTURE = "architecture"
    DEVELOPMENT = "development"
    DEPLOYMENT = "deployment"
    SYSTEM = "system"
