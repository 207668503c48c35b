"""`tidemill batch-endpoint …`."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.app.batch import delete_endpoint, invoke, list_endpoint_jobs
from tidemill.app.batch_wishes import Invocation
from tidemill.app.jobs import show_job
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.cli.declared import make_group
from tidemill.cli.options import noun_options, required_name_option, set_option
from tidemill.cli.output import print_value
from tidemill.cli.progress import Progress
from tidemill.cli.run import report
from tidemill.cli.without_effect import no_wait
from tidemill.spec.overrides import parse_override

group = make_group("batch-endpoint", "Stable addresses that start scoring jobs.")


@group.command("invoke")
@required_name_option
@click.option("--deployment-name", "-d", "deployment", help="This deployment instead of the default one.")
@click.option("--input", "input_", help="The data: a path, a URL or azureml:NAME:VERSION.")
@click.option("--input-type", type=click.Choice(["uri_folder", "uri_file"]), help="What --input is.")
@click.option("--file", "-f", type=click.Path(path_type=Path), help="A document with `inputs:`.")
@click.option("--job-name", "-j", help="Name of the job.")
@click.option("--experiment-name", "-e", help="Experiment of the job; default: the endpoint.")
@click.option("--mini-batch-size", "-m", type=click.IntRange(1), help="Files in a mini batch.")
@click.option("--instance-count", "-c", type=click.IntRange(1), help="How many machines it would have on Azure.")
@click.option("--output-path", help="Where the scores go: azureml://datastores/NAME/paths/PATH, or a URL of a store.")
@click.option("--stream", is_flag=True, help="Print every step's log as it is written.")
@set_option
@noun_options
def invoke_command(
    name: str,
    deployment: str | None,
    input_: str | None,
    input_type: str | None,
    file: Path | None,
    job_name: str | None,
    experiment_name: str | None,
    mini_batch_size: int | None,
    instance_count: int | None,
    output_path: str | None,
    overrides: tuple[str, ...],
    fmt: str,
    query: str | None,
    *,
    stream: bool,
) -> int:
    """Score data by a job that runs here to its end; exit code 0 only if it completed."""
    changes = tuple(parse_override(o) for o in overrides)
    wish = Invocation(
        deployment,
        input_,
        input_type,
        file,
        changes,
        job_name,
        experiment_name,
        mini_batch_size,
        instance_count,
        output_path,
    )
    with open_app(read_settings()) as app:
        with Progress(stream_logs=stream) as progress:
            result = invoke(app, name, wish, [progress])
        if result.ok:
            print_value(show_job(app, result.name), fmt=fmt, query=query)
        else:
            report(result, fmt, query)
    return 0 if result.ok else 1


@group.command("list-jobs")
@required_name_option
@noun_options
def list_jobs(name: str, fmt: str, query: str | None) -> None:
    """Jobs the endpoint has started, newest first."""
    with open_app(read_settings()) as app:
        print_value(list_endpoint_jobs(app, name), fmt=fmt, query=query)


@group.command("delete")
@required_name_option
@no_wait
@noun_options
def delete(name: str, fmt: str, query: str | None) -> None:
    """Forget an endpoint with its deployments; jobs it started stay."""
    del fmt, query
    with open_app(read_settings()) as app:
        delete_endpoint(app, name)


COMMANDS = {"batch-endpoint": group}
