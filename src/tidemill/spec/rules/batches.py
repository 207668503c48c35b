"""Parallel and Spark work: the parts it cannot do without, the scripts it names, the inputs it reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tidemill.base.files import is_folder, is_plain_file
from tidemill.base.findings import Finding
from tidemill.base.suggest import did_you_mean
from tidemill.spec.environment import Environment
from tidemill.spec.expression import parse_template
from tidemill.spec.fields import Open
from tidemill.spec.kinds import Kind
from tidemill.spec.references import FileRef, parse_reference
from tidemill.spec.rules.commands import command_findings
from tidemill.spec.rules.context import Context, Path_
from tidemill.spec.rules.documents import environment_findings, missing_path

if TYPE_CHECKING:
    from tidemill.spec.parallel import ParallelTask
    from tidemill.spec.spark import SparkEntry

NEEDED_CONF = ("spark.driver.cores", "spark.driver.memory", "spark.executor.cores", "spark.executor.memory")
STATIC_CONF = ("spark.executor.instances",)
DYNAMIC_CONF = ("spark.dynamicAllocation.minExecutors", "spark.dynamicAllocation.maxExecutors")
COUNT = re.compile(r"(\d+)")
COUNT_OR_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:[kmg]b?|b)?", re.IGNORECASE)
TASK_WORDS = {"run_function", "function"}


def check_parallel(context: Context) -> Iterator[Finding]:
    """A parallel job or component."""
    yield from _parallel(context, context.document, ())


def check_spark(context: Context) -> Iterator[Finding]:
    """A Spark job or component."""
    document = context.document
    yield from _spark(context, document, ())
    if context.loaded.kind is not Kind.SPARK_JOB:
        return
    if document.compute is None and document.resources is None:
        yield context.finding("TM-D102", "A Spark job needs `compute` or `resources`", (), hint="Add one of them.")
    conf = document.conf or {}
    dynamic = str(conf.get("spark.dynamicAllocation.enabled", "")).casefold() == "true"
    for name in (*NEEDED_CONF, *(DYNAMIC_CONF if dynamic else STATIC_CONF)):
        if name not in conf:
            yield context.finding(
                "TM-D102", f"A Spark job needs `{name}`", ("conf",), hint="Add it under `conf:`.", key=True
            )


def check_batch_steps(context: Context) -> Iterator[Finding]:
    """Parallel and Spark steps written out in a pipeline."""
    for name, step in (context.document.jobs or {}).items():
        if step.type == "parallel" and step.component is None:
            yield from _parallel(context, step, ("jobs", name))
        elif step.type == "spark" and step.component is None:
            if step.entry is None:
                yield context.finding(
                    "TM-D102",
                    f"The step `{name}` has neither `component` nor `entry`",
                    ("jobs", name),
                    hint="Add one.",
                    key=True,
                )
            yield from _spark(context, step, ("jobs", name))


def _parallel(context: Context, document: Any, path: Path_) -> Iterator[Finding]:  # noqa: ANN401 - job, component or step
    for field in ("task", "input_data"):
        if getattr(document, field) is None:
            yield context.finding("TM-P101", f"A parallel job needs `{field}`", path, hint=f"Add `{field}:`.")
    if document.mini_batch_size is not None and document.partition_keys:
        yield context.finding(
            "TM-P102", "`mini_batch_size` and `partition_keys` exclude each other", (*path, "partition_keys"), key=True
        )
    yield from _size(context, document, path)
    if document.input_data is not None:
        yield from _input_data(context, document.input_data, document.inputs, (*path, "input_data"))
    if document.retry_settings is not None:
        yield from _ignored(context, document.retry_settings, (*path, "retry_settings"))
    if document.task is not None:
        yield from _ignored(context, document.task, (*path, "task"))
        yield from _task(context, document.task, document, (*path, "task"))


def _size(context: Context, document: Any, path: Path_) -> Iterator[Finding]:  # noqa: ANN401
    """Azure counts files where there are files, and bytes where there are rows."""
    text = (document.mini_batch_size or "").strip()
    if not text or "${{" in text:
        return
    files = {"uri_folder", "uri_file"} & {_type_of_data(document)}
    found = (COUNT if files else COUNT_OR_SIZE).fullmatch(text)
    if found is None or not float(found[1]):
        of = "files" if files else "files, or of bytes as in 10kb"
        yield context.finding(
            "TM-P103", f"`mini_batch_size` is `{text}`, which is no number of {of}", (*path, "mini_batch_size")
        )


def _type_of_data(document: Any) -> str:  # noqa: ANN401
    """The type of the input that is split, as far as the document says it."""
    names = [r.path[1] for r in parse_template(document.input_data or "").references if len(r.path) > 1]
    given = document.inputs.get(names[0]) if names else None
    return str(getattr(given, "type", "") or "")


def _input_data(context: Context, text: str, inputs: Mapping[str, Any], path: Path_) -> Iterator[Finding]:
    for reference in parse_template(text).references:
        if reference.path[0] == "inputs" and len(reference.path) > 1 and reference.path[1] not in inputs:
            name = reference.path[1]
            hint = did_you_mean(name, inputs) or "Declare it under `inputs:`."
            yield context.finding(
                "TM-B108", f"`input_data` uses input `{name}`, which is not declared", path, hint=hint
            )


def _ignored(context: Context, part: Open, path: Path_) -> Iterator[Finding]:
    for name in part.model_extra or {}:
        hint = did_you_mean(name, type(part).model_fields)
        yield context.finding(
            "TM-D106", f"Azure ignores the unknown field `{name}`", (*path, name), hint=hint, key=True
        )


def _task(context: Context, task: ParallelTask, document: Any, path: Path_) -> Iterator[Finding]:  # noqa: ANN401
    if task.type in TASK_WORDS and task.entry_script is None:
        yield context.finding("TM-P101", "The task has no `entry_script`", path, hint="Add `entry_script:`.", key=True)
    if isinstance(task.environment, Environment):
        yield from environment_findings(context, task.environment, (*path, "environment"))
    if task.code is not None:
        yield from missing_path(context, task.code, (*path, "code"), "code folder")
    yield from _script(context, task.code, task.entry_script, (*path, "entry_script"))
    for field in ("program_arguments", "append_row_to"):
        text = getattr(task, field)
        if text is not None:
            yield from command_findings(context, text, document.inputs, document.outputs, (*path, field))


def _spark(context: Context, document: Any, path: Path_) -> Iterator[Finding]:  # noqa: ANN401 - job, component or step
    entry: SparkEntry | None = document.entry
    if entry is not None:
        if entry.file is None and entry.class_name is None:
            yield context.finding("TM-D102", "`entry` needs `file` or `class_name`", (*path, "entry"), hint="Add one.")
        yield from _script(context, document.code, entry.file, (*path, "entry", "file"))
    if document.args is not None:
        yield from command_findings(context, document.args, document.inputs, document.outputs, (*path, "args"))


def _script(context: Context, code: str | None, script: str | None, path: Path_) -> Iterator[Finding]:
    """The script inside the code folder, if that is local and there."""
    if code is None or script is None or not isinstance(parse_reference(code), FileRef):
        return
    folder = context.folder / code
    if is_folder(folder) and not is_plain_file(folder / script):
        yield context.finding("TM-R101", f"No script `{script}` in `{code}`", path, hint="Correct the name.")
