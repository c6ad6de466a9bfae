"""What each environment's platform consists of, by Pulumi's mocks, and the policies that it must keep."""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from stack import identity, kubernetes, platform, settings

ROOT = Path(__file__).parents[3]
INFRA = ROOT / "cluster" / "infra"
MANIFESTS = ROOT / "cluster" / "kuberay"
# What may never be reached from the internet.
CLOSED = {
    "azure-native:containerregistry:Registry",
    "azure-native:storage:StorageAccount",
    "azure-native:servicebus:Namespace",
    "azure-native:appconfiguration:ConfigurationStore",
    "azure-native:redisenterprise:RedisEnterprise",
}
UNTAGGED = (":RoleAssignment", ":DiagnosticSetting", ":Subnet", ":PrivateDnsZoneGroup", ":FederatedIdentityCredential")


@dataclass
class Made(pulumi.runtime.Mocks):
    """Every resource of a stack."""

    resources: list[pulumi.runtime.MockResourceArgs] = field(default_factory=list)

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.resources.append(args)
        outputs = dict(args.inputs) | {"name": args.name, "principalId": "00000000-0000-0000-0000-00000000000a"}
        # Azure answers a list of identities with a map.
        if "identity" in outputs:
            assigned = {"/identity": {"clientId": "client", "principalId": "principal"}}
            outputs["identity"] = {"type": "UserAssigned", "userAssignedIdentities": assigned}
        outputs |= {"clientId": "client", "hostName": "host", "loginServer": "server"}
        outputs |= {"fullyQualifiedDomainName": "database", "oidcIssuerProfile": {"issuerURL": "https://issuer"}}
        outputs |= {"identityProfile": {"kubeletidentity": {"objectId": "kubelet"}}}
        return f"/subscriptions/1/resourceGroups/factory/{args.typ}/{args.name}", outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        raise AssertionError(f"nothing is asked of Azure while planning: {args.token}")

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return what was given to each resource of a type."""
        return [dict(made.inputs) for made in self.resources if made.typ == f"azure-native:{kind}"]


def configuration(environment: str) -> dict[str, Any]:
    found = yaml.safe_load((INFRA / f"Pulumi.{environment}.yaml").read_text())["config"]
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in found.items()}


@pytest.fixture(params=settings.ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def made(environment: str) -> Made:
    return plan(environment)


@cache
def plan(environment: str, **more: str) -> Made:
    mocks = Made()
    pulumi.runtime.set_mocks(mocks, project="factory", stack=environment, preview=False)
    given = configuration(environment) | {f"factory:{name.replace('_', '-')}": value for name, value in more.items()}
    given["factory:database-password"] = "given"
    pulumi.runtime.set_all_config(
        {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
    )

    @pulumi.runtime.test
    def build() -> None:
        platform.build()

    build()
    return mocks


def test_the_services_of_the_requirement_are_there(made: Made) -> None:
    kinds = {resource.typ.removeprefix("azure-native:") for resource in made.resources}
    assert kinds >= {
        "containerservice:ManagedCluster",
        "containerregistry:Registry",
        "storage:BlobContainer",
        "servicebus:Namespace",
        "keyvault:Vault",
        "appconfiguration:ConfigurationStore",
        "dbforpostgresql:Server",
        "redisenterprise:RedisEnterprise",
        "operationalinsights:Workspace",
        "managedidentity:FederatedIdentityCredential",
        "network:PrivateEndpoint",
        "cdn:Profile",
        "frontdoor:Policy",
        "kubernetesconfiguration:FluxConfiguration",
    }


def test_nothing_but_the_edge_is_reached_from_the_internet(made: Made) -> None:
    closed = [resource for resource in made.resources if resource.typ in CLOSED]
    assert {resource.typ for resource in closed} == CLOSED
    assert {resource.inputs["publicNetworkAccess"] for resource in closed} == {"Disabled"}
    (vault,) = made.of("keyvault:Vault")
    assert vault["properties"]["publicNetworkAccess"] == "Disabled"
    (database,) = made.of("dbforpostgresql:Server")
    assert database["network"]["publicNetworkAccess"] == "Disabled"
    (cluster,) = made.of("containerservice:ManagedCluster")
    assert cluster["apiServerAccessProfile"]["enablePrivateCluster"]
    reached = {
        end["privateLinkServiceConnections"][0]["privateLinkServiceId"] for end in made.of("network:PrivateEndpoint")
    }
    assert len(reached) == len(CLOSED) + 1  # the vault; the account of the blobs is reached in two ways


def test_nobody_signs_in_with_a_key(made: Made) -> None:
    assert not made.of("storage:StorageAccount")[0]["allowSharedKeyAccess"]
    assert not made.of("containerregistry:Registry")[0]["adminUserEnabled"]
    assert made.of("servicebus:Namespace")[0]["disableLocalAuth"]
    assert made.of("appconfiguration:ConfigurationStore")[0]["disableLocalAuth"]
    assert made.of("keyvault:Vault")[0]["properties"]["enableRbacAuthorization"]
    (cluster,) = made.of("containerservice:ManagedCluster")
    assert cluster["disableLocalAccounts"]
    assert cluster["aadProfile"]["enableAzureRBAC"]


def test_roles_are_narrow(made: Made) -> None:
    given = made.of("authorization:RoleAssignment")
    broad = {"8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "b24988ac-6180-42a0-ab88-20f7382dd24c"}  # Owner, Contributor
    for assignment in given:
        role = assignment["roleDefinitionId"].rsplit("/", 1)[1]
        assert role in identity.ROLES.values()
        assert role not in broad
        assert "/azure-native:" in assignment["scope"], "a role on one resource, never on the group"
    names = [assignment["roleAssignmentName"] for assignment in given]
    assert len(set(names)) == len(names)


def test_traffic_is_encrypted(made: Made) -> None:
    (blobs,) = made.of("storage:StorageAccount")
    assert (blobs["enableHttpsTrafficOnly"], blobs["minimumTlsVersion"]) == (True, "TLS1_2")
    assert made.of("servicebus:Namespace")[0]["minimumTlsVersion"] == "1.2"
    assert made.of("redisenterprise:Database")[0]["clientProtocol"] == "Encrypted"
    assert all(pool["enableEncryptionAtHost"] for pool in made.of("containerservice:AgentPool"))


def test_what_is_deleted_can_be_had_back(made: Made, environment: str) -> None:
    (kept,) = made.of("storage:BlobServiceProperties")
    assert kept["isVersioningEnabled"]
    assert kept["deleteRetentionPolicy"]["days"] >= 7
    assert made.of("keyvault:Vault")[0]["properties"]["enablePurgeProtection"]
    (database,) = made.of("dbforpostgresql:Server")
    assert database["backup"]["backupRetentionDays"] >= 7
    if environment == "production":
        assert database["highAvailability"]["mode"] == "ZoneRedundant"
        assert database["backup"]["geoRedundantBackup"] == "Enabled"
        assert made.of("redisenterprise:RedisEnterprise")[0]["highAvailability"] == "Enabled"


def test_everything_is_tagged(made: Made, environment: str) -> None:
    for resource in made.resources:
        if resource.typ.startswith("azure-native:") and "tags" in resource.inputs:
            assert resource.inputs["tags"]["environment"] == environment
    tagged = {resource.typ for resource in made.resources if "tags" in resource.inputs}
    assert tagged >= {*CLOSED, "azure-native:containerservice:ManagedCluster", "azure-native:dbforpostgresql:Server"}
    assert not any(kind.endswith(UNTAGGED) for kind in tagged)


def test_node_pools_are_what_the_pods_select(made: Made) -> None:
    pools = {pool["agentPoolName"]: pool for pool in made.of("containerservice:AgentPool")}
    text = (MANIFESTS / "base" / "rayservice.yaml").read_text()
    (service,) = yaml.safe_load_all(text)
    config = service["spec"]["rayClusterConfig"]
    templates = [config["headGroupSpec"]["template"], *(group["template"] for group in config["workerGroupSpecs"])]
    selected = {template["spec"]["nodeSelector"][kubernetes.LABEL] for template in templates}
    assert selected == pools.keys()
    assert all(pool["nodeLabels"] == {kubernetes.LABEL: name} for name, pool in pools.items())
    assert pools["agents"]["minCount"] == pools["gpu"]["minCount"] == 0
    tolerated = {
        f"{item['key']}={item['value']}:{item['effect']}"
        for template in templates
        for item in template["spec"].get("tolerations", ())
    }
    assert set(pools["gpu"]["nodeTaints"]) <= tolerated


def test_spot_nodes_hold_agents_alone_and_the_overlay_tolerates_them() -> None:
    for environment in settings.ENVIRONMENTS:
        pools = {pool["agentPoolName"]: pool for pool in plan(environment).of("containerservice:AgentPool")}
        spot = {name for name, pool in pools.items() if pool["scaleSetPriority"] == "Spot"}
        assert spot == ({"agents"} if environment == "production" else set())
    key = kubernetes.SPOT_TAINT.split("=")[0]
    assert key in (MANIFESTS / "overlays" / "production" / "sizes.yaml").read_text()


def test_names_are_those_of_the_overlays(made: Made, environment: str) -> None:
    overlay = MANIFESTS / "overlays" / environment
    vault = yaml.safe_load((overlay / "vault.yaml").read_text())["spec"]["parameters"]["keyvaultName"]
    assert made.of("keyvault:Vault")[0]["vaultName"] == vault
    images = yaml.safe_load((overlay / "kustomization.yaml").read_text())["images"]
    registry = f"{made.of('containerregistry:Registry')[0]['registryName']}.azurecr.io"
    assert {image["newName"].split("/")[0] for image in images} == {registry}


def test_service_accounts_act_as_the_workload(made: Made) -> None:
    accounts = {
        document["metadata"]["name"]
        for document in yaml.safe_load_all((MANIFESTS / "base" / "accounts.yaml").read_text())
    }
    subjects = {credential["subject"] for credential in made.of("managedidentity:FederatedIdentityCredential")}
    assert subjects == {f"system:serviceaccount:factory:{account}" for account in accounts}


def test_flux_follows_a_folder_that_exists(made: Made) -> None:
    (flux,) = made.of("kubernetesconfiguration:FluxConfiguration")
    assert (ROOT / flux["kustomizations"]["cluster"]["path"] / "kustomization.yaml").is_file()


def test_the_edge_blocks_and_reaches_the_ingress_privately() -> None:
    made = plan("production", ingress_link="/subscriptions/1/link", ingress_host="factory.example.com")
    assert made.of("frontdoor:Policy")[0]["policySettings"]["mode"] == "Prevention"
    (origin,) = made.of("cdn:AFDOrigin")
    assert origin["sharedPrivateLinkResource"]["privateLink"]["id"] == "/subscriptions/1/link"
    assert origin["enforceCertificateNameCheck"]
    (route,) = made.of("cdn:Route")
    assert (route["httpsRedirect"], route["forwardingProtocol"]) == ("Enabled", "HttpsOnly")


def test_names_keep_azures_limits(made: Made) -> None:
    for kind, field_name, longest in (
        ("storage:StorageAccount", "accountName", 24),
        ("keyvault:Vault", "vaultName", 24),
        ("containerregistry:Registry", "registryName", 50),
    ):
        (given,) = made.of(kind)
        assert 3 <= len(given[field_name]) <= longest


def test_another_stack_is_refused() -> None:
    mocks = Made()
    pulumi.runtime.set_mocks(mocks, project="factory", stack="tests", preview=False)
    with pytest.raises(ValueError, match="none of dev, staging, production"):
        settings.Settings.load()
    assert mocks.resources == []
