"""Options of az that change nothing here: they are taken, and one line says that they do nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

ERRORS_ONLY = "--only-show-errors"
HELP = "Accepted for az scripts; no effect here."
WAITS = "a command returns when it is done"
_SAID = "tidemill.without_effect"
_SILENT = "tidemill.only_show_errors"

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def without_effect(*flags: str, is_flag: bool = False, metavar: str | None = None, why: str = "") -> Decorator:
    """An option that is taken and does nothing; `why` says what is so instead."""
    return click.option(
        *flags, is_flag=is_flag, metavar=metavar, expose_value=False, help=HELP, callback=_make_note(why)
    )


def option_without_effect(flag: str, *, is_flag: bool) -> click.Option:
    """The same as an object, for commands that are there already."""
    return click.Option(
        [flag],
        is_flag=is_flag,
        metavar=None if is_flag else "VALUE",
        expose_value=False,
        help=HELP,
        callback=_make_note(WAITS if flag == "--no-wait" else ""),
    )


def only_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--only-show-errors`: nothing is said about options without effect."""
    return click.option(ERRORS_ONLY, is_flag=True, expose_value=False, hidden=True, is_eager=True, callback=_be_silent)(
        function
    )


def _be_silent(context: click.Context, option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's shape
    del option
    context.meta[_SILENT] = value


def _make_note(why: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """An eager option was read before, wherever it stands, so that the note knows whether it is wanted."""

    def note(context: click.Context, option: click.Parameter, value: Any) -> None:  # noqa: ANN401 - a flag or a text
        flag = max(option.opts, key=len)
        said: set[str] = context.meta.setdefault(_SAID, set())
        if value and flag not in said and not context.meta.get(_SILENT):
            said.add(flag)
            click.echo(f"note: `{flag}` has no effect here{f': {why}' if why else ''}", err=True)

    return note


no_wait = without_effect("--no-wait", is_flag=True, why=WAITS)
unchecked_script = without_effect("--skip-script-validation", is_flag=True)
web = without_effect("--web", is_flag=True, why="`job show` says what Azure's page would")
