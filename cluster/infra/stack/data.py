"""Where state lives: PostgreSQL, blobs, Redis, secrets, settings, and the bus to other systems."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import (
    appconfiguration,
    containerregistry,
    dbforpostgresql,
    keyvault,
    redisenterprise,
    servicebus,
    storage,
)

from stack.network import Network
from stack.settings import Settings

CONTAINERS = ("artifacts", "memory", "backups")
_BACKUP_DAYS = 35
_RETENTION_DAYS = 30
_DATABASE = "factory"


@dataclass(frozen=True)
class Data:
    """What pods are given access to."""

    registry: containerregistry.Registry
    blobs: storage.StorageAccount
    vault: keyvault.Vault
    bus: servicebus.Namespace
    configuration: appconfiguration.ConfigurationStore
    database: dbforpostgresql.Server
    redis: redisenterprise.RedisEnterprise


def build(settings: Settings, group: pulumi.Output[str], net: Network) -> Data:
    """Create them, each reachable from the network alone."""
    data = Data(
        registry=_registry(settings, group),
        blobs=_blobs(settings, group),
        vault=_vault(settings, group),
        bus=_bus(settings, group),
        configuration=_configuration(settings, group),
        database=_database(settings, group, net),
        redis=_redis(settings, group),
    )
    for name, service, part, zone in (
        ("registry", data.registry.id, "registry", "registry"),
        ("blobs", data.blobs.id, "blob", "blob"),
        ("files", data.blobs.id, "file", "file"),
        ("vault", data.vault.id, "vault", "vault"),
        ("bus", data.bus.id, "namespace", "servicebus"),
        ("configuration", data.configuration.id, "configurationStores", "configuration"),
        ("redis", data.redis.id, "redisEnterprise", "redis"),
    ):
        net.endpoint(f"endpoint-{name}", service, part, zone, settings.tags)
    return data


def _registry(settings: Settings, group: pulumi.Output[str]) -> containerregistry.Registry:
    return containerregistry.Registry(
        "registry",
        registry_name=settings.compact,
        resource_group_name=group,
        sku=containerregistry.SkuArgs(name="Premium"),
        admin_user_enabled=False,
        anonymous_pull_enabled=False,
        public_network_access="Disabled",
        zone_redundancy="Enabled" if settings.replicated else "Disabled",
        policies=containerregistry.PoliciesArgs(
            retention_policy=containerregistry.RetentionPolicyArgs(days=_RETENTION_DAYS, status="enabled")
        ),
        tags=settings.tags,
    )


def _blobs(settings: Settings, group: pulumi.Output[str]) -> storage.StorageAccount:
    account = storage.StorageAccount(
        "blobs",
        account_name=settings.compact,
        resource_group_name=group,
        kind="StorageV2",
        sku=storage.SkuArgs(name="Standard_ZRS" if settings.replicated else "Standard_LRS"),
        allow_blob_public_access=False,
        allow_shared_key_access=False,
        default_to_o_auth_authentication=True,
        enable_https_traffic_only=True,
        minimum_tls_version="TLS1_2",
        public_network_access="Disabled",
        tags=settings.tags,
        opts=pulumi.ResourceOptions(protect=settings.environment == "production"),
    )
    storage.BlobServiceProperties(
        "blobs-kept",
        blob_services_name="default",
        account_name=account.name,
        resource_group_name=group,
        is_versioning_enabled=True,
        delete_retention_policy=storage.DeleteRetentionPolicyArgs(enabled=True, days=_RETENTION_DAYS),
    )
    for name in CONTAINERS:
        storage.BlobContainer(
            f"container-{name}",
            container_name=name,
            account_name=account.name,
            resource_group_name=group,
            public_access="None",
        )
    return account


def _vault(settings: Settings, group: pulumi.Output[str]) -> keyvault.Vault:
    return keyvault.Vault(
        "vault",
        vault_name=settings.name,
        resource_group_name=group,
        properties=keyvault.VaultPropertiesArgs(
            sku=keyvault.SkuArgs(family="A", name="standard"),
            tenant_id=settings.tenant,
            enable_rbac_authorization=True,
            enable_soft_delete=True,
            enable_purge_protection=True,
            soft_delete_retention_in_days=90,
            public_network_access="Disabled",
            network_acls=keyvault.NetworkRuleSetArgs(bypass="AzureServices", default_action="Deny"),
        ),
        tags=settings.tags,
    )


def _bus(settings: Settings, group: pulumi.Output[str]) -> servicebus.Namespace:
    bus = servicebus.Namespace(
        "bus",
        namespace_name=settings.name,
        resource_group_name=group,
        # The only tier with private endpoints.
        sku=servicebus.SBSkuArgs(name="Premium", tier="Premium", capacity=1),
        disable_local_auth=True,
        minimum_tls_version="1.2",
        public_network_access="Disabled",
        zone_redundant=settings.replicated,
        tags=settings.tags,
    )
    servicebus.Topic(
        "events",
        topic_name="factory-events",
        namespace_name=bus.name,
        resource_group_name=group,
        requires_duplicate_detection=True,
        support_ordering=True,
    )
    return bus


def _configuration(settings: Settings, group: pulumi.Output[str]) -> appconfiguration.ConfigurationStore:
    return appconfiguration.ConfigurationStore(
        "configuration",
        config_store_name=settings.name,
        resource_group_name=group,
        sku=appconfiguration.SkuArgs(name="Standard"),
        disable_local_auth=True,
        enable_purge_protection=True,
        public_network_access="Disabled",
        tags=settings.tags,
    )


def _database(settings: Settings, group: pulumi.Output[str], net: Network) -> dbforpostgresql.Server:
    server = dbforpostgresql.Server(
        "database",
        server_name=settings.name,
        resource_group_name=group,
        version="16",
        sku=dbforpostgresql.SkuArgs(name=settings.database_sku, tier="GeneralPurpose"),
        storage=dbforpostgresql.StorageArgs(storage_size_gb=settings.database_gib, auto_grow="Enabled"),
        network=dbforpostgresql.NetworkArgs(
            delegated_subnet_resource_id=net.database.id,
            private_dns_zone_arm_resource_id=net.zones["postgres"].id,
            public_network_access="Disabled",
        ),
        high_availability=dbforpostgresql.HighAvailabilityArgs(
            mode="ZoneRedundant" if settings.replicated else "Disabled"
        ),
        backup=dbforpostgresql.BackupArgs(
            backup_retention_days=_BACKUP_DAYS if settings.replicated else 7,
            geo_redundant_backup="Enabled" if settings.replicated else "Disabled",
        ),
        auth_config=dbforpostgresql.AuthConfigArgs(
            active_directory_auth="Enabled",
            password_auth="Enabled",  # noqa: S106 - it says that there is one
            tenant_id=settings.tenant,
        ),
        administrator_login="factory",
        administrator_login_password=pulumi.Config("factory").require_secret("database-password"),
        tags=settings.tags,
        opts=pulumi.ResourceOptions(
            protect=settings.environment == "production", depends_on=[net.zone_links["postgres"]]
        ),
    )
    dbforpostgresql.Database(
        "database-factory",
        database_name=_DATABASE,
        server_name=server.name,
        resource_group_name=group,
        charset="UTF8",
        collation="en_US.utf8",
    )
    return server


def _redis(settings: Settings, group: pulumi.Output[str]) -> redisenterprise.RedisEnterprise:
    redis = redisenterprise.RedisEnterprise(
        "redis",
        cluster_name=settings.name,
        resource_group_name=group,
        sku=redisenterprise.SkuArgs(name="Balanced_B1" if settings.replicated else "Balanced_B0"),
        high_availability="Enabled" if settings.replicated else "Disabled",
        minimum_tls_version="1.2",
        public_network_access="Disabled",
        tags=settings.tags,
    )
    redisenterprise.Database(
        "redis-factory",
        database_name="default",
        cluster_name=redis.name,
        resource_group_name=group,
        client_protocol="Encrypted",
        # Ray's head keeps what it knows here: nothing may be thrown away for want of memory.
        eviction_policy="NoEviction",
        clustering_policy="EnterpriseCluster",
        port=10000,
    )
    return redis
