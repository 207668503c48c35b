"""Workspace connections: where something outside is, and what lets us in."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Tag, model_validator
from pydantic_core import PydanticCustomError

from tidemill.spec.fields import Document, Part, Tags, Text
from tidemill.spec.scalars import AnyCase, by_key, snake

_NEEDS: dict[str, tuple[str, ...]] = {
    "api_key": ("api_key", "api_base"),
    "open_ai": ("api_key",),
    "serp": ("api_key",),
    "serverless": ("api_key",),
    "azure_blob": ("account_name", "container_name"),
    "azure_open_ai": ("azure_endpoint",),
    "azure_ai_search": ("endpoint",),
    **dict.fromkeys(
        (
            "git",
            "python_feed",
            "container_registry",
            "s3",
            "snowflake",
            "azure_sql_db",
            "azure_synapse_analytics",
            "azure_my_sql_db",
            "azure_postgres_db",
            "azure_data_lake_gen2",
        ),
        ("target",),
    ),
}
"""Fields a type of connection cannot do without."""

_TYPES = frozenset(
    [
        "git",
        "container_registry",
        "python_feed",
        "s3",
        "snowflake",
        "azure_sql_db",
        "azure_synapse_analytics",
        "azure_my_sql_db",
        "azure_postgres_db",
        "custom",
        "azure_data_lake_gen2",
        "azure_blob",
        "azure_one_lake",
        "azure_open_ai",
        "azure_ai_services",
        "cognitive_search",
        "azure_ai_search",
        "azure_content_safety",
        "cognitive_service",
        "azure_speech_services",
        "api_key",
        "open_ai",
        "serp",
        "serverless",
        "feature_store",
        "azure_mysql_db",
        "azure_postgresql_db",
        "generic_container_registry",
        "ml_feature_store",
        "bing_llm_search",
        "redis",
        "elasticsearch",
        "ado_git",
        "app_config",
        "databricks",
        "managed_online_endpoint",
    ]
)


def _type(value: str) -> str:
    word = snake(value)
    if word not in _TYPES:
        raise PydanticCustomError("TM-D103", "`{value}` is no type of connection", {"value": value})
    return word


class PatToken(Part):
    """A personal access token."""

    type: Annotated[Literal["pat"], AnyCase]
    pat: str


class SasToken(Part):
    """A shared access signature."""

    type: Annotated[Literal["sas"], AnyCase]
    sas_token: str | None = None


class UsernamePassword(Part):
    """A name and a password."""

    type: Annotated[Literal["username_password"], AnyCase]
    username: str
    password: str


class ManagedIdentity(Part):
    """An identity Azure manages."""

    type: Annotated[Literal["managed_identity"], AnyCase]
    client_id: str | None = None
    resource_id: str | None = None


class ServicePrincipal(Part):
    """An application's identity."""

    type: Annotated[Literal["service_principal"], AnyCase]
    client_id: str | None = None
    client_secret: str
    tenant_id: str | None = None


class AccessKey(Part):
    """A pair of keys."""

    type: Annotated[Literal["access_key"], AnyCase]
    access_key_id: str
    secret_access_key: str


class ApiKey(Part):
    """One key."""

    type: Annotated[Literal["api_key"], AnyCase]
    key: str


class AccountKey(Part):
    """A storage account's key."""

    type: Annotated[Literal["account_key"], AnyCase]
    account_key: str | None = None


class NoSecret(Part):
    """The caller's own identity, or none."""

    type: Annotated[Literal["aad", "none", "user_identity"], AnyCase]


ConnectionCredentials = Annotated[
    Annotated[PatToken, Tag("#pat")]
    | Annotated[SasToken, Tag("#sas")]
    | Annotated[UsernamePassword, Tag("#username_password")]
    | Annotated[ManagedIdentity, Tag("#managed_identity")]
    | Annotated[ServicePrincipal, Tag("#service_principal")]
    | Annotated[AccessKey, Tag("#access_key")]
    | Annotated[ApiKey, Tag("#api_key")]
    | Annotated[AccountKey, Tag("#account_key")]
    | Annotated[NoSecret, Tag("#aad")]
    | Annotated[NoSecret, Tag("#none")]
    | Annotated[NoSecret, Tag("#user_identity")],
    Discriminator(by_key("type")),
]
"""What a connection authenticates with, chosen by `type`."""


class ConnectedArtifact(Part):
    """The lakehouse a OneLake connection leads to."""

    name: str | None = None
    type: str | None = None
    workspace_name: str | None = None
    endpoint: str | None = None


class Connection(Document):
    """A named way to something outside; which fields it needs depends on `type`."""

    name: Text | None = None
    type: Annotated[str, AfterValidator(_type)]
    target: str | None = None
    description: str | None = None
    credentials: ConnectionCredentials | None = None
    tags: Tags | None = None
    metadata: dict[str, Any] | None = None
    is_shared: bool | None = None
    id: str | None = None
    api_key: str | None = None
    api_base: str | None = None
    api_version: Text | None = None
    api_type: str | None = None
    azure_endpoint: str | None = None
    open_ai_resource_id: str | None = None
    ai_services_resource_id: str | None = None
    endpoint: str | None = None
    url: str | None = None
    account_name: str | None = None
    container_name: str | None = None
    artifact: ConnectedArtifact | None = None
    one_lake_workspace_name: str | None = None
    creation_context: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [name for name in _NEEDS.get(self.type, ()) if getattr(self, name) is None]
        if missing:
            raise PydanticCustomError(
                "TM-D102",
                "A `{type}` connection needs `{missing}`",
                {"type": self.type, "missing": "`, `".join(missing)},
            )
        return self
