"""`tidemill workspace …`."""

from __future__ import annotations

from tidemill.cli.declared import make_group

COMMANDS = {"workspace": make_group("workspace", "The local workspace.")}
