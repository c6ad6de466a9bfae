"""The cluster: a node pool per kind of worker group, reached and watched privately."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import containerservice, kubernetesconfiguration, managedidentity

from stack.network import Network
from stack.settings import Settings

_VERSION = "1.34"
SPOT_TAINT = "kubernetes.azure.com/scalesetpriority=spot:NoSchedule"
GPU_TAINT = "sku=gpu:NoSchedule"
LABEL = "factory/pool"


@dataclass(frozen=True)
class NodePool:
    """Nodes of one kind; the label is what the manifests' node selectors ask for."""

    label: str
    size: str
    minimum: int
    maximum: int
    taints: tuple[str, ...] = ()
    spot: bool = False


def node_pools(settings: Settings) -> tuple[NodePool, ...]:
    """Return the pools beside the system's own."""
    return (
        NodePool("core", "Standard_D4ds_v5", 3 if settings.zones else 2, 12),
        NodePool("agents", "Standard_D8ds_v5", 0, settings.agent_nodes, spot=settings.spot),
        NodePool("gpu", "Standard_NC24ads_A100_v4", 0, settings.gpu_nodes, taints=(GPU_TAINT,)),
    )


def build(
    settings: Settings, group: pulumi.Output[str], net: Network, workspace: pulumi.Input[str]
) -> tuple[containerservice.ManagedCluster, managedidentity.UserAssignedIdentity]:
    """Create the cluster with its pools; returns it with the identity it acts as."""
    identity = managedidentity.UserAssignedIdentity(
        "cluster", resource_name_=f"{settings.name}-cluster", resource_group_name=group, tags=settings.tags
    )
    cluster = containerservice.ManagedCluster(
        "kubernetes",
        resource_name_=settings.name,
        resource_group_name=group,
        kubernetes_version=_VERSION,
        dns_prefix=settings.name,
        sku=containerservice.ManagedClusterSKUArgs(
            name="Base", tier="Standard" if settings.environment == "production" else "Free"
        ),
        identity=containerservice.ManagedClusterIdentityArgs(
            type="UserAssigned", user_assigned_identities=[identity.id]
        ),
        enable_rbac=True,
        disable_local_accounts=True,
        aad_profile=containerservice.ManagedClusterAADProfileArgs(
            managed=True, enable_azure_rbac=True, admin_group_object_ids=[settings.admins], tenant_id=settings.tenant
        ),
        api_server_access_profile=containerservice.ManagedClusterAPIServerAccessProfileArgs(
            enable_private_cluster=True
        ),
        oidc_issuer_profile=containerservice.ManagedClusterOIDCIssuerProfileArgs(enabled=True),
        security_profile=containerservice.ManagedClusterSecurityProfileArgs(
            workload_identity=containerservice.ManagedClusterSecurityProfileWorkloadIdentityArgs(enabled=True),
            image_cleaner=containerservice.ManagedClusterSecurityProfileImageCleanerArgs(
                enabled=True, interval_hours=168
            ),
        ),
        network_profile=containerservice.ContainerServiceNetworkProfileArgs(
            network_plugin="azure",
            network_plugin_mode="overlay",
            network_dataplane="cilium",
            network_policy="cilium",
            pod_cidr="10.244.0.0/16",
            service_cidr="10.245.0.0/16",
            dns_service_ip="10.245.0.10",
        ),
        ingress_profile=containerservice.ManagedClusterIngressProfileArgs(
            web_app_routing=containerservice.ManagedClusterIngressProfileWebAppRoutingArgs(enabled=True)
        ),
        addon_profiles={
            "azureKeyvaultSecretsProvider": containerservice.ManagedClusterAddonProfileArgs(
                enabled=True, config={"enableSecretRotation": "true", "rotationPollInterval": "2m"}
            ),
            "omsagent": containerservice.ManagedClusterAddonProfileArgs(
                enabled=True, config={"logAnalyticsWorkspaceResourceID": workspace, "useAADAuth": "true"}
            ),
            "azurepolicy": containerservice.ManagedClusterAddonProfileArgs(enabled=True),
        },
        auto_upgrade_profile=containerservice.ManagedClusterAutoUpgradeProfileArgs(
            upgrade_channel="patch", node_os_upgrade_channel="NodeImage"
        ),
        agent_pool_profiles=[
            containerservice.ManagedClusterAgentPoolProfileArgs(
                name="system",
                mode="System",
                vm_size="Standard_D4ds_v5",
                os_type="Linux",
                os_sku="AzureLinux",
                enable_auto_scaling=True,
                count=2,
                min_count=2,
                max_count=4,
                availability_zones=list(settings.zones) or None,
                node_taints=["CriticalAddonsOnly=true:NoSchedule"],
                enable_encryption_at_host=True,
                vnet_subnet_id=net.nodes.id,
            )
        ],
        tags=settings.tags,
    )
    for pool in node_pools(settings):
        _pool(settings, group, net, cluster, pool)
    return cluster, identity


def _pool(
    settings: Settings,
    group: pulumi.Output[str],
    net: Network,
    cluster: containerservice.ManagedCluster,
    pool: NodePool,
) -> None:
    containerservice.AgentPool(
        pool.label,
        agent_pool_name=pool.label,
        resource_group_name=group,
        resource_name_=cluster.name,
        mode="User",
        vm_size=pool.size,
        os_type="Linux",
        os_sku="AzureLinux",
        enable_auto_scaling=True,
        count=pool.minimum,
        min_count=pool.minimum,
        max_count=pool.maximum,
        availability_zones=list(settings.zones) or None,
        node_labels={LABEL: pool.label},
        node_taints=[*pool.taints, *([SPOT_TAINT] if pool.spot else [])] or None,
        scale_set_priority="Spot" if pool.spot else "Regular",
        scale_set_eviction_policy="Delete" if pool.spot else None,
        spot_max_price=-1 if pool.spot else None,
        enable_encryption_at_host=True,
        vnet_subnet_id=net.nodes.id,
        tags=settings.tags,
        # The autoscaler changes it.
        opts=pulumi.ResourceOptions(ignore_changes=["count"]),
    )


def follow(settings: Settings, group: pulumi.Output[str], cluster: containerservice.ManagedCluster) -> None:
    """Let Flux keep the cluster as the repository says."""
    extension = kubernetesconfiguration.Extension(
        "flux",
        extension_name="flux",
        extension_type="microsoft.flux",
        auto_upgrade_minor_version=True,
        resource_group_name=group,
        cluster_rp="Microsoft.ContainerService",
        cluster_resource_name="managedClusters",
        cluster_name=cluster.name,
        configuration_settings={
            "image-automation-controller.enabled": "true",
            "image-reflector-controller.enabled": "true",
        },
    )
    kubernetesconfiguration.FluxConfiguration(
        "factory",
        flux_configuration_name="factory",
        resource_group_name=group,
        cluster_rp="Microsoft.ContainerService",
        cluster_resource_name="managedClusters",
        cluster_name=cluster.name,
        namespace="flux-system",
        scope="cluster",
        source_kind="GitRepository",
        git_repository=kubernetesconfiguration.GitRepositoryDefinitionArgs(
            url=settings.repository,
            repository_ref=kubernetesconfiguration.RepositoryRefDefinitionArgs(branch=settings.branch),
        ),
        kustomizations={
            "cluster": kubernetesconfiguration.KustomizationDefinitionArgs(
                path=f"./cluster/gitops/clusters/{settings.environment}", prune=True, wait=True
            )
        },
        opts=pulumi.ResourceOptions(depends_on=[extension]),
    )
