"""The private network: a subnet per concern, and private names for Azure's services."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import network, privatedns

from stack.settings import Settings

_SPACE = "10.20.0.0/16"
_NODES = "10.20.0.0/20"
_ENDPOINTS = "10.20.16.0/24"
_DATABASE = "10.20.17.0/24"
# What each service's private names end in (Azure, "Private endpoint private DNS zone values").
ZONES = {
    "registry": "privatelink.azurecr.io",
    "blob": "privatelink.blob.core.windows.net",
    "file": "privatelink.file.core.windows.net",
    "vault": "privatelink.vaultcore.azure.net",
    "servicebus": "privatelink.servicebus.windows.net",
    "configuration": "privatelink.azconfig.io",
    "redis": "privatelink.redis.azure.net",
    "postgres": "factory.private.postgres.database.azure.com",
}


@dataclass(frozen=True)
class Network:
    """Where everything is placed."""

    group: pulumi.Output[str]
    nodes: network.Subnet
    endpoints: network.Subnet
    database: network.Subnet
    zones: dict[str, privatedns.PrivateZone]
    zone_links: dict[str, privatedns.VirtualNetworkLink]

    def endpoint(self, name: str, service: pulumi.Input[str], part: str, zone: str, tags: dict[str, str]) -> None:
        """Give a service an address of the network and its private name.

        Args:
            name: Of the endpoint.
            service: Id of the resource.
            part: What of it is reached ("Private-link resource").
            zone: Key of `ZONES`.
            tags: Of the environment.
        """
        made = network.PrivateEndpoint(
            name,
            resource_group_name=self.group,
            subnet=network.SubnetArgs(id=self.endpoints.id),
            private_link_service_connections=[
                network.PrivateLinkServiceConnectionArgs(name=name, private_link_service_id=service, group_ids=[part])
            ],
            tags=tags,
        )
        network.PrivateDnsZoneGroup(
            name,
            resource_group_name=self.group,
            private_endpoint_name=made.name,
            private_dns_zone_configs=[
                network.PrivateDnsZoneConfigArgs(name=zone, private_dns_zone_id=self.zones[zone].id)
            ],
        )


def build(settings: Settings, group: pulumi.Output[str]) -> Network:
    """Create the network."""
    space = network.VirtualNetwork(
        "network",
        virtual_network_name=settings.name,
        resource_group_name=group,
        address_space=network.AddressSpaceArgs(address_prefixes=[_SPACE]),
        tags=settings.tags,
    )
    closed = network.NetworkSecurityGroup("closed", resource_group_name=group, tags=settings.tags)

    def subnet(name: str, prefix: str, delegation: str | None = None) -> network.Subnet:
        delegations = [network.DelegationArgs(name="service", service_name=delegation)] if delegation else None
        return network.Subnet(
            name,
            resource_group_name=group,
            virtual_network_name=space.name,
            address_prefix=prefix,
            network_security_group=network.NetworkSecurityGroupArgs(id=closed.id),
            private_endpoint_network_policies="Enabled",
            delegations=delegations,
        )

    zones = {
        name: privatedns.PrivateZone(
            f"zone-{name}", private_zone_name=zone, location="global", resource_group_name=group, tags=settings.tags
        )
        for name, zone in ZONES.items()
    }
    links = {
        name: privatedns.VirtualNetworkLink(
            f"link-{name}",
            resource_group_name=group,
            location="global",
            private_zone_name=zone.name,
            registration_enabled=False,
            virtual_network=privatedns.SubResourceArgs(id=space.id),
            tags=settings.tags,
        )
        for name, zone in zones.items()
    }
    return Network(
        group=group,
        nodes=subnet("nodes", _NODES),
        endpoints=subnet("endpoints", _ENDPOINTS),
        database=subnet("database", _DATABASE, "Microsoft.DBforPostgreSQL/flexibleServers"),
        zones=zones,
        zone_links=links,
    )
