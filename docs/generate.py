"""Write docs/reference from the code; `--check` fails when a page is not current."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import BaseModel

from tidemill.base import errors
from tidemill.cli.examples import examples_of
from tidemill.cli.main import tidemill
from tidemill.spec.codes import CODES
from tidemill.spec.mends import MENDS
from tidemill.spec.models import MODELS

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- written by docs/generate.py; change the code, then run `make docs` -->\n\n"


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command below `group` with its full name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def cli_page() -> str:
    """One section a command: what it does, its arguments and options."""
    lines = ["# Commands\n"]
    for path, command in commands(tidemill, "tidemill"):
        lines.append(f"\n## `{path}`\n\n{inspect.cleandoc(command.help or command.short_help or '')}\n")
        rows = [parameter_row(p) for p in command.params]
        if rows:
            lines.append("\n| argument or option | meaning |\n|---|---|\n" + "".join(rows))
        shown = examples_of(path.partition(" ")[2])
        if shown:
            lines.append("\n```console\n" + "".join(f"$ {line}\n" for line in shown) + "```\n")
    return "".join(lines)


def parameter_row(parameter: click.Parameter) -> str:
    """A table row for one argument or option."""
    if isinstance(parameter, click.Option):
        names = ", ".join(f"`{o}`" for o in (*parameter.opts, *parameter.secondary_opts))
        choices = (
            f" One of: {', '.join(map(str, parameter.type.choices))}."
            if isinstance(parameter.type, click.Choice)
            else ""
        )
        return f"| {names} | {parameter.help or ''}{choices} |\n"
    return f"| `{parameter.human_readable_name}` | |\n"


def codes_page() -> str:
    """One section a code: what, why, how to mend, an example."""
    lines = [
        "# Findings\n\nEvery finding of `tidemill check`, `run` and `up`. `tidemill check --explain CODE` prints the same.\n"
    ]
    for row in sorted(CODES.values(), key=lambda r: r.code):
        lines.append(
            f"\n## {row.code}: {row.title}\n\n*{row.severity}.* {row.what}\n\n**Why.** {row.why}\n\n**Mend.** {row.mend}"
            + (" `--fix` does it where that takes no judgement.\n" if row.code in MENDS else "\n")
        )
        if row.example:
            lines.append(f"\n```yaml\n{row.example.rstrip()}\n```\n")
    return "".join(lines)


def kinds_page() -> str:
    """One section a document kind with its fields."""
    lines = ["# Documents\n\nThe Azure ML CLI v2 documents Tidemill reads, and every field of each.\n"]
    for kind, model in sorted(MODELS.items()):
        lines.append(f"\n## {str(kind).replace('_', ' ')}\n")
        for shape in shapes(model):
            lines.append(f"\n{(shape.__doc__ or '').strip()}\n\n| field | required |\n|---|---|\n")
            for name, field in shape.model_fields.items():
                lines.append(f"| `{field.alias or name}` | {'yes' if field.is_required() else ''} |\n")
    return "".join(lines)


def shapes(model: Any) -> Iterator[type[BaseModel]]:
    """The models of a kind: one, or the members of a union, by what they are typed."""
    if isinstance(model, type):
        if issubclass(model, BaseModel):
            yield model
        return
    for member in get_args(model):
        yield from shapes(member)


def exit_codes_page() -> str:
    """The table of exit codes, from the error tree."""
    return f"# Exit codes\n\n0 is done.\n\n```text\n{(errors.__doc__ or '').strip()}\n```\n"


def pages() -> Mapping[str, str]:
    """File name → content."""
    return {
        "commands.md": cli_page(),
        "findings.md": codes_page(),
        "documents.md": kinds_page(),
        "exit-codes.md": exit_codes_page(),
    }


def main() -> int:
    """Write the pages, or say which are not current."""
    stale = 0
    for name, text in pages().items():
        path = REFERENCE / name
        content = NOTE + text
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != content:
            sys.stderr.write(f"{path} is not current: run `make docs`\n")
            stale += 1
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
