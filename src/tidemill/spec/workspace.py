"""Workspaces (with hubs, projects, feature stores) and registries: declared, listed, never created by us."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from tidemill.spec.compute import AssignedIdentity
from tidemill.spec.fields import Document, Open, Part, Tags, Text
from tidemill.spec.scalars import AnyCase, shape

Identities = Annotated[
    Annotated[dict[str, AssignedIdentity | None], Tag("#mapping")] | Annotated[list[AssignedIdentity], Tag("#list")],
    Discriminator(shape),
]


class WorkspaceIdentity(Part):
    """Who a workspace acts as; identities by resource id."""

    type: (
        Annotated[Literal["system_assigned", "user_assigned", "none", "system_assigned,user_assigned"], AnyCase] | None
    ) = None
    user_assigned_identities: Identities | None = None
    principal_id: str | None = None
    tenant_id: str | None = None


class CustomerManagedKey(Part):
    """The customer's own encryption key."""

    key_vault: str | None = None
    key_uri: str | None = None
    cosmosdb_id: str | None = None
    search_id: str | None = None
    storage_id: str | None = None


class RuleDestination(Part):
    """Where a workspace's network may reach."""

    service_resource_id: str | None = None
    subresource_target: str | None = None
    spark_enabled: bool | None = None
    service_tag: str | None = None
    protocol: str | None = None
    port_ranges: Text | None = None
    address_prefixes: list[str] | None = None


class OutboundRule(Open):
    """One permitted way out."""

    name: str
    type: Annotated[Literal["fqdn", "private_endpoint", "service_tag"], AnyCase] | None = None
    destination: Annotated[
        Annotated[RuleDestination, Tag("#mapping")] | Annotated[str, Tag("#text")], Discriminator(shape)
    ]
    fqdns: list[str] | None = None
    category: str | None = None
    status: str | None = None


class ManagedNetwork(Open):
    """The network Azure manages for a workspace."""

    isolation_mode: (
        Annotated[Literal["disabled", "allow_internet_outbound", "allow_only_approved_outbound"], AnyCase] | None
    ) = None
    outbound_rules: list[OutboundRule] | None = None
    firewall_sku: str | None = None
    network_id: str | None = None
    status: dict[str, Any] | None = None


class IpRule(Part):
    """One admitted address range."""

    value: str


class NetworkAcls(Part):
    """Which addresses may come in."""

    default_action: str
    ip_rules: list[IpRule] | None = None


class ServerlessCompute(Part):
    """The network of serverless machines."""

    custom_subnet: str | None = None
    no_public_ip: bool | None = None


class ComputeRuntime(Part):
    """The Spark version of a feature store."""

    spark_runtime_version: Text | None = None


class MaterializationStore(Part):
    """Where a feature store keeps what it computed."""

    type: str
    target: str


class Workspace(Document):
    """A workspace; `kind` makes it a hub, a project or a feature store."""

    name: str
    kind: Annotated[Literal["default", "hub", "project", "featurestore", "feature_store"], AnyCase] | None = None
    description: str | None = None
    display_name: str | None = None
    location: str | None = None
    resource_group: str | None = None
    tags: Tags | None = None
    id: str | None = None
    discovery_url: str | None = None
    mlflow_tracking_uri: str | None = None
    storage_account: str | None = None
    container_registry: str | None = None
    key_vault: str | None = None
    application_insights: str | None = None
    customer_managed_key: CustomerManagedKey | None = None
    hbi_workspace: bool | None = None
    image_build_compute: str | None = None
    public_network_access: Annotated[Literal["disabled", "enabled"], AnyCase] | None = None
    identity: WorkspaceIdentity | None = None
    primary_user_assigned_identity: str | None = None
    managed_network: ManagedNetwork | None = None
    provision_network_now: bool | None = None
    network_acls: NetworkAcls | None = None
    system_datastores_auth_mode: str | None = None
    enable_data_isolation: bool | None = None
    allow_roleassignment_on_rg: bool | None = None
    serverless_compute: ServerlessCompute | None = None
    workspace_hub: str | None = None
    hub_id: str | None = None
    default_resource_group: str | None = None
    associated_workspaces: list[str] | None = None
    storage_accounts: list[str] | None = None
    key_vaults: list[str] | None = None
    container_registries: list[str] | None = None
    existing_workspaces: list[str] | None = None
    enable_soft_delete: bool | None = None
    allow_recover_softdeleted_workspace: bool | None = None
    compute_runtime: ComputeRuntime | None = None
    offline_store: MaterializationStore | None = None
    online_store: MaterializationStore | None = None
    materialization_identity: AssignedIdentity | None = None


class RegistryStorage(Part):
    """A storage account a registry makes for itself."""

    arm_resource_id: str | None = None
    replicated_ids: list[str] | None = None
    storage_account_hns: bool | None = None
    storage_account_type: (
        Annotated[
            Literal[
                "standard_lrs", "standard_grs", "standard_ragrs", "standard_zrs",
                "standard_gzrs", "standard_ragzrs", "premium_lrs", "premium_zrs",
            ],
            AnyCase,
        ]
        | None
    ) = None  # fmt: skip
    replication_count: int | None = Field(default=None, ge=1)


class RegistryContainerRegistry(Part):
    """A container registry a registry makes for itself."""

    acr_account_sku: Annotated[Literal["premium"], AnyCase] | None = None
    arm_resource_id: str | None = None


RegistryImages = Annotated[
    Annotated[RegistryContainerRegistry, Tag("#mapping")] | Annotated[str, Tag("#text")], Discriminator(shape)
]


class RegistryRegion(Part):
    """One place a registry is kept at."""

    location: str | None = None
    storage_config: (
        Annotated[
            Annotated[RegistryStorage, Tag("#mapping")] | Annotated[list[str], Tag("#list")], Discriminator(shape)
        ]
        | None
    ) = None
    acr_config: list[RegistryImages] | None = None


class Publisher(Part):
    """Who owns what a registry holds."""

    publisher: str | None = None
    protection_level: str | None = None


class Registry(Document):
    """A registry shared by workspaces."""

    name: str
    location: str
    description: str | None = None
    tags: Tags | None = None
    id: str | None = None
    identity: WorkspaceIdentity | None = None
    public_network_access: Annotated[Literal["disabled", "enabled"], AnyCase] | None = None
    replication_locations: list[RegistryRegion]
    intellectual_property: Publisher | None = None
    container_registry: RegistryImages | None = None
    managed_resource_group: str | None = None
    managed_resource_group_tags: Tags | None = None
    mlflow_registry_uri: str | None = None
    discovery_url: str | None = None
    kind: str | None = None
    sku: Any = None
    properties: Tags | None = None
