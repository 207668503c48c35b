"""What people answered before they were asked: `--yes`."""

from __future__ import annotations

import click

_YES = "tidemill.yes"


def remember_yes(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's shape
    """Keep that every question is answered with yes, said before or after the command."""
    if value:
        context.meta[_YES] = True


def is_yes() -> bool:
    """Whether every question of this command line is answered with yes."""
    return bool(click.get_current_context().meta.get(_YES))
