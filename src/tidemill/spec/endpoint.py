"""Online and batch endpoints: stable addresses."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tidemill.spec.fields import Document, Identity, Part, Tags, Text

Percent = Annotated[int, Field(ge=0, le=100)]


def _as_written(value: Any) -> Any:  # noqa: ANN401
    """`key`, `Key` and `AMLToken` are all in use."""
    if not isinstance(value, str):
        return value
    return {"amltoken": "aml_token", "aadtoken": "aad_token"}.get(value.casefold().replace("_", ""), value.casefold())


AuthMode = Annotated[Literal["key", "aml_token", "aad_token"], BeforeValidator(_as_written)]


class OnlineEndpoint(Document):
    """An address that answers requests, with traffic shared among deployments."""

    name: Text | None = None
    description: str | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    auth_mode: AuthMode = "key"
    type: Literal["online", "managed", "kubernetes"] | None = None
    compute: str | None = None
    identity: Identity | None = None
    traffic: dict[str, Percent] | None = None
    mirror_traffic: dict[str, Percent] | None = None
    public_network_access: str | None = None
    location: str | None = None
    kind: str | None = None
    scoring_uri: str | None = None
    openapi_uri: str | None = None
    provisioning_state: str | None = None
    id: str | None = None


class BatchDefaults(Part):
    """Which deployment answers when none is named."""

    deployment_name: str | None = None


class BatchEndpoint(Document):
    """An address that starts scoring jobs."""

    name: Text | None = None
    description: str | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    auth_mode: AuthMode = "aad_token"
    type: Literal["batch"] | None = None
    identity: Identity | None = None
    defaults: BatchDefaults | None = None
    location: str | None = None
    scoring_uri: str | None = None
    openapi_uri: str | None = None
    provisioning_state: str | None = None
    id: str | None = None
