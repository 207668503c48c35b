"""`tidemill data …`."""

from __future__ import annotations

from tidemill.cli.assets import make_group

COMMANDS = {"data": make_group("data", "Data assets.")}
