"""`tidemill job …`."""

from __future__ import annotations

import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidemill.app.jobs import cancel_job, download_job, list_jobs, show_job, stream_job, update_job
from tidemill.app.run import RunRequest, load_job, resume_job, run_job
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.base.files import write_atomic
from tidemill.cli.errors import print_findings
from tidemill.cli.options import (
    edit_options,
    everywhere,
    executor_option,
    list_options,
    name_option,
    noun_options,
    output_options,
    set_option,
)
from tidemill.cli.output import format_value, has_tag, print_value
from tidemill.cli.progress import Progress
from tidemill.cli.run import report
from tidemill.cli.without_effect import web, without_effect
from tidemill.spec.edits import parse_edits
from tidemill.spec.overrides import parse_override

if TYPE_CHECKING:
    from collections.abc import Callable


def required_name(function: Callable[..., Any]) -> Callable[..., Any]:
    """The job's name: `-n NAME` as in az, or the bare NAME."""

    @wraps(function)
    def called(*, bare_name: str | None, name: str | None, **rest: Any) -> Any:  # noqa: ANN401 - a command's own options and answer
        if bare_name is not None and name not in {None, bare_name}:
            raise click.UsageError(f"Two names: `{bare_name}` and `-n {name}`. Give one.")
        found = name or bare_name
        if not found:
            raise click.UsageError("Which job? Give its name: NAME, or -n NAME.")
        return function(name=found, **rest)

    option = click.option("-n", "--name", "name", metavar="NAME", help="Name of the job.")
    return click.argument("bare_name", metavar="[NAME]", required=False)(option(called))


@click.group("job")
def job() -> None:
    """Create, follow, list, download and cancel jobs."""


@job.command("create")
@click.option(
    "-f",
    "--file",
    "file",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The job's YAML document.",
)
@name_option
@set_option
@click.option("--stream", is_flag=True, help="Print every step's log as it is written.")
@web
@click.option("--save-as", "-a", type=click.Path(path_type=Path), help="Write what `show` says to this YAML file.")
@click.option("--relax-pins", is_flag=True, help="Loosen just the package pins that cannot be had here, and record it.")
@executor_option
@noun_options
def create(
    file: Path,
    name: str | None,
    overrides: tuple[str, ...],
    fmt: str,
    query: str | None,
    *,
    stream: bool,
    relax_pins: bool,
    executor: str,
    save_as: Path | None,
) -> int:
    """Run a job here to its end (a job that ran is a job that was created); exit code 0 only if it completed."""
    request = RunRequest(
        file, tuple(parse_override(o) for o in overrides), name, relax_pins=relax_pins, executor=executor
    )
    with open_app(read_settings(file)) as app:
        with Progress(stream_logs=stream) as progress:
            result = run_job(app, request, [progress], lambda found: print_findings(found, sys.stderr))
        if save_as is not None:
            write_atomic(save_as, format_value(show_job(app, result.name), "yaml"))
        if result.ok:
            print_value(show_job(app, result.name), fmt=fmt, query=query)
        else:
            report(result, fmt, query)
    return 0 if result.ok else 1


@job.command("validate")
@click.option(
    "-f", "--file", "file", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The job's document."
)
@set_option
@noun_options
def validate(file: Path, overrides: tuple[str, ...], fmt: str, query: str | None) -> None:
    """Whether a job document is valid, without running it; exit code 2 with every finding when it is not."""
    loaded = load_job(file, [parse_override(o) for o in overrides])
    print_value({"result": "Succeeded", "kind": str(loaded.kind), "path": str(file.absolute())}, fmt=fmt, query=query)


@job.command("show-services")
@required_name
@without_effect("--node-index", "-i", why="a job here has no services")
@noun_options
def show_services(name: str, fmt: str, query: str | None) -> None:
    """Addresses of a job's interactive services; a job here has none."""
    with open_app(read_settings()) as app:
        show_job(app, name)
        print_value({}, fmt=fmt, query=query)


@job.command("list")
@click.option("--parent-job-name", "-p", help="The steps of that job.")
@click.option("--all-results", is_flag=True, expose_value=False, help="Accepted for az scripts; all are listed anyway.")
@click.option("--tag", help="Just those with this tag: KEY, or KEY=VALUE.")
@list_options
@noun_options
def list_(
    tag: str | None,
    max_results: int | None,
    parent_job_name: str | None,
    fmt: str,
    query: str | None,
    *,
    include_archived: bool,
    archived_only: bool,
) -> None:
    """Jobs, newest first."""
    with open_app(read_settings()) as app:
        rows = list_jobs(
            app,
            limit=None if tag else max_results,
            archived=include_archived,
            parent=parent_job_name,
            archived_only=archived_only,
        )
        print_value([r for r in rows if has_tag(r.get("tags", {}), tag)][:max_results], fmt=fmt, query=query)


@job.command("show")
@required_name
@web
@noun_options
def show(name: str, fmt: str, query: str | None) -> None:
    """One job: status, steps, outputs."""
    with open_app(read_settings()) as app:
        print_value(show_job(app, name), fmt=fmt, query=query)


@job.command("update")
@required_name
@edit_options
@web
@noun_options
def update(
    name: str,
    overrides: tuple[str, ...],
    adds: tuple[str, ...],
    removes: tuple[str, ...],
    tags: str,
    fmt: str,
    query: str | None,
) -> None:
    """Change a job's display name, experiment, description or tags."""
    with open_app(read_settings()) as app:
        print_value(update_job(app, name, parse_edits(overrides, adds, removes, tags)), fmt=fmt, query=query)


@job.command("stream")
@required_name
@noun_options
def stream(name: str, fmt: str, query: str | None) -> None:
    """Follow a job's logs until it ends."""
    del fmt, query
    with open_app(read_settings()) as app:
        for line in stream_job(app, name):
            sys.stdout.write(f"{line}\n")


@job.command("download")
@required_name
@click.option(
    "--download-path", "-p", type=click.Path(path_type=Path), default=Path(), help="Folder to copy into; default: here."
)
@click.option("--output-name", help="Just this output.")
@click.option("--all", "all_parts", is_flag=True, help="Logs too.")
@click.option("--flat", is_flag=True, help="Without the folder `named-outputs`.")
@noun_options
def download(
    name: str, download_path: Path, output_name: str | None, fmt: str, query: str | None, *, all_parts: bool, flat: bool
) -> None:
    """Copy a completed job's outputs, laid out as az does."""
    del fmt, query
    with open_app(read_settings()) as app:
        for path in download_job(app, name, download_path, output=output_name, all_parts=all_parts, flat=flat):
            click.echo(f"downloaded {path}", err=True)


@job.command("cancel")
@required_name
@noun_options
def cancel(name: str, fmt: str, query: str | None) -> None:
    """End a running job: every process of every step, politely first."""
    with open_app(read_settings()) as app:
        print_value(cancel_job(app, name), fmt=fmt, query=query)


@job.command("resume")
@required_name
@click.option("--stream", "stream_logs", is_flag=True, help="Print every step's log as it is written.")
@everywhere
@output_options("human")
def resume(name: str, fmt: str, query: str | None, *, stream_logs: bool) -> int:
    """Take an interrupted or failed job up again; completed steps do not run twice."""
    with open_app(read_settings()) as app, Progress(stream_logs=stream_logs) as progress:
        result = resume_job(app, name, [progress], lambda said: click.echo(said, err=True))
    report(result, fmt, query)
    return 0 if result.ok else 1


@job.command("archive")
@required_name
@noun_options
def archive(name: str, fmt: str, query: str | None) -> None:
    """Hide a job from lists."""
    _archive(name, fmt, query, archived=True)


@job.command("restore")
@required_name
@noun_options
def restore(name: str, fmt: str, query: str | None) -> None:
    """Bring an archived job back into lists."""
    _archive(name, fmt, query, archived=False)


def _archive(name: str, fmt: str, query: str | None, *, archived: bool) -> None:
    with open_app(read_settings()) as app:
        found = show_job(app, name)
        app.store.archive_job(name, archived=archived)
        print_value(found, fmt=fmt, query=query)


COMMANDS = {"job": job}
