"""`tidemill az …` and `tidemill az-shim DIR`: for scripts that call `az`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from tidemill.app.azure_cli import answer, write_shim
from tidemill.app.settings import read_settings
from tidemill.base.errors import UsageError
from tidemill.cli.main import run_command_line
from tidemill.cli.output import FORMATS, print_value
from tidemill.cli.without_effect import ERRORS_ONLY

NOUN_AND_VERB = 2  # words after `ml`
GLOBAL_FLAGS = {ERRORS_ONLY, "--debug", "--verbose"}
PASSED_ON = {"--output": "-o", "-o": "-o", "--query": "--query"}


@click.command(
    "az", context_settings={"ignore_unknown_options": True, "help_option_names": [], "allow_interspersed_args": False}
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def az(words: tuple[str, ...]) -> int:
    """Behave as `az`: `ml …` acts on the local workspace; login, account, extension and the like succeed and change nothing."""
    argv = [w for w in words if w not in GLOBAL_FLAGS]
    if not argv or argv[0] in {"-h", "--help"}:
        click.echo(click.get_current_context().get_help())
        return 0
    if argv[:1] == ["ml"]:
        quiet = (
            [ERRORS_ONLY]
            if ERRORS_ONLY in words and len(argv) > NOUN_AND_VERB and not {"-h", "--help"} & set(argv)
            else []
        )
        return run_command_line([*argv[1:], *quiet])
    argv, fmt, query = _split_output(argv)
    value = answer(argv, read_settings())
    if value is None and argv[:1] != ["configure"]:
        sys.stderr.write(
            f"tidemill: `az {' '.join(w for w in argv[:2] if not w.startswith('-'))}` needs nothing here; no change.\n"
        )
    print_value(value, fmt=fmt, query=query)
    return 0


def _split_output(argv: Sequence[str]) -> tuple[list[str], str, str | None]:
    """Take `-o FORMAT` and `--query Q` (also as `--output=FORMAT`) out of the words."""
    rest: list[str] = []
    taken: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name in PASSED_ON:
            taken[PASSED_ON[name]] = value if equals else next(words, "")
        else:
            rest.append(word)
    fmt = taken.get("-o", "json")
    if fmt not in FORMATS:
        raise UsageError(f"`{fmt}` is no output format", hint=f"One of: {', '.join(FORMATS)}")
    return rest, fmt, taken.get("--query")


@click.command("az-shim")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def az_shim(folder: Path) -> None:
    """Write an executable `az` into FOLDER; put FOLDER first on PATH and scripts use the local workspace."""
    path = write_shim(folder)
    click.echo(f"Wrote {path}. Use it with: export PATH={path.parent.absolute()}:$PATH", err=True)


COMMANDS = {"az": az, "az-shim": az_shim}
