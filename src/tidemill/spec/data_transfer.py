"""Data transfer: copies inside Azure, imports from and exports to databases and file systems, as steps or components."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from tidemill.spec.command import ComponentFields, Reference
from tidemill.spec.fields import Part
from tidemill.spec.scalars import AnyCase, shape
from tidemill.spec.step import StepFields

Task = Annotated[Literal["copy_data", "import_data", "export_data"], AnyCase]
CopyMode = Annotated[Literal["merge_with_overwrite", "fail_if_conflict"], AnyCase]


class TransferEnd(Part):
    """The outside end of a transfer: a table or query of a database, or a path on a file system."""

    type: Annotated[Literal["database", "file_system"], AnyCase] | None = None
    connection: str | None = None
    query: str | None = None
    table_name: str | None = None
    stored_procedure: str | None = None
    stored_procedure_params: list[dict[str, Any]] | None = None
    path: str | None = None


EndField = Annotated[Annotated[TransferEnd, Tag("#mapping")] | Annotated[str, Tag("#text")], Discriminator(shape)]


class DataTransferComponent(ComponentFields):
    """A reusable transfer."""

    type: Annotated[Literal["data_transfer"], AnyCase] = "data_transfer"
    task: Task
    data_copy_mode: CopyMode | None = None
    source: EndField | None = None
    sink: EndField | None = None


class DataTransferStep(StepFields):
    """A transfer among the steps of a pipeline."""

    type: Annotated[Literal["data_transfer"], AnyCase]
    task: Task | None = None
    component: (
        Annotated[
            Annotated[Reference, Tag("#text")] | Annotated[DataTransferComponent, Tag("#mapping")], Discriminator(shape)
        ]
        | None
    ) = None
    data_copy_mode: CopyMode | None = None
    source: EndField | None = None
    sink: EndField | None = None
