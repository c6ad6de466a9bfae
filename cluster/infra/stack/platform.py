"""Everything together, and what a person or a pipeline needs to know of it afterwards."""

import pulumi
from pulumi_azure_native import monitor, operationalinsights, resources

from stack import data, edge, identity, kubernetes, network
from stack.settings import Settings

_LOG_DAYS = 30


def build() -> None:
    """Create the platform of the stack's environment."""
    settings = Settings.load()
    group = resources.ResourceGroup("group", resource_group_name=settings.name, tags=settings.tags)
    logs = operationalinsights.Workspace(
        "logs",
        workspace_name=settings.name,
        resource_group_name=group.name,
        sku=operationalinsights.WorkspaceSkuArgs(name="PerGB2018"),
        retention_in_days=_LOG_DAYS,
        tags=settings.tags,
    )
    net = network.build(settings, group.name)
    stores = data.build(settings, group.name, net)
    cluster, actor = kubernetes.build(settings, group.name, net, logs.id)
    workload = identity.workload(settings, group.name)
    identity.federate(workload, group.name, cluster.oidc_issuer_profile.apply(lambda profile: profile.issuer_url))
    identity.allow("cluster-network", actor.principal_id, "network", net.nodes.id)
    kubelet = cluster.identity_profile.apply(lambda found: (found or {})["kubeletidentity"].object_id)
    identity.allow("kubelet-pull", kubelet, "pull", stores.registry.id)
    for name, role, scope in (
        ("workload-blobs", "blobs", stores.blobs.id),
        ("workload-secrets", "secrets", stores.vault.id),
        ("workload-send", "send", stores.bus.id),
        ("workload-receive", "receive", stores.bus.id),
        ("workload-configuration", "configuration", stores.configuration.id),
    ):
        identity.allow(name, workload.principal_id, role, scope)
    for name, resource, category in (
        ("kubernetes", cluster, "audit"),
        ("vault", stores.vault, "audit"),
        ("database", stores.database, "allLogs"),
    ):
        monitor.DiagnosticSetting(
            f"audit-{name}",
            name="audit",
            resource_uri=resource.id,
            workspace_id=logs.id,
            logs=[monitor.DiagnosticsLogSettingsArgs(category_group=category, enabled=True)],
        )
    kubernetes.follow(settings, group.name, cluster)
    door = edge.build(settings, group.name)
    pulumi.export("resource_group", group.name)
    pulumi.export("cluster", cluster.name)
    pulumi.export("registry", stores.registry.login_server)
    pulumi.export("vault", stores.vault.name)
    pulumi.export("workload_client_id", workload.client_id)
    pulumi.export("database_host", stores.database.fully_qualified_domain_name)
    pulumi.export("host", door.host_name)
