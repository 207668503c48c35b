"""Runs a Spark step: `spark-submit` on this machine, every core a worker."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidemill.base.errors import FailedError
from tidemill.run.command import judge, make_task, stage
from tidemill.run.ports import PreparedEnvironment
from tidemill.run.staging import render_command
from tidemill.run.work import StepEnd, StepWork

SUBMIT = "spark-submit"
LISTS = {"py_files": "--py-files", "files": "--files", "archives": "--archives"}
# What a document need not say on one machine; it may say otherwise.
HERE = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


def run_spark(work: StepWork) -> StepEnd:
    """Stage the step, submit its program in local mode, and say how that went."""
    context, step, folder = work.context, work.step, work.folder
    prepared = work.prepare()
    submit = Path(SUBMIT) if prepared.image else find_submit(prepared)
    paths = stage(work)
    arguments = shlex.split(render_command(step, paths, folder, context.run_id(step.name)))
    words = submit_words(step.body, folder.cwd)
    task = make_task(work, prepared, paths, command="exec " + shlex.join([str(submit), *words, *arguments]))
    env = {**task.env, "PYSPARK_PYTHON": str(prepared.python), "SPARK_LOCAL_IP": "127.0.0.1"}
    return judge(work.run_task(replace(task, env=env)), step)


def find_submit(prepared: PreparedEnvironment) -> Path:
    """`spark-submit` of the step's environment, else of the machine, else of Tidemill's own; it needs Java."""
    java = Path(os.environ.get("JAVA_HOME", "")) / "bin" / "java"
    if not (java.is_absolute() and java.exists()) and shutil.which("java") is None:
        raise FailedError("Spark needs Java, which is not here", hint="Install Java 17 or newer, or set JAVA_HOME.")
    places = [prepared.python.parent, *map(Path, os.get_exec_path()), Path(sys.executable).parent]
    found = next((p / SUBMIT for p in places if (p / SUBMIT).exists()), None)
    if found is None:
        raise FailedError(
            "This step needs Spark, which is not here",
            hint="pip install 'tidemill[spark]', or name `pyspark` in the step's environment.",
        )
    return found


def submit_words(body: Mapping[str, Any], code: Path) -> list[str]:
    """What `spark-submit` is told, up to the program; files are looked for in the code folder."""
    entry = body["entry"]
    jars = list(body.get("jars") or ())
    script, class_name = entry.get("file") or entry.get("entry"), entry.get("class_name")
    if class_name and not jars:
        raise FailedError(f"Class `{class_name}` is in no jar", hint="Name its jar first in `jars`.")
    program = jars.pop(0) if class_name else script
    _require(code, [program, *jars, *(f for name in LISTS for f in body.get(name) or ())])
    conf = {**HERE, **(body.get("conf") or {})}
    words = ["--master", str(conf.pop("spark.master", "local[*]"))]
    words += [w for name, value in conf.items() for w in ("--conf", f"{name}={_as_text(value)}")]
    words += [w for name, flag in LISTS.items() if body.get(name) for w in (flag, ",".join(body[name]))]
    words += ["--jars", ",".join(jars)] if jars else []
    words += ["--class", class_name] if class_name else []
    return [*words, program]


def _require(code: Path, files: Sequence[str]) -> None:
    """`FailedError` naming every file that is not in the code folder; addresses are Spark's affair."""
    # `archives: [env.tar.gz#name]` says after the hash how the folder is called.
    missing = [f for f in files if "://" not in f and not (code / f.partition("#")[0]).exists()]
    if missing:
        raise FailedError(f"Not in the code folder: {', '.join(missing)}", hint="Paths are relative to `code`.")


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
