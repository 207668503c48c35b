"""Azure ML's AutoML as far as a client sees it: what it takes and refuses, and what a search leaves behind.

The names are those of the interface's version 2023-04-01; the search itself picks the commonest answer.
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from tests.azureml.machine import Job, place_of
from tests.azureml.storage import Storage

VERTICAL = {"logVerbosity", "targetColumnName", "trainingData", "taskType"}
TABLE = VERTICAL | {
    "cvSplitColumnNames", "featurizationSettings", "limitSettings", "nCrossValidations", "primaryMetric", "testData", "testDataSize",
    "trainingSettings", "validationData", "validationDataSize", "weightColumnName",
}  # fmt: skip
FIELDS = {
    "Classification": TABLE | {"positiveLabel"},
    "Regression": TABLE,
    "Forecasting": TABLE | {"forecastingSettings"},
}
REGRESSION = {"SpearmanCorrelation", "NormalizedRootMeanSquaredError", "R2Score", "NormalizedMeanAbsoluteError"}
METRICS = {
    "Classification": {
        "AUCWeighted",
        "Accuracy",
        "AveragePrecisionScoreWeighted",
        "NormMacroRecall",
        "PrecisionScoreWeighted",
    },
    "Regression": REGRESSION,
    "Forecasting": REGRESSION,
}
SETTINGS = {
    "limitSettings": {
        "enableEarlyTermination", "exitScore", "maxConcurrentTrials", "maxCoresPerTrial", "maxTrials", "timeout", "trialTimeout",
    },
    "trainingSettings": {
        "allowedTrainingAlgorithms", "blockedTrainingAlgorithms", "enableDnnTraining", "enableModelExplainability",
        "enableOnnxCompatibleModels", "enableStackEnsemble", "enableVoteEnsemble", "ensembleModelDownloadTimeout",
        "stackEnsembleSettings",
    },
    "featurizationSettings": {
        "blockedTransformers", "columnNameAndTypes", "datasetLanguage", "enableDnnFeaturization", "mode", "transformerParams",
    },
    "forecastingSettings": {
        "countryOrRegionForHolidays", "cvStepSize", "featureLags", "forecastHorizon", "frequency", "seasonality",
        "shortSeriesHandlingConfig", "targetAggregateFunction", "targetLags", "targetRollingWindowSize", "timeColumnName",
        "timeSeriesIdColumnNames", "useStl",
    },
}  # fmt: skip
COMMON = {"ExtremeRandomTrees", "GradientBoosting", "KNN", "LightGBM", "RandomForest", "SGD"}
NUMBERS = COMMON | {"DecisionTree", "ElasticNet", "LassoLars", "XGBoostRegressor"}
ALGORITHMS = {
    "Classification": COMMON | {
        "BernoulliNaiveBayes", "DecisionTree", "LinearSVM", "LogisticRegression", "MultinomialNaiveBayes", "SVM", "XGBoostClassifier",
    },
    "Regression": NUMBERS,
    "Forecasting": NUMBERS | {
        "Arimax", "AutoArima", "Average", "ExponentialSmoothing", "Naive", "Prophet", "SeasonalAverage", "SeasonalNaive", "TCNForecaster",
    },
}  # fmt: skip
CHOICES = {
    "forecastHorizon": "value",
    "seasonality": "value",
    "targetRollingWindowSize": "value",
    "targetLags": "values",
}
_DURATION = re.compile(r"PT(\d+H)?(\d+M)?(\d+S)?")


def wrong_with(details: dict[str, Any], storage: Storage) -> str:
    """Why a search is refused."""
    task = details.get("taskType", "")
    if task not in FIELDS:
        return f"taskType is {task}"
    if not details.get("targetColumnName") or details.get("primaryMetric") not in {None, *METRICS[task]}:
        return "targetColumnName or primaryMetric is wrong"
    return next(filter(None, (*_unknown(task, details), *_tables(details, storage), *_values(details))), "")


def _unknown(task: str, details: dict[str, Any]) -> Iterator[str]:
    for name, known in ({"taskDetails": FIELDS[task]} | SETTINGS).items():
        given = details if name == "taskDetails" else details.get(name) or {}
        if unknown := set(given) - known:
            yield f"unknown in {name}: {sorted(unknown)}"
    for name in ("allowedTrainingAlgorithms", "blockedTrainingAlgorithms"):
        if unknown := set((details.get("trainingSettings") or {}).get(name) or ()) - ALGORITHMS[task]:
            yield f"unknown algorithms: {sorted(unknown)}"


def _tables(details: dict[str, Any], storage: Storage) -> Iterator[str]:
    for name in ("trainingData", "validationData", "testData"):
        given = details.get(name)
        if (given is None and name == "trainingData") or (given and given.get("jobInputType") != "mltable"):
            yield f"{name} is no mltable"
        elif given and f"{place_of(given['uri']).rstrip('/')}/MLTable" not in storage.blobs:
            yield f"{name} holds no file MLTable"


def _values(details: dict[str, Any]) -> Iterator[str]:
    limits = details.get("limitSettings") or {}
    if any(not _DURATION.fullmatch(limits.get(n, "PT1M")) for n in ("timeout", "trialTimeout")):
        yield "a time-out is no ISO 8601 duration"
    chosen: dict[str, Any] = {"nCrossValidations": details.get("nCrossValidations")} | dict(
        details.get("forecastingSettings") or {}
    )
    for name, field in {**CHOICES, "nCrossValidations": "value"}.items():
        if chosen.get(name) and (chosen[name].get("mode") != "Auto") != (field in chosen[name]):
            yield f"{name} is wrong"


def run_search(job: Job, storage: Storage) -> None:
    """To its end: three trials, a model of the best, and the tag that names it."""
    job.started, job.status = datetime.now(UTC), "Running"
    details = job.properties["taskDetails"]
    place = place_of(details["trainingData"]["uri"]).rstrip("/")
    with storage.lock:
        tables = [
            data for name, data in storage.blobs.items() if name.startswith(f"{place}/") and name.endswith(".csv")
        ]
    rows = [row for data in tables for row in csv.DictReader(io.StringIO(data.decode()))]
    target = details["targetColumnName"]
    time.sleep(0.1)
    if job.cancel.is_set():
        job.status = "Canceled"
    elif not rows or target not in rows[0]:
        job.error = {"code": "UserError", "message": f"The target column {target} is not in the training data."}
        job.status = "Failed"
    else:
        answer, count = Counter(row[target] for row in rows).most_common(1)[0]
        model = f"azureml/ExperimentRun/dcid.{job.name}_2/outputs/mlflow-model"
        with storage.lock:
            storage.blobs |= {f"{model}/MLmodel": b"flavors: {}\n", f"{model}/answer.txt": answer.encode()}
        job.metrics.append({"key": "accuracy", "value": count / len(rows), "timestamp": 1000, "step": 0})
        job.tags["automl_best_child_run_id"] = f"{job.name}_2"
        job.status = "Completed"
    job.ended = datetime.now(UTC)
    job.over.set()
