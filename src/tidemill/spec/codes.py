"""Every code a finding can have, from the tables of those who give them.

TM-D0xx the file · TM-D1xx its fields · TM-D2xx names · TM-B1xx bindings, inputs and graphs · TM-R1xx references and paths
TM-S1xx sweeps · TM-P1xx parallel · TM-L1xx deployments · TM-C1xx schedules and computes · TM-E1xx environments
TM-N1xx what a run noticed · TM-Xnn a repository. To add a table: write the rows beside what gives them, name them below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidemill.spec import (
    codes_of_bindings,
    codes_of_documents,
    codes_of_kinds,
    codes_of_models,
    codes_of_repository,
    codes_of_runs,
    codes_of_safety,
)
from tidemill.spec.code import Code

__all__ = ["CODES", "ROWS", "Code"]

TABLES: Sequence[Sequence[Code]] = (
    codes_of_documents.ROWS,
    codes_of_bindings.ROWS,
    codes_of_kinds.ROWS,
    codes_of_runs.ROWS,
    codes_of_repository.ROWS,
    codes_of_safety.ROWS,
    codes_of_models.ROWS,
)
ROWS: tuple[Code, ...] = tuple(row for table in TABLES for row in table)
CODES: Mapping[str, Code] = {row.code: row for row in ROWS}
