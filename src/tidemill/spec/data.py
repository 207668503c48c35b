"""Data assets."""

from __future__ import annotations

from typing import Any, Literal

from tidemill.spec.fields import Asset, Part, Tags, Text

AssetType = Literal["uri_file", "uri_folder", "mltable"]


class Data(Asset):
    """A versioned file, folder or table."""

    name: Text | None = None
    version: Text | None = None
    description: str | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    type: AssetType = "uri_folder"
    path: str
    datastore: str | None = None


class ImportSource(Part):
    """Where imported data comes from: a query on a database, or a path on a file system."""

    type: str | None = None
    connection: str
    query: str | None = None
    table_name: str | None = None
    path: str | None = None
    stored_procedure: str | None = None
    stored_procedure_params: list[dict[str, Any]] | None = None


class DataImport(Asset):
    """Data brought in from elsewhere and kept as an asset."""

    name: Text | None = None
    version: Text | None = None
    description: str | None = None
    tags: Tags | None = None
    properties: Tags | None = None
    type: AssetType = "uri_folder"
    source: ImportSource
    path: str
    datastore: str | None = None
