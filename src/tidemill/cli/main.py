"""The door: finds the command, changes folder, and turns every ending into words and an exit code."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
import threading
import traceback
from contextlib import suppress
from typing import Any, NoReturn

import click

from tidemill import __version__
from tidemill.base.errors import EXIT_BUG, InterruptedRun, TidemillError
from tidemill.base.imports import spare_plugins
from tidemill.cli.answers import remember_yes
from tidemill.cli.errors import print_error
from tidemill.cli.examples import with_examples
from tidemill.cli.folder import change_folder
from tidemill.cli.intents import explain_unknown
from tidemill.cli.scripts import AZURE_NOUNS, complete, explain_azure_noun
from tidemill.cli.words import regroup

VERBS = {
    "check": ("check", "Validate files or folders: every finding with its place and a way out."),
    "plan": ("plan", "Show the resolved graph: what would run, what is cached and why."),
    "run": ("run", "Run a job here and wait, with live progress."),
    "up": ("up", "Make the project's declared state true: run, register, gate, deploy, smoke test."),
    "status": ("up", "Show what is there: endpoints, deployments, versions."),
    "down": ("up", "Take down what `up` started."),
    "serve": ("serve", "Serve one registered model or model folder."),
    "feedback": ("feedback", "Say what turned out to be true of served requests; join it to what was recorded."),
    "gate": ("gate", "Judge a model version by its gates, without deploying it."),
    "render": ("render", "Print or write the objects `up` would apply: YAML, Kustomize, Helm, compose."),
    "history": ("release", "What served a stage, since when, who approved it."),
    "promote": ("release", "Move a model version to the next stage, with its evidence."),
    "rollback": ("release", "Put the previous version back, and keep it there."),
    "gc": ("gc", "Collect what nothing refers to any more."),
    "doctor": ("doctor", "Explain this machine: what works here and what is missing."),
}
NOUNS = {
    "job": "Create, follow, list, download and cancel jobs.",
    "component": "Reusable, versioned job definitions.",
    "environment": "Images and packages steps run in.",
    "data": "Data assets.",
    "datastore": "Where bytes live.",
    "model": "Registered models.",
    "preview": "The stack of a branch in a namespace of its own.",
    "keys": "Keys that sign models and images.",
    "compute": "Where steps run.",
    "online-endpoint": "Stable addresses that answer requests.",
    "online-deployment": "Versions running behind an online endpoint.",
    "batch-endpoint": "Stable addresses that start scoring jobs.",
    "batch-deployment": "Scoring jobs behind a batch endpoint.",
    "schedule": "When jobs start: kept and shown, started by `trigger`.",
    "workspace": "The local workspace.",
    "registry": "Assets that several workspaces share.",
    "connection": "Addresses and credentials of other services.",
}
# A command makes some 100,000 objects that stay until it ends; looking through them every 700 costs a tenth of its start.
GC_OBJECTS = 100_000

EXTRA = {
    "az": ("az", "Behave as `az` for scripts that call it."),
    "az-shim": ("az", "Write an executable `az` into a folder."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when it is called, so that `--help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, verbs first."""
        del ctx
        return [n for n in (*VERBS, *NOUNS, *EXTRA) if _module_of(n)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of `cmd_name` and take its command."""
        del ctx
        module = _module_of(cmd_name)
        if module is None:
            return None
        found: Any = importlib.import_module(f"tidemill.cli.{module}")
        command: click.Command = found.COMMANDS[cmd_name]
        return with_examples(cmd_name, complete(cmd_name, command) if isinstance(command, click.Group) else command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, with a suggestion for a name that is nearly right."""
        if args and args[0] in AZURE_NOUNS:
            raise explain_azure_noun(args[0])
        if args and not args[0].startswith("-") and _module_of(args[0]) is None:
            hint = explain_unknown(args[0], [*VERBS, *NOUNS, *EXTRA])
            raise click.UsageError(f"No such command `{args[0]}`. {hint}".rstrip(), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs people type, then the nouns of az, without importing any of them."""
        del ctx
        texts = {n: t for n, (_, t) in VERBS.items()}
        extra = {n: t for n, (_, t) in EXTRA.items()}
        for title, rows in (("Verbs", texts), ("Nouns (as `az ml`)", NOUNS), ("For scripts", extra)):
            with formatter.section(title):
                formatter.write_dl([(n, t) for n, t in rows.items() if _module_of(n)])


def _module_of(name: str) -> str | None:
    if name in VERBS:
        return VERBS[name][0]
    if name in EXTRA:
        return EXTRA[name][0]
    return name.replace("-", "_") if name in NOUNS else None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="tidemill")
@click.option(
    "-C",
    "start_in",
    metavar="DIR",
    callback=change_folder,
    expose_value=False,
    is_eager=True,
    help="As if started in DIR.",
)
@click.option(
    "--yes", "-y", is_flag=True, expose_value=False, callback=remember_yes, help="Answer yes to every question."
)
def tidemill() -> None:
    """Run Azure ML projects anywhere, and keep the model they train alive."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 usage, 3 our bug, 4 outside system, 130 interrupted."""
    gc.set_threshold(GC_OBJECTS)
    spare_plugins()
    _leave(run_command_line(sys.argv[1:] if argv is None else argv))


def _leave(code: int) -> NoReturn:
    """End now. Python would look through and take apart all objects first: 30 ms, for memory that goes with the process.

    What registered itself for the end is called before. With threads that have to be waited for Python ends as ever.
    """
    gc.freeze()
    if any(not t.daemon for t in threading.enumerate() if t is not threading.main_thread()):
        sys.exit(code)
    atexit._run_exitfuncs()  # noqa: SLF001 - in the standard library for this since Python 3.0
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # after an error, which was told, there may be no place for the rest
            stream.flush()
    os._exit(code)


def run_command_line(argv: list[str]) -> int:
    """The exit code of one command line; words go to stderr."""
    try:
        code = tidemill.main(args=regroup(argv, frozenset(NOUNS)), prog_name="tidemill", standalone_mode=False)
        sys.stdout.flush()  # what cannot be written is known now
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.ClickException as exc:
        exc.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return _say_interrupted()
    except TidemillError as exc:
        print_error(exc)
        return exc.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as exc:
        return _outside_error(exc)
    except Exception as exc:  # noqa: BLE001 - the one boundary; everything unexpected is ours to explain
        return _say_interrupted() if _is_interrupt(exc) else _report_bug()
    return code if isinstance(code, int) else 0


def _say_interrupted() -> int:
    sys.stderr.write("interrupted\n")
    return InterruptedRun.exit_code


def _is_interrupt(exc: BaseException | None) -> bool:
    """Whether this is Ctrl-C in other words: libraries wrap what it raised, those that are not Python quote it."""
    while exc is not None:
        if isinstance(exc, KeyboardInterrupt) or "KeyboardInterrupt" in str(exc):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


def _outside_error(exc: OSError) -> int:
    """The machine said no (disk full, no permission): an outside system, in one line."""
    where = f" `{exc.filename}`" if exc.filename else ""
    print_error(
        TidemillError(
            f"{exc.strerror or exc}{where}",
            hint="Free space or permissions may be missing; nothing half-written was kept.",
        )
    )
    return 4


def _report_bug() -> int:
    """Traceback and versions, ready to paste."""
    traceback.print_exc()
    sys.stderr.write(
        f"\nThis is a bug in tidemill {__version__} (Python {sys.version.split()[0]}, {sys.platform}).\n"
        "Please report it with the lines above.\n"
    )
    return EXIT_BUG
