"""Who the workloads are, and what they may do: federated identities without a secret."""

import uuid

import pulumi
from pulumi_azure_native import authorization, managedidentity

from stack.settings import Settings

# Built-in roles (Azure, "Azure built-in roles"); nobody gets more than one needs.
ROLES = {
    "pull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",  # AcrPull
    "blobs": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",  # Storage Blob Data Contributor
    "secrets": "4633458b-17de-408a-b874-0445c86b69e6",  # Key Vault Secrets User
    "send": "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",  # Azure Service Bus Data Sender
    "receive": "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",  # Azure Service Bus Data Receiver
    "configuration": "516239f1-63e1-4d78-a4de-a74fb236a071",  # App Configuration Data Reader
    "network": "4d97b98b-1d4f-4787-a291-c67834d212e7",  # Network Contributor
}
# Accounts of cluster/kuberay/base/accounts.yaml.
ACCOUNTS = ("factory-head", "factory-worker")
_NAMESPACE = "factory"
_AUDIENCE = "api://AzureADTokenExchange"


def workload(settings: Settings, group: pulumi.Output[str]) -> managedidentity.UserAssignedIdentity:
    """Create the identity that the factory's pods act as."""
    return managedidentity.UserAssignedIdentity(
        "workload", resource_name_=f"{settings.name}-workload", resource_group_name=group, tags=settings.tags
    )


def federate(
    identity: managedidentity.UserAssignedIdentity, group: pulumi.Output[str], issuer: pulumi.Input[str]
) -> None:
    """Let the cluster's service accounts act as the identity."""
    before: list[pulumi.Resource] = []
    for account in ACCOUNTS:
        # Azure refuses two changes of one identity at the same time.
        made = managedidentity.FederatedIdentityCredential(
            account,
            federated_identity_credential_resource_name=account,
            resource_group_name=group,
            resource_name_=identity.name,
            issuer=issuer,
            subject=f"system:serviceaccount:{_NAMESPACE}:{account}",
            audiences=[_AUDIENCE],
            opts=pulumi.ResourceOptions(depends_on=list(before)),
        )
        before.append(made)


def allow(name: str, who: pulumi.Input[str], role: str, scope: pulumi.Input[str]) -> None:
    """Give a service principal one role on one resource."""
    authorization.RoleAssignment(
        name,
        role_assignment_name=str(uuid.uuid5(uuid.NAMESPACE_URL, f"factory/{pulumi.get_stack()}/{name}")),
        principal_id=who,
        principal_type="ServicePrincipal",
        role_definition_id=pulumi.Output.from_input(scope).apply(lambda given: _definition(given, role)),
        scope=scope,
    )


def _definition(scope: str, role: str) -> str:
    subscription = "/".join(scope.split("/")[:3])
    return f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{ROLES[role]}"
