"""`tidemill schedule …`."""

from __future__ import annotations

from tidemill.cli.declared import make_group

COMMANDS = {"schedule": make_group("schedule", "Jobs and monitors that start by themselves; kept and shown.")}
