"""`tidemill component …`."""

from __future__ import annotations

from tidemill.cli.assets import make_group

COMMANDS = {"component": make_group("component", "Reusable, versioned job definitions.")}
