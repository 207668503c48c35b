"""Datastores: named places for bytes, with what lets one in."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag, field_validator
from pydantic_core import PydanticCustomError

from tidemill.spec.fields import Document, Part, Tags
from tidemill.spec.scalars import AnyCase, by_key


class StoreCredentials(Part):
    """A key, a token, a service principal or a certificate; empty for one's own identity."""

    account_key: str | None = None
    sas_token: str | None = None
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    certificate: str | None = None
    thumbprint: str | None = None
    authority_url: str | None = None
    resource_url: str | None = None
    type: str | None = None


class KerberosCredentials(Part):
    """How HDFS knows us."""

    kerberos_realm: str
    kerberos_kdc_address: str
    kerberos_principal: str
    kerberos_password: str | None = None
    kerberos_keytab: str | None = None


_SETS: tuple[frozenset[str], ...] = (
    frozenset(("account_key",)),
    frozenset(("sas_token",)),
    frozenset(("tenant_id", "client_id", "client_secret")),
    frozenset(("tenant_id", "client_id", "thumbprint")),
)


class AnyDatastore(Document):
    """What every datastore has."""

    name: str
    description: str | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    id: str | None = None


class StorageDatastore(AnyDatastore):
    """What the Azure ones have."""

    credentials: StoreCredentials | None = None
    endpoint: str | None = None
    protocol: str | None = None

    @field_validator("credentials")
    @classmethod
    def _complete(cls, value: StoreCredentials | None) -> StoreCredentials | None:
        given = value.model_fields_set if value is not None else set()
        if given and not any(needed <= given for needed in _SETS):
            raise PydanticCustomError(
                "TM-D102",
                "Credentials need `account_key`, or `sas_token`, or `tenant_id`, `client_id` and a secret or thumbprint",
            )
        return value


class BlobDatastore(StorageDatastore):
    """A container of Azure Blob Storage."""

    type: Annotated[Literal["azure_blob"], AnyCase]
    account_name: str
    container_name: str


class FileDatastore(StorageDatastore):
    """A share of Azure Files."""

    type: Annotated[Literal["azure_file"], AnyCase]
    account_name: str
    file_share_name: str


class LakeGen2Datastore(StorageDatastore):
    """A file system of Data Lake Storage Gen2."""

    type: Annotated[Literal["azure_data_lake_gen2"], AnyCase]
    account_name: str
    filesystem: str


class LakeGen1Datastore(StorageDatastore):
    """A store of Data Lake Storage Gen1."""

    type: Annotated[Literal["azure_data_lake_gen1"], AnyCase]
    store_name: str


class LakehouseArtifact(Part):
    """The lakehouse in a Fabric workspace."""

    type: Annotated[Literal["lake_house"], AnyCase] | None = None
    name: str


class OneLakeDatastore(StorageDatastore):
    """A lakehouse of Microsoft Fabric."""

    type: Annotated[Literal["one_lake"], AnyCase]
    one_lake_workspace_name: str
    artifact: LakehouseArtifact


class HdfsDatastore(AnyDatastore):
    """A Hadoop file system."""

    type: Annotated[Literal["hdfs"], AnyCase]
    name_node_address: str
    hdfs_server_certificate: str | None = None
    protocol: str | None = None
    credentials: KerberosCredentials


def _type(value: Any) -> str | None:  # noqa: ANN401 - before validation
    word = by_key("type")(value)
    return word.replace("_gen_", "_gen") if word else None


Datastore = Annotated[
    Annotated[BlobDatastore, Tag("#azure_blob")]
    | Annotated[FileDatastore, Tag("#azure_file")]
    | Annotated[LakeGen2Datastore, Tag("#azure_data_lake_gen2")]
    | Annotated[LakeGen1Datastore, Tag("#azure_data_lake_gen1")]
    | Annotated[OneLakeDatastore, Tag("#one_lake")]
    | Annotated[HdfsDatastore, Tag("#hdfs")],
    Discriminator(_type),
]
"""Any datastore document, chosen by `type`."""
