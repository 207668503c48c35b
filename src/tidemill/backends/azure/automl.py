"""AutoML documents in the words of Azure ML's REST interface: jobs of the type `AutoML`. Pure but for looking at files."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill.base.errors import FailedError
from tidemill.base.files import write_atomic
from tidemill.run.ports import Task

DATA = {"training_data": "trainingData", "validation_data": "validationData", "test_data": "testData"}
TASKS = {"classification": "Classification", "regression": "Regression", "forecasting": "Forecasting"}
BEST = "best_model"
TABLE = "MLTable"
# Names of Azure ML's that are no plain change of case.
METRICS = {"auc_weighted": "AUCWeighted", "r2_score": "R2Score"}
ALGORITHMS = {
    name.lower(): name
    for name in (
        "Arimax", "AutoArima", "Average", "BernoulliNaiveBayes", "DecisionTree", "ElasticNet", "ExponentialSmoothing",
        "ExtremeRandomTrees", "GradientBoosting", "KNN", "LassoLars", "LightGBM", "LinearSVM", "LogisticRegression",
        "MultinomialNaiveBayes", "Naive", "Prophet", "RandomForest", "SGD", "SVM", "SeasonalAverage", "SeasonalNaive",
        "TCNForecaster", "XGBoostClassifier", "XGBoostRegressor",
    )
}  # fmt: skip
WHOLE = ("max_trials", "max_concurrent_trials", "max_cores_per_trial", "cv_step_size")
FRACTIONS = ("exit_score", "validation_data_size", "test_data_size", "stack_meta_learner_train_percentage")
ENUMS = ("mode", "feature_lags", "short_series_handling_config", "target_aggregate_function", "use_stl", "log_verbosity",
         "stack_meta_learner_type")  # fmt: skip
DELIMITERS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")


def task_details(body: Mapping[str, Any], data: Mapping[str, str]) -> dict[str, Any]:
    """What is to be learned, from tables at the URIs in `data`."""
    task = str(body["task"]).lower()
    if task not in TASKS:
        raise FailedError(
            f"AutoML of the task `{task}` is not submitted to Azure ML from here", hint="Use `az ml job create`."
        )
    found: dict[str, Any] = {"taskType": TASKS[task]}
    found |= {DATA[name]: {"jobInputType": "mltable", "uri": uri, "mode": "EvalMount"} for name, uri in data.items()}
    for name in (
        "target_column_name",
        "weight_column_name",
        "positive_label",
        "cv_split_column_names",
        "log_verbosity",
    ):
        found |= _given(name, body.get(name))
    for name in ("validation_data_size", "test_data_size"):
        found |= _given(name, body.get(name))
    if body.get("primary_metric"):
        metric = str(body["primary_metric"]).lower()
        found["primaryMetric"] = METRICS.get(metric) or _pascal(metric)
    if body.get("n_cross_validations") is not None:
        found["nCrossValidations"] = _choice(body["n_cross_validations"])
    found |= _section("limitSettings", _limits(body.get("limits") or {}))
    found |= _section("trainingSettings", _training(body.get("training") or {}))
    found |= _section("featurizationSettings", _featurization(body.get("featurization") or {}))
    found |= _section("forecastingSettings", _forecasting(body.get("forecasting") or {}))
    return found


def _section(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: dict(value)} if value else {}


def _given(name: str, value: Any) -> dict[str, Any]:  # noqa: ANN401
    """One field by its REST name, as its type; nothing when the document does not say it."""
    if value is None or value == "":
        return {}
    if name in WHOLE:
        value = int(float(value))
    elif name in FRACTIONS:
        value = float(value)
    elif name in ENUMS:
        value = _pascal(str(value))
    return {_camel(name): value}


def _limits(limits: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in limits.items():
        if name in {"timeout_minutes", "trial_timeout_minutes"}:
            found |= {_camel(name.removesuffix("_minutes")): _minutes(value)} if value is not None else {}
        elif name != "max_nodes":  # of a preview of the interface
            found |= _given(name, value)
    return found


def _training(training: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in training.items():
        if name.endswith("_training_algorithms"):
            found |= {_camel(name): [_algorithm(v) for v in value]} if value is not None else {}
        elif name == "ensemble_model_download_timeout_minutes":
            found |= {"ensembleModelDownloadTimeout": _minutes(value)} if value is not None else {}
        elif name == "stack_ensemble_settings":
            found |= _section("stackEnsembleSettings", _stack(value or {}))
        elif name != "training_mode":  # of a preview of the interface
            found |= _given(name, value)
    return found


def _stack(settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        given = {"stackMetaLearnerKWargs": value} if name == "stack_meta_learner_kwargs" else _given(name, value)
        found |= given if value is not None else {}
    return found


def _featurization(settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if name == "transformer_params" and value:
            found["transformerParams"] = {
                _pascal(kind): [{"fields": e.get("fields"), "parameters": e.get("parameters")} for e in entries]
                for kind, entries in value.items()
            }
        elif name == "blocked_transformers" and value:
            found["blockedTransformers"] = [_pascal(v) for v in value]
        elif name == "column_name_and_types" and value:
            found["columnNameAndTypes"] = {column: _pascal(kind) for column, kind in value.items()}
        else:
            found |= _given(name, value)
    return found


def _forecasting(settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if value is None or name == "features_unknown_at_forecast_time":  # of a preview of the interface
            continue
        if name in {"forecast_horizon", "seasonality", "target_rolling_window_size"}:
            found[_camel(name)] = _choice(value)
        elif name == "target_lags":
            found["targetLags"] = _lags(value)
        elif name == "time_series_id_column_names":
            found["timeSeriesIdColumnNames"] = [value] if isinstance(value, str) else list(value)
        else:
            found |= _given(name, value)
    return found


def _lags(value: Any) -> dict[str, Any]:  # noqa: ANN401
    if str(value).lower() == "auto":
        return {"mode": "Auto"}
    return {"mode": "Custom", "values": [int(v) for v in value] if isinstance(value, list) else [int(value)]}


def _choice(value: Any) -> dict[str, Any]:  # noqa: ANN401
    """A number, or Azure ML's own choice."""
    return {"mode": "Auto"} if str(value).lower() == "auto" else {"mode": "Custom", "value": int(float(value))}


def _minutes(value: Any) -> str:  # noqa: ANN401
    return f"PT{math.ceil(float(value))}M"


def _algorithm(name: str) -> str:
    return ALGORITHMS.get(name.replace("_", "").lower(), name)


def _pascal(text: str) -> str:
    """`norm_macro_recall` is `NormMacroRecall`; what has capitals inside already stays."""
    if re.search(r"[a-z][A-Z]", text):
        return text[0].upper() + text[1:]
    return "".join(part.capitalize() for part in text.split("_"))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def as_table(task: Task, name: str, path: Path) -> Path:
    """The folder of an mltable: what is none becomes one, since Azure ML takes nothing else."""
    if path.is_dir() and (path / TABLE).is_file():
        return path
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
    kinds = {f.suffix.lower() for f in files}
    if len(kinds) != 1:
        raise FailedError(f"`{name}` is no table: it holds files of the kinds {', '.join(sorted(kinds)) or '(none)'}")
    folder = task.folder / "azureml" / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)
    write_atomic(folder / TABLE, _describe(name, [f.name for f in files], kinds.pop()))
    return folder


def _describe(name: str, files: list[str], kind: str) -> str:
    if kind in DELIMITERS:
        reader = f"read_delimited: {{delimiter: {DELIMITERS[kind]!a}, encoding: utf8, header: all_files_same_headers}}"
        reader = reader.replace("'\\t'", '"\\t"')
    elif kind == ".parquet":
        reader = "read_parquet"
    elif kind in LINES:
        reader = "read_json_lines"
    else:
        raise FailedError(
            f"`{name}` is of a kind that AutoML does not read: {kind}", hint="CSV, TSV, JSON lines or Parquet."
        )
    paths = "".join(f"  - file: ./{file}\n" for file in files)
    return f"type: mltable\npaths:\n{paths}transformations:\n  - {reader}\n"
