"""`tidemill environment …`."""

from __future__ import annotations

from tidemill.cli.assets import make_group

COMMANDS = {"environment": make_group("environment", "Images and packages steps run in.")}
