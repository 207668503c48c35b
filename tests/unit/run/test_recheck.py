"""A registered model is measured again, on the test set of its own job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.run.conftest import Workspace, bind, command, of, pipeline
from tidemill.backends.trackers.mlflow import open_tracker
from tidemill.base.ids import StepName, make_job_name
from tidemill.plan.graph import OutputSpec, Step, StepKind
from tidemill.run.models import ModelRequest, ModelVersion
from tidemill.run.recheck import accuracies, judge_accuracy
from tidemill.run.runner import execute

TRAIN = """
import json, os, joblib, sys
from sklearn.linear_model import LogisticRegression
model = LogisticRegression(C=1000).fit([[0.0], [1.0]], ["no", "yes"])
joblib.dump(model, os.path.join(sys.argv[1], "model.joblib"))
json.dump({"columns": [{"name": "x", "type": "number"}]}, open(os.path.join(sys.argv[1], "serving.json"), "w"))
row = {"name": "accuracy", "value": float(sys.argv[2]), "step": 0}
open(os.path.join(os.environ["TIDEMILL_STEP_FOLDER"], "metrics.jsonl"), "a").write(json.dumps(row) + "\\n")
"""
NEEDY = """
import os
from sklearn.linear_model import LogisticRegression
assert os.environ["NEEDED"] == "yes"


class Needy(LogisticRegression):
    pass
"""


class Registrar:
    """Registers where the model lies."""

    def register(self, request: ModelRequest) -> ModelVersion:
        return ModelVersion(request.name, "1", request.type, request.path, "d", "2026-11-20T00:00:00Z")


def register_step() -> Step:
    values: Mapping[str, object] = {"model_name": "m", "model_path": of("train", "model")}
    inputs = {n: bind(v) for n, v in values.items()}
    outputs = {"registration_details_folder": OutputSpec()}
    return Step(StepName("register"), kind=StepKind.REGISTER_MODEL, inputs=inputs, outputs=outputs)


@pytest.mark.parametrize(("logged", "codes"), [("0.75", []), ("0.98", ["TM-N105"])])
def test_a_logged_accuracy_is_held_against_the_registered_file(
    workspace: Workspace, tmp_path: Path, logged: str, codes: list[str]
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text(TRAIN)
    test = tmp_path / "test.csv"
    test.write_text("x,label\n0,no\n1,yes\n0,yes\n1,yes\n1,yes\n0,no\n0,yes\n0,no\n")
    train = command(
        "train",
        f"python train.py ${{{{outputs.model}}}} {logged}",
        inputs={"test_data": test},
        outputs={"model": "uri_folder"},
        code=tmp_path / "code",
    )
    ports = replace(workspace.ports, models=Registrar(), tracker=open_tracker(workspace.home, ""))
    result = execute(pipeline(train, register_step()), job=make_job_name(), ports=ports)
    assert result.status == "Completed", result.steps["register"].message
    assert [f.code for f in result.findings if f.code.startswith("TM-N105")] == codes


def test_the_registered_file_is_measured_with_the_variables_its_training_had(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text(
        TRAIN.replace("import json", "import needy, json").replace("LogisticRegression(C", "needy.Needy(C")
    )
    (tmp_path / "code" / "needy.py").write_text(NEEDY)
    test = tmp_path / "test.csv"
    test.write_text("x,label\n0,no\n1,yes\n0,yes\n1,yes\n")
    train = command(
        "train",
        "python train.py ${{outputs.model}} 0.1",
        inputs={"test_data": test},
        outputs={"model": "uri_folder"},
        code=tmp_path / "code",
        environment_variables={"NEEDED": "yes", "PYTHONPATH": str(tmp_path / "code")},
    )
    ports = replace(workspace.ports, models=Registrar(), tracker=open_tracker(workspace.home, ""))
    result = execute(pipeline(train, register_step()), job=make_job_name(), ports=ports)
    assert [f.code for f in result.findings if f.code.startswith("TM-N105")] == ["TM-N105"]


def judged(measured: float, baseline: float, **logged: float) -> list[str]:
    answer = {"accuracy": measured, "baseline_accuracy": baseline, "rows": 1000}
    return [f.code for f in judge_accuracy(register_step(), "train", logged, answer)]


def test_any_logged_accuracy_that_agrees_is_enough() -> None:
    assert judged(0.9, 0.5, train_accuracy=1.0, test_accuracy=0.901) == []
    assert judged(0.9, 0.5, accuracy=0.99) == ["TM-N105"]


def test_a_model_no_better_than_the_commonest_class_is_named() -> None:
    assert judged(0.9, 0.9, accuracy=0.9) == ["TM-N106"]


def test_a_baseline_is_no_accuracy_of_the_model() -> None:
    assert accuracies({"accuracy": 0.9, "baseline_accuracy": 0.5, "loss": 1}) == {"accuracy": 0.9}
    assert judge_accuracy(register_step(), "train", {"accuracy": 1.0}, {"unknown": "no way to load it"}) == []


def test_a_document_that_sets_pythonpath_keeps_what_steps_are_given(workspace: Workspace) -> None:
    ports = replace(workspace.ports, tracker=open_tracker(workspace.home, ""))
    code = 'python -c \'import sys; print([n for n in ("sitecustomize",) if "tidemill" in sys.modules[n].__file__], "/mine" in sys.path)\''
    step = command("show", code, environment_variables={"PYTHONPATH": "/mine"})
    result = execute(pipeline(step), job=make_job_name(), ports=ports)
    assert result.steps["show"].log.read_text() == "['sitecustomize'] True\n"
