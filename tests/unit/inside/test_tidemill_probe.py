"""Models answered for in an interpreter of their own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

from tidemill.backends.trackers.mlflow import INSIDE
from tidemill.base import proc

BRIGHTNESS = {"dark": 40, "light": 220}


def ask(question: str, model: Path, *more: object) -> dict[str, Any]:
    out = model.parent / "answer.json"
    argv = [sys.executable, str(INSIDE / "tidemill_probe.py"), question, "--model", str(model), "--out", str(out)]
    done = proc.run([*argv, *map(str, more)])
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(out.read_text())
    return answer


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name, value in BRIGHTNESS.items():
        (tmp_path / "test" / name).mkdir(parents=True)
        for n in range(4):
            Image.new("L", (4, 4), value + n).save(tmp_path / "test" / name / f"{n}.png")
    return tmp_path / "test"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A classifier of 4 x 4 pictures, kept as a registered folder is."""
    root = tmp_path / "model" / "INPUT_model_path"
    root.mkdir(parents=True)
    rows = np.repeat(np.array([[40.0], [220.0]]) / 255, 16, axis=1)
    joblib.dump(LogisticRegression(C=100).fit(rows, [0, 1]), root / "model.joblib")
    card = {"classes": list(BRIGHTNESS), "image": {"mode": "L", "size": [4, 4], "range": [0, 1], "flatten": True}}
    (root / "serving.json").write_text(json.dumps(card))
    golden = {"inputs": [{"pixels": [30] * 16}, {"pixels": [230] * 16}], "predictions": ["dark", "dark"]}
    (root / "golden.json").write_text(json.dumps(golden))
    return tmp_path / "model"


def test_golden_rows_answered_otherwise_than_at_training_time_are_named(model: Path) -> None:
    assert ask("predict", model) == {"predictions": ["dark", "light"], "expected": ["dark", "dark"], "differing": [1]}


def test_accuracy_is_computed_on_label_folders(model: Path, pictures: Path) -> None:
    assert ask("evaluate", model, "--data", pictures) == {"accuracy": 1.0, "baseline_accuracy": 0.5, "rows": 8}
    for path in (pictures / "dark").iterdir():
        path.rename(pictures / "light" / f"moved-{path.name}")
    assert ask("evaluate", model, "--data", pictures)["accuracy"] == 0.5


def test_classes_the_model_does_not_know_make_no_number(model: Path, pictures: Path) -> None:
    (pictures / "dark").rename(pictures / "dim")
    assert "no class dim" in ask("evaluate", model, "--data", pictures)["unknown"]


def test_accuracy_is_computed_on_a_table(tmp_path: Path) -> None:
    root = tmp_path / "model"
    root.mkdir()
    joblib.dump(LogisticRegression(C=1000).fit([[0.0, 5.0], [1.0, 5.0]], ["no", "yes"]), root / "model.joblib")
    card = {"columns": [{"name": "a", "type": "number"}, {"name": "b", "type": "number"}]}
    (root / "serving.json").write_text(json.dumps(card))
    table = tmp_path / "test.csv"
    table.write_text("a,b,Label\n0,5,no\n1,5,yes\n0,5,yes\n1,5,yes\n")
    assert ask("evaluate", root, "--data", table) == {"accuracy": 0.75, "baseline_accuracy": 0.75, "rows": 4}


def test_a_model_that_cannot_be_loaded_is_no_number_and_no_crash(tmp_path: Path, pictures: Path) -> None:
    root = tmp_path / "broken"
    root.mkdir()
    (root / "model.joblib").write_bytes(b"not a model")
    assert "unknown" in ask("evaluate", root, "--data", pictures)
    assert "no model" in ask("predict", pictures)["unknown"]
