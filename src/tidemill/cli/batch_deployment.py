"""`tidemill batch-deployment …`."""

from __future__ import annotations

from tidemill.cli.declared import make_group

COMMANDS = {"batch-deployment": make_group("batch-deployment", "Scoring jobs behind a batch endpoint; kept and shown.")}
