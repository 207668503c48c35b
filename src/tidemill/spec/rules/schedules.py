"""Schedules and computes: the file a schedule starts, and names Azure admits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tidemill.base.findings import Finding
from tidemill.spec.rules.context import Context
from tidemill.spec.rules.documents import missing_path

COMPUTE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,30}[A-Za-z0-9]\Z")
STORE_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")


def check_schedule(context: Context) -> Iterator[Finding]:
    """The job or import file a schedule names."""
    document = context.document
    job = document.create_job
    if isinstance(job, str):
        yield from missing_path(context, job, ("create_job",), "job")
    elif job is not None:
        yield from missing_path(context, job.job, ("create_job", "job"), "job")
    if isinstance(document.import_data, str):
        yield from missing_path(context, document.import_data, ("import_data",), "data import")


def check_compute_name(context: Context) -> Iterator[Finding]:
    """Computes are named like machines."""
    name = context.document.name
    if not COMPUTE_NAME.match(name):
        hint = "A letter, then letters, digits and `-`; 2 to 32 characters, not ending in `-`."
        yield context.finding("TM-D201", f"`{name}` cannot name a compute", ("name",), hint=hint)


def check_store_name(context: Context) -> Iterator[Finding]:
    """Datastores are named like variables."""
    name = context.document.name
    if not STORE_NAME.match(name):
        hint = "Letters, digits, `_` and `-`."
        yield context.finding("TM-D201", f"`{name}` cannot name a datastore", ("name",), hint=hint)
