"""What a parallel step asks for, as numbers and names. Pure."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tidemill.base.errors import FailedError
from tidemill.plan.graph import Step
from tidemill.run.sweep_settings import whole
from tidemill.spec.expression import parse_template

UNITS = {"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30}
DEFAULT_BYTES = 1 << 20
IGNORE = -1
MAX_RETRIES = 2
TIMEOUT_S = 60
OVERHEAD_S = 600
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*\Z")


@dataclass(frozen=True, slots=True)
class Parallel:
    """A parallel step's settings; Azure ML's defaults, -1 ignores all failures.

    A task of type `model` is a batch deployment's: files whatever they hold, commas in its output, the input `model`
    where `AZUREML_MODEL_DIR` says.
    """

    entry_script: str
    input: str
    append_to: str | None = None
    mini_batch_size: str | None = None
    partition_keys: tuple[str, ...] = ()
    workers: int = 0
    max_retries: int = MAX_RETRIES
    timeout_s: int = TIMEOUT_S
    overhead_s: int = OVERHEAD_S
    mini_batch_error_threshold: int = IGNORE
    error_threshold: int = IGNORE
    allowed_failed_percent: int = 100
    logging_level: str = "INFO"
    append_name: str = "parallel_run_step.txt"
    separator: str = " "
    model: str | None = None
    files_only: bool = False


def read_parallel(step: Step) -> Parallel:
    """The settings of a parallel step; its own arguments may hold some, as Azure ML allows."""
    body = step.body
    task = body.get("task") or {}
    if not task.get("entry_script"):
        raise FailedError(f"`{step.name}` has no `entry_script`", hint="Name a script with init() and run(mini_batch).")
    retry = body.get("retry_settings") or {}
    scores = str(task.get("type") or "").lower() == "model"
    each = whole(body.get("max_concurrency_per_instance"), "max_concurrency_per_instance")
    keys = body.get("partition_keys") or ()
    found = Parallel(
        entry_script=str(task["entry_script"]),
        input=_input_of(step, body),
        append_to=task.get("append_row_to") or None,
        mini_batch_size=body.get("mini_batch_size"),
        partition_keys=tuple(keys.split(",")) if isinstance(keys, str) else tuple(keys),
        workers=each * max(1, step.resources.instance_count),
        max_retries=_number(retry, "max_retries", MAX_RETRIES),
        timeout_s=_number(retry, "timeout", TIMEOUT_S),
        mini_batch_error_threshold=_number(body, "mini_batch_error_threshold", IGNORE),
        error_threshold=_number(body, "error_threshold", IGNORE),
        logging_level=str(body.get("logging_level") or "INFO").upper(),
        separator="," if scores else " ",
        model=_named(task.get("model")) if scores else None,
        files_only=scores,
    )
    return _with_arguments(found, step.command_text)


def _with_arguments(found: Parallel, text: str) -> Parallel:
    """Settings that Azure ML takes from `program_arguments`."""
    names = {
        "--error_threshold": "error_threshold",
        "--allowed_failed_percent": "allowed_failed_percent",
        "--task_overhead_timeout": "overhead_s",
        "--append_row_file_name": "append_name",
    }
    words = shlex.split(text.replace("=", " "))
    given: dict[str, Any] = {}
    for word, value in itertools.pairwise(words):
        if word in names:
            given[names[word]] = value if word.endswith("_name") else whole(value, word)
    return replace(found, **given)


def parse_size(text: str | None) -> int:
    """`10kb` as bytes."""
    if not text:
        return DEFAULT_BYTES
    match = _SIZE.match(text)
    if match is None or match[2].lower() not in UNITS:
        raise FailedError(f"`mini_batch_size` is `{text}`, which is no size", hint="For tables: 10kb, 100mb, 1gb.")
    return max(1, int(float(match[1]) * UNITS[match[2].lower()]))


def parse_count(text: str | None) -> int:
    """Files in a mini batch."""
    if not text:
        return 1
    if not text.strip().isdigit():
        raise FailedError(f"`mini_batch_size` is `{text}`, which is no number of files")
    return max(1, int(text))


def _number(body: Mapping[str, Any], name: str, default: int) -> int:
    return default if body.get(name) is None else whole(body[name], name)


def _named(value: Any) -> str:  # noqa: ANN401
    """`x` of `${{inputs.x}}`."""
    references = parse_template(str(value or "")).references
    return references[0].path[-1] if references else ""


def _input_of(step: Step, body: Mapping[str, Any]) -> str:
    """The input whose data is split."""
    name = _named(body.get("input_data"))
    if name not in step.inputs:
        raise FailedError(f"`input_data` of `{step.name}` names no input of it", hint="For example: ${{inputs.data}}")
    return name
