"""`tidemill compute …`."""

from __future__ import annotations

from tidemill.cli.declared import make_group, make_switch

_group = make_group("compute", "Where steps run: documents with a state; here they cost nothing.")
for _verb in ("start", "stop"):
    _group.add_command(make_switch(_verb))

COMMANDS = {"compute": _group}
