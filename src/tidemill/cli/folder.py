"""`-C DIR`."""

from __future__ import annotations

import os

import click


def change_folder(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """`-C DIR`: everything after happens as if started there."""
    del ctx, param
    if value is not None:
        try:
            os.chdir(value)
        except OSError as exc:
            raise click.UsageError(f"Cannot go to `{value}`: {exc.strerror}") from exc
    return value
