"""`tidemill connection …`."""

from __future__ import annotations

from tidemill.cli.declared import make_group

COMMANDS = {"connection": make_group("connection", "Addresses of other services; what lets us in is not kept.")}
