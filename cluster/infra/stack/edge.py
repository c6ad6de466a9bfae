"""The only way in: Front Door with a firewall, over a private link to the cluster's ingress."""

import pulumi
from pulumi_azure_native import cdn, frontdoor

from stack.settings import Settings

_PREMIUM = "Premium_AzureFrontDoor"


def build(settings: Settings, group: pulumi.Output[str]) -> cdn.AFDEndpoint:
    """Create the edge; the private link service is the ingress controller's, named once it exists.

    Its id (`factory:ingress-link`) and host (`factory:ingress-host`) are known after the first deployment of the
    ingress; until then the edge has no origin, and answers 503.
    """
    profile = cdn.Profile(
        "edge",
        profile_name=settings.name,
        resource_group_name=group,
        location="global",
        sku=cdn.SkuArgs(name=_PREMIUM),
        # Event streams stay silent for a while.
        origin_response_timeout_seconds=240,
        tags=settings.tags,
    )
    endpoint = cdn.AFDEndpoint(
        "edge-endpoint",
        endpoint_name=settings.name,
        profile_name=profile.name,
        resource_group_name=group,
        location="global",
        enabled_state="Enabled",
        tags=settings.tags,
    )
    _firewall(settings, group, profile, endpoint)
    if settings.ingress_link and settings.ingress_host:
        _origin(settings, group, profile, endpoint, link=settings.ingress_link, host=settings.ingress_host)
    return endpoint


def _firewall(settings: Settings, group: pulumi.Output[str], profile: cdn.Profile, endpoint: cdn.AFDEndpoint) -> None:
    policy = frontdoor.Policy(
        "firewall",
        policy_name=settings.compact,
        resource_group_name=group,
        location="global",
        sku=frontdoor.SkuArgs(name=_PREMIUM),
        policy_settings=frontdoor.PolicySettingsArgs(enabled_state="Enabled", mode="Prevention"),
        managed_rules=frontdoor.ManagedRuleSetListArgs(
            managed_rule_sets=[
                frontdoor.ManagedRuleSetArgs(
                    rule_set_type="Microsoft_DefaultRuleSet", rule_set_version="2.1", rule_set_action="Block"
                ),
                frontdoor.ManagedRuleSetArgs(rule_set_type="Microsoft_BotManagerRuleSet", rule_set_version="1.1"),
            ]
        ),
        tags=settings.tags,
    )
    cdn.SecurityPolicy(
        "edge-firewall",
        security_policy_name="firewall",
        profile_name=profile.name,
        resource_group_name=group,
        parameters=cdn.SecurityPolicyWebApplicationFirewallParametersArgs(
            type="WebApplicationFirewall",
            waf_policy=cdn.ResourceReferenceArgs(id=policy.id),
            associations=[
                cdn.SecurityPolicyWebApplicationFirewallAssociationArgs(
                    domains=[cdn.ActivatedResourceReferenceArgs(id=endpoint.id)], patterns_to_match=["/*"]
                )
            ],
        ),
    )


def _origin(
    settings: Settings,
    group: pulumi.Output[str],
    profile: cdn.Profile,
    endpoint: cdn.AFDEndpoint,
    *,
    link: str,
    host: str,
) -> None:
    origins = cdn.AFDOriginGroup(
        "gateway",
        origin_group_name="gateway",
        profile_name=profile.name,
        resource_group_name=group,
        load_balancing_settings=cdn.LoadBalancingSettingsParametersArgs(
            sample_size=4, successful_samples_required=3, additional_latency_in_milliseconds=50
        ),
        health_probe_settings=cdn.HealthProbeParametersArgs(
            probe_path="/healthz", probe_protocol="Https", probe_request_type="GET", probe_interval_in_seconds=30
        ),
    )
    origin = cdn.AFDOrigin(
        "ingress",
        origin_name="ingress",
        origin_group_name=origins.name,
        profile_name=profile.name,
        resource_group_name=group,
        host_name=host,
        origin_host_header=host,
        https_port=443,
        enforce_certificate_name_check=True,
        shared_private_link_resource=cdn.SharedPrivateLinkResourcePropertiesArgs(
            private_link=cdn.ResourceReferenceArgs(id=link),
            private_link_location=settings.location,
            request_message=f"Front Door of {settings.name}",
        ),
    )
    cdn.Route(
        "everything",
        route_name="everything",
        endpoint_name=endpoint.name,
        profile_name=profile.name,
        resource_group_name=group,
        origin_group=cdn.ResourceReferenceArgs(id=origins.id),
        patterns_to_match=["/*"],
        supported_protocols=["Http", "Https"],
        https_redirect="Enabled",
        forwarding_protocol="HttpsOnly",
        link_to_default_domain="Enabled",
        opts=pulumi.ResourceOptions(depends_on=[origin]),
    )
