"""Runs an AutoML step: one task in which the scripts in `inside` search models with FLAML."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from tidemill import inside
from tidemill.base.files import write_atomic
from tidemill.plan.automl import estimators
from tidemill.plan.graph import EnvironmentRef, Step
from tidemill.run.automl_needs import is_done_there
from tidemill.run.command import judge, make_task, run_tries, stage
from tidemill.run.leftovers import AUTOML as DRIVER
from tidemill.run.leftovers import KEY
from tidemill.run.models import ModelSearch
from tidemill.run.parallel_data import describe_table
from tidemill.run.ports import LOCAL, PreparedEnvironment, TaskEnd
from tidemill.run.work import StepEnd, StepWork
from tidemill.spec.environment import Environment

SCRIPTS = (
    "tidemill_automl.py",
    "tidemill_automl_data.py",
    "tidemill_automl_ensembles.py",
    "tidemill_automl_forecast.py",
    "tidemill_automl_journal.py",
    "tidemill_automl_metrics.py",
    "tidemill_automl_model.py",
    "tidemill_automl_pool.py",
    "tidemill_automl_search.py",
    "tidemill_automl_tabular.py",
    "tidemill_automl_trials.py",
    "tidemill_split.py",
)
DATA = ("training_data", "validation_data", "test_data")
PACKAGES = ("flaml[automl]", "mlflow", "pandas", "pyarrow", "scikit-learn")  # what the scripts import
CONFIG = "automl.json"
TRIALS = "trials.jsonl"  # what was measured: a search that was interrupted anywhere goes on with it
SUMMARY = "automl_summary.json"
OUTPUT = "best_model"
# Azure ML's own limits, and its primary metrics.
TIMEOUT_MINUTES = 360
MAX_TRIALS = 1000
METRICS = {
    "classification": "accuracy",
    "regression": "normalized_root_mean_squared_error",
    "forecasting": "normalized_root_mean_squared_error",
}


def run_automl(work: StepWork) -> StepEnd:
    """Stage the data, search until a limit is met, and say how that went."""
    if is_done_there(work.step, work.context.ports):
        return _hand_over(work)
    prepared = work.prepare(_searching_environment(work.step.environment))
    paths = stage(work)
    config = _make_config(work, paths)
    with work.slots(_cores_wanted(config["limits"])) as slots:
        reserved = work.step.resources.cpus * work.step.resources.instance_count
        here = work.context.ports.place_compute(work.step.compute) == LOCAL
        config |= share_cores(config["limits"], slots if here else max(1, int(reserved)))
        driver = _lay_out_driver(work, config)
        command = f"exec python {shlex.quote(str(driver / SCRIPTS[0]))} {shlex.quote(str(driver / CONFIG))}"
        task = replace(make_task(work, prepared, paths, command=command), grows=(driver / TRIALS,))
        end, _ = run_tries(work, task, lambda: task)  # which goes on with the trials that had ended
    return _judge(end, work.step, Path(config["summary"]), driver / TRIALS)


def _searching_environment(environment: EnvironmentRef) -> EnvironmentRef:
    """What a search needs where nothing of this machine is, in the versions that are here; an environment that was asked for stays."""
    if environment.document is not None:
        return environment
    packages = [f"{name}=={metadata.version(name.partition('[')[0])}" for name in PACKAGES]
    document = Environment(name="automl", conda_file={"dependencies": [{"pip": packages}]})
    return EnvironmentRef("automl", None, document, Path(), "venv", "automl")


def _hand_over(work: StepWork) -> StepEnd:
    """The document as it is, to a service that knows what to do with it."""
    paths = stage(work)
    output = _output_of(work)
    output.mkdir(parents=True, exist_ok=True)
    data = {name: Path(paths[name]) for name in DATA if name in paths}
    task = make_task(work, PreparedEnvironment(Path("python")), paths, command="")
    end = work.run_task(replace(task, search=ModelSearch(work.step.body, data, output)))
    return judge(end, work.step)


def _output_of(work: StepWork) -> Path:
    """Where the model is to lie."""
    output = OUTPUT if OUTPUT in work.step.outputs else next(iter(work.step.outputs), None)
    return work.folder.outputs / output if output else work.folder.cwd / "outputs" / OUTPUT


def _cores_wanted(limits: Mapping[str, Any]) -> int:
    """As many as all trials that may run at once can use."""
    all_cores = os.cpu_count() or 1
    return min(all_cores, limits["concurrent"] * limits["cores"]) if limits["cores"] else all_cores


def share_cores(limits: Mapping[str, Any], cores: int) -> dict[str, int]:
    """How many trials run at once on so many cores, and on how many each: never more than there are."""
    workers = max(1, min(limits["concurrent"], cores // (limits["cores"] or 1)))
    each = max(1, cores // workers)
    return {"workers": workers, "jobs": min(each, limits["cores"] or each), "cores": cores}


def _make_config(work: StepWork, paths: Mapping[str, str]) -> dict[str, Any]:
    folder, step = work.folder, work.step
    data = {name: describe_table(Path(paths[name])) for name in DATA if name in paths}
    return read_settings(step.body) | {
        "data": data,
        "output": str(_output_of(work)),
        "work": str(folder.root / DRIVER),
        "summary": str(folder.logs / SUMMARY),
    }


def read_settings(body: Mapping[str, Any]) -> dict[str, Any]:
    """A document's settings as the driver takes them, with what Azure ML takes where it says nothing."""
    task = str(body["task"]).lower()
    limits, training = body.get("limits") or {}, body.get("training") or {}
    timeout_s = 60.0 * (_number(limits.get("timeout_minutes")) or TIMEOUT_MINUTES)
    trial = _number(limits.get("trial_timeout_minutes"))
    cores = int(_number(limits.get("max_cores_per_trial")) or 0)
    wanted = ensembles(task, training)
    trials = int(_number(limits.get("max_trials")) or MAX_TRIALS)
    if trials < len(wanted) + 2:
        wanted = {}  # they are trials too
    return {
        "task": task,
        "target": body["target_column_name"],
        "weight": body.get("weight_column_name"),
        "split_columns": body.get("cv_split_column_names") or [],
        "primary_metric": str(body.get("primary_metric") or METRICS[task]),
        "n_cross_validations": _folds(body.get("n_cross_validations")),
        "validation_data_size": _number(body.get("validation_data_size")),
        "test_data_size": _number(body.get("test_data_size")),
        "featurization": body.get("featurization") or {},
        "forecasting": body.get("forecasting") or {},
        "estimators": list(estimators(task, training)),
        "ensembles": wanted,
        "limits": {
            "timeout_s": timeout_s,
            "trial_timeout_s": 60.0 * trial if trial else None,
            "max_trials": trials - len(wanted),
            "early_stop": limits.get("enable_early_termination") is not False,
            "exit_score": _number(limits.get("exit_score")),
            "concurrent": max(1, int(_number(limits.get("max_concurrent_trials")) or 1)),
            "cores": max(0, cores),
        },
    }


def ensembles(task: str, training: Mapping[str, Any]) -> dict[str, Any]:
    """The ensembles that are tried after the search, with their settings; for forecasts there are none."""
    if task == "forecasting":
        return {}
    found: dict[str, Any] = {}
    if training.get("enable_vote_ensemble") is not False:
        found["vote"] = {}
    if training.get("enable_stack_ensemble") is not False:
        found["stack"] = training.get("stack_ensemble_settings") or {}
    return found


def _number(value: Any) -> float | None:  # noqa: ANN401 - a number, or one as text from an input
    return None if value is None or value == "" else float(value)


def _folds(value: Any) -> int | None:  # noqa: ANN401
    """`auto` leaves it to how many rows there are."""
    return None if value is None or str(value).lower() == "auto" else int(value)


def _lay_out_driver(work: StepWork, config: Mapping[str, Any]) -> Path:
    driver = work.folder.root / DRIVER
    driver.mkdir(exist_ok=True)
    write_atomic(driver / KEY, work.identity.key)
    for name in SCRIPTS:
        shutil.copyfile(Path(inside.__file__).parent / name, driver / name)
    write_atomic(driver / CONFIG, json.dumps(config))
    return driver


def _judge(end: TaskEnd, step: Step, summary_file: Path, trials: Path) -> StepEnd:
    """The task's end, in the words of the driver if it left any."""
    judged = judge(end, step)
    if end.canceled or not summary_file.is_file():
        return judged
    summary = json.loads(summary_file.read_text(encoding="utf-8"))
    if summary["error"]:
        trials.unlink(missing_ok=True)  # as the search itself did, wherever it ran: one that failed begins anew
    return StepEnd(judged.status, judged.exit_code, summary["error"] or summary["message"], judged.usage)
