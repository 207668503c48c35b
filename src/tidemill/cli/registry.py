"""`tidemill registry …`."""

from __future__ import annotations

from tidemill.cli.declared import make_group

COMMANDS = {"registry": make_group("registry", "Assets that several workspaces share; here a part of this one.")}
