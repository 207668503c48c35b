"""AutoML from a document to a model that answers, in a pipeline and alone."""

from __future__ import annotations

import csv
import json
import math
import random
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.e2e.conftest import Run
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.needs_automl

PIPELINE = """\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
inputs:
  waves: {type: mltable, path: ./waves}
  metric: AUC_weighted
jobs:
  learn:
    type: automl
    task: classification
    primary_metric: ${{parent.inputs.metric}}
    training_data: ${{parent.inputs.waves}}
    target_column_name: sea
    n_cross_validations: 2
    limits: {max_trials: 3, timeout_minutes: 2, max_cores_per_trial: 1}
    training: {allowed_training_algorithms: [light_gbm, logistic_regression], enable_onnx_compatible_models: true}
    outputs:
      best_model: {type: mlflow_model}
  register:
    type: command
    component: azureml://registries/azureml/components/register_model/labels/default
    inputs:
      model_name: sea
      model_type: mlflow_model
      model_path: ${{parent.jobs.learn.outputs.best_model}}
"""
REGRESSION = """\
$schema: https://azuremlschemas.azureedge.net/latest/autoMLJob.schema.json
type: automl
task: regression
primary_metric: r2_score
target_column_name: height
weight_column_name: weight
validation_data_size: 0.25
training_data: {type: uri_file, path: ./waves/waves.csv}
test_data: {type: uri_folder, path: ./waves}
featurization:
  column_name_and_types: {wind: Ignore, sea: Ignore}
limits: {max_trials: 20, timeout_minutes: 2, max_cores_per_trial: 1, exit_score: 0.1}
training:
  allowed_training_algorithms: [elastic_net, light_gbm, knn]
  enable_stack_ensemble: false
  enable_vote_ensemble: false
outputs:
  best_model: {type: mlflow_model}
"""
FORECAST = """\
$schema: https://azuremlschemas.azureedge.net/latest/autoMLJob.schema.json
type: automl
task: forecasting
primary_metric: normalized_root_mean_squared_error
target_column_name: height
training_data: {type: uri_file, path: ./past.csv}
test_data: {type: uri_file, path: ./after.csv}
n_cross_validations: 2
forecasting:
  time_column_name: day
  time_series_id_column_names: [station]
  forecast_horizon: 7
  target_lags: [1, 7]
limits: {max_trials: 2, timeout_minutes: 2, max_cores_per_trial: 1}
training: {allowed_training_algorithms: [light_gbm, elastic_net, prophet]}
outputs:
  best_model: {type: mlflow_model}
"""
ASK = """\
import sys
sys.modules["flaml"] = None
import json, mlflow, pandas
rows = pandas.DataFrame(json.loads(sys.argv[2]))
print(json.dumps(mlflow.pyfunc.load_model(sys.argv[1]).predict(rows).tolist()))
"""


def write_waves(folder: Path, rows: int = 120) -> None:
    """Whether the sea is calm depends on the wind and on the coast; the height on both."""
    draw = random.Random(1)
    folder.mkdir()
    (folder / "MLTable").write_text("type: mltable\npaths: [{file: ./waves.csv}]\ntransformations: [read_delimited]\n")
    with (folder / "waves.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["wind", "coast", "day", "weight", "height", "sea"])
        for number in range(rows):
            wind, coast = draw.gauss(0, 1), draw.choice(["north", "south"])
            height = 2 * (coast == "south") + 0.1 * wind + draw.gauss(0, 0.05)
            sea = "rough" if wind + (coast == "south") > 0.5 else "calm"
            shown = "" if number % 17 == 3 else f"{wind:.3f}"
            out.writerow([shown, coast, f"2024-01-{number % 28 + 1:02}", 1 + number % 2, f"{height:.3f}", sea])


def ask(tmp_path: Path, model: Path, rows: list[dict[str, object]]) -> list[object]:
    """The model's answers, where FLAML and Tidemill's scripts are not."""
    argv = [sys.executable, "-W", "ignore", "-c", ASK, str(model), json.dumps(rows)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    found: list[object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_pipeline_learns_classes_and_registers_a_model_that_names_them(tmp_path: Path, tidemill: Run) -> None:
    write_waves(tmp_path / "waves")
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    done = tidemill("run", "pipeline.yml", "-o", "json")
    assert "enable_onnx_compatible_models" in done.stderr
    job = json.loads(done.stdout)
    assert job["status"] == "Completed"
    assert job["steps"]["learn"]["metrics"]["AUC_weighted"] > 0.9
    assert json.loads(tidemill("model", "show", "--name", "sea", "-o", "json").stdout)["type"] == "mlflow_model"
    tidemill("model", "download", "--name", "sea", "--version", "1", "--download-path", "got")
    (found,) = (tmp_path / "got").rglob("MLmodel")
    rows = [{"wind": 2.0, "coast": "south", "day": "2024-01-05", "weight": 1, "height": 1.0}]
    rows.append({"wind": -2.0, "coast": "north", "day": "2024-01-05", "weight": 1, "height": 0.0})
    assert ask(tmp_path, found.parent, rows) == ["rough", "calm"]


def test_a_regression_ends_at_its_exit_score_with_one_child_run_a_trial(tmp_path: Path, tidemill: Run) -> None:
    write_waves(tmp_path / "waves")
    (tmp_path / "job.yml").write_text(REGRESSION)
    job = json.loads(tidemill("run", "job.yml", "-o", "json").stdout)
    metrics = job["steps"]["automl"]["metrics"]
    assert metrics["r2_score"] > 0.9
    assert metrics["test_r2_score"] > 0.9
    log = tidemill("job", "stream", "-n", job["name"]).stdout
    assert "exit_score is reached" in log
    assert "kneighbor" not in log, "it cannot weigh rows"
    answers = ask(tmp_path, Path(job["outputs"]["best_model"]).resolve(), [{"coast": "south", "day": "2024-01-05"}])
    assert answers == [pytest.approx(2.0, abs=0.4)]
    again = json.loads(tidemill("run", "job.yml", "--force", "-o", "json").stdout)
    assert again["steps"]["automl"]["metrics"] == metrics, "the same data, the same model"


def write_series(past: Path, after: Path) -> None:
    """Two stations, a wave that comes back every week."""
    draw = random.Random(2)
    rows = ["day,station,height\n", *(f"{day(n)},{s},{level(n, s, draw):.3f}\n" for n in range(97) for s in STATIONS)]
    past.write_text("".join(rows[:181]))
    after.write_text("".join([rows[0], *rows[181:]]))


STATIONS = {"east": 5, "west": 20}


def day(number: int) -> str:
    return str(date(2024, 1, 1) + timedelta(days=number))


def level(number: int, station: str, draw: random.Random) -> float:
    return STATIONS[station] + 2 * math.sin(2 * math.pi * number / 7) + draw.gauss(0, 0.05)


def test_a_forecast_goes_on_from_its_own_answers(tmp_path: Path, tidemill: Run) -> None:
    write_series(tmp_path / "past.csv", tmp_path / "after.csv")
    (tmp_path / "job.yml").write_text(FORECAST)
    done = tidemill("run", "job.yml", "-o", "json")
    assert "`prophet` is no algorithm that is tried here" in done.stderr
    job = json.loads(done.stdout)
    assert job["steps"]["automl"]["metrics"]["test_r2_score"] > 0.95
    rows: list[dict[str, object]] = [{"day": day(96), "station": "west"}, {"day": day(91), "station": "east"}]
    answers = ask(tmp_path, Path(job["outputs"]["best_model"]).resolve(), rows)
    assert answers == [pytest.approx(20 + 2 * math.sin(2 * math.pi * 96 / 7), abs=1), pytest.approx(5, abs=1)]


def test_a_target_that_is_not_there_is_said_with_the_columns_that_are(tmp_path: Path, tidemill: Run) -> None:
    write_waves(tmp_path / "waves")
    (tmp_path / "job.yml").write_text(REGRESSION.replace("column_name: height", "column_name: depth"))
    done = tidemill("run", "job.yml", code=1)
    assert "has no column `depth`, only: wind, coast" in done.stdout + done.stderr


def test_a_search_that_is_killed_goes_on_where_it_was_and_finds_the_same_model(tmp_path: Path, tidemill: Run) -> None:
    write_waves(tmp_path / "waves")
    text = PIPELINE.split("  register:", maxsplit=1)[0].replace("max_trials: 3", "max_trials: 6")
    (tmp_path / "pipeline.yml").write_text(text)
    whole = json.loads(tidemill("run", "pipeline.yml", "-o", "json").stdout)["steps"]["learn"]["metrics"]
    words = [sys.executable, "-m", "tidemill", "run", "pipeline.yml", "--force", "--name", "cut"]
    runs = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        log = tmp_path / ".tidemill/jobs/cut/learn/logs/std_log.txt"
        until(lambda: log.exists() and "trial 2" in log.read_text())
    finally:
        runs.kill()
        runs.wait()
    tidemill("job", "resume", "cut")
    job = json.loads(tidemill("job", "show", "-n", "cut", "-o", "json").stdout)
    assert job["steps"]["learn"]["metrics"] == whole
    assert "had ended before the search was interrupted" in log.read_text()
    noted = (log.parent.parent / "automl/trials.jsonl").read_text().splitlines()
    ended = [json.loads(line)["what"] for line in noted if "what" in line]
    assert len(ended) == len(set(ended)) == 6
