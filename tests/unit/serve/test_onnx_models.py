"""ONNX files as people bring them, with nothing beside them: labels are labels, values stay values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.unit.serve.test_server import server

skl2onnx = pytest.importorskip("skl2onnx")
types = pytest.importorskip("skl2onnx.common.data_types")
pytestmark = pytest.mark.filterwarnings("ignore")
ROWS = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)


def keep(folder: Path, model: Any, card: str = "", **options: Any) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(skl2onnx.to_onnx(model, ROWS[:1], **options).SerializeToString())
    if card:
        (folder / "serving.json").write_text(card)
    return folder


def ask(folder: Path, rows: Any) -> list[Any]:
    status, answer = server(folder).post("/predict", rows)
    assert status == 200, answer
    found: list[Any] = answer["predictions"]
    return found


def test_a_regression_answers_its_values(tmp_path: Path) -> None:
    model = LinearRegression().fit(ROWS, ROWS.sum(axis=1) * 3)
    found = ask(keep(tmp_path / "m", model), {"inputs": [[1, 2, 3], [0, 0, 0]]})
    assert [f["prediction"] for f in found] == pytest.approx([18, 0], abs=1e-4)
    assert "probability" not in found[0]
    both = LinearRegression().fit(ROWS, ROWS[:, :2] * 3)
    found = ask(keep(tmp_path / "two", both), {"inputs": [[1, 2, 3]]})
    assert found[0]["prediction"] == pytest.approx([3, 6], abs=1e-4)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_classifier_answers_its_own_labels(tmp_path: Path, *, zipped: bool) -> None:
    labels = np.where(ROWS[:, 0] > 0, "yes", "no")
    model = LogisticRegression().fit(ROWS, labels)
    found = ask(keep(tmp_path / "m", model, options={"zipmap": zipped}), {"inputs": [[3, 0, 0], [-3, 0, 0]]})
    assert [f["prediction"] for f in found] == ["yes", "no"]
    if not zipped:
        assert list(found[0]["probabilities"]) == ["no", "yes"]


def test_the_card_names_the_classes_or_the_task(tmp_path: Path) -> None:
    model = LogisticRegression().fit(ROWS, (ROWS[:, 0] > 0).astype(int))
    card = '{"classes": ["down", "up"]}'
    found = ask(keep(tmp_path / "m", model, card, options={"zipmap": False}), {"inputs": [[3, 0, 0]]})
    assert found[0]["prediction"] == "up"


def test_the_file_tells_how_many_values_a_row_has(tmp_path: Path) -> None:
    client = server(keep(tmp_path / "m", LinearRegression().fit(ROWS, ROWS[:, 0])))
    status, answer = client.post("/predict", {"inputs": [[1, 2]]})
    assert (status, "Expected 3 values" in answer["detail"][0]["msg"]) == (422, True)


def test_one_input_a_column_is_a_table(tmp_path: Path) -> None:
    frame = pd.DataFrame({"age": ROWS[:, 0], "city": np.where(ROWS[:, 1] > 0, "Bern", "Genf")})
    parts = make_column_transformer((StandardScaler(), ["age"]), (OneHotEncoder(handle_unknown="ignore"), ["city"]))
    model = make_pipeline(parts, LogisticRegression()).fit(
        frame, np.where(ROWS[:, 0] + (ROWS[:, 1] > 0) > 0, "yes", "no")
    )
    inputs = [("age", types.FloatTensorType([None, 1])), ("city", types.StringTensorType([None, 1]))]
    folder = tmp_path / "m"
    folder.mkdir()
    graph = skl2onnx.convert_sklearn(model, initial_types=inputs, options={"zipmap": False})
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    found = ask(folder, [{"city": "Bern", "age": 1.5}, {"age": -2.0, "city": "Genf"}])
    assert [f["prediction"] for f in found] == ["yes", "no"]
