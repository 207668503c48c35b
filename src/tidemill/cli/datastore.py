"""`tidemill datastore …`."""

from __future__ import annotations

from tidemill.cli.declared import make_group

COMMANDS = {"datastore": make_group("datastore", "Where bytes live.")}
