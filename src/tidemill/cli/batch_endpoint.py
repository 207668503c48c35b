"""`tidemill batch-endpoint …`."""

from __future__ import annotations

from tidemill.cli.declared import make_group

COMMANDS = {"batch-endpoint": make_group("batch-endpoint", "Stable addresses that start scoring jobs; kept and shown.")}
