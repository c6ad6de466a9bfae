"""What differs between environments."""

from dataclasses import dataclass

import pulumi

ENVIRONMENTS = ("dev", "staging", "production")


@dataclass(frozen=True)
class Settings:
    """One environment.

    Attributes:
        environment: Name of the stack; part of every resource's name.
        location: Azure region.
        tenant: Of Entra ID.
        admins: Object id of the group that administers the cluster.
        repository: Git address that Flux follows.
        branch: Of it.
        zones: Availability zones that nodes are spread over; none where the region has none.
        replicated: Whether database, Redis and storage survive the loss of a zone.
        spot: Whether agents run on spot nodes.
        database_sku: Size of the database server.
        database_gib: Its disk, GiB.
        agent_nodes: Most nodes for agents.
        gpu_nodes: Most nodes with a GPU.
        ingress_link: Id of the ingress controller's private link service, once it exists.
        ingress_host: The host that it answers for.
    """

    environment: str
    location: str
    tenant: str
    admins: str
    repository: str
    branch: str
    zones: tuple[str, ...]
    replicated: bool
    spot: bool
    database_sku: str
    database_gib: int
    agent_nodes: int
    gpu_nodes: int
    ingress_link: str | None
    ingress_host: str | None

    @classmethod
    def load(cls) -> "Settings":
        """Read the stack's configuration.

        Raises:
            ValueError: The stack is none of the environments.
        """
        environment = pulumi.get_stack()
        if environment not in ENVIRONMENTS:
            raise ValueError(f"stack {environment!r} is none of {', '.join(ENVIRONMENTS)}")
        config = pulumi.Config("factory")
        return cls(
            environment=environment,
            location=pulumi.Config("azure-native").require("location"),
            tenant=config.get("tenant") or "00000000-0000-0000-0000-000000000000",
            admins=config.require("admins"),
            repository=config.require("repository"),
            branch=config.require("branch"),
            zones=tuple(config.get_object("zones") or ()),
            replicated=config.get_bool("replicated") or False,
            spot=config.get_bool("spot") or False,
            database_sku=config.get("database-sku") or "Standard_D2ds_v5",
            database_gib=config.get_int("database-gib") or 64,
            agent_nodes=config.get_int("agent-nodes") or 10,
            gpu_nodes=config.get_int("gpu-nodes") or 2,
            ingress_link=config.get("ingress-link"),
            ingress_host=config.get("ingress-host"),
        )

    @property
    def name(self) -> str:
        """Of what may hold a hyphen."""
        return f"factory-{self.environment}"

    @property
    def compact(self) -> str:
        """Of what may hold letters and digits alone (registry, storage account: at most 24)."""
        return f"factory{self.environment}"

    @property
    def tags(self) -> dict[str, str]:
        """On every resource that takes tags."""
        return {"product": "factory", "environment": self.environment, "managed-by": "pulumi"}
