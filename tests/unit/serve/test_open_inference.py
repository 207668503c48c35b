"""Open Inference Protocol v2, on the same models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .test_server import Client, server

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def table(table_model: Path) -> Client:
    return server(table_model)


@pytest.fixture(scope="module")
def golden(table_model: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((table_model / "golden.json").read_text())
    return found


def outputs(answer: dict[str, Any]) -> dict[str, Any]:
    return {o["name"]: o["data"] for o in answer["outputs"]}


def test_rows_in_one_tensor_and_a_tensor_a_column_mean_the_same(table: Client, golden: dict[str, Any]) -> None:
    rows = [list(r.values()) for r in golden["inputs"]]
    whole = {"name": "x", "shape": [5, 6], "datatype": "FP64", "data": [v for r in rows for v in r]}
    status, answer = table.post("/v2/models/m/infer", {"id": "7", "inputs": [whole]})
    assert (status, answer["id"], outputs(answer)["prediction"]) == (200, "7", golden["predictions"])
    by_column = [
        {"name": n, "shape": [5, 1], "datatype": "FP64", "data": [r[n] for r in golden["inputs"]]}
        for n in golden["inputs"][0]
    ]
    assert outputs(table.post("/v2/models/m/infer", {"inputs": by_column[::-1]})[1]) == outputs(answer)


def test_a_model_describes_its_tensors_and_is_ready(table: Client) -> None:
    status, _, body = table.call("GET", "/v2/models/m")
    assert status == 200
    assert [i["name"] for i in json.loads(body)["inputs"]][:2] == ["feature_0", "feature_1"]
    assert table.call("GET", "/v2/models/m/versions/3/ready")[0] == 200
    assert table.call("GET", "/v2/models/other")[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        [], {}, {"inputs": []}, {"inputs": [1]}, {"inputs": [{"name": "x", "shape": [1, 6]}]},
        {"inputs": [{"name": "x", "shape": [-1, 6], "data": [0] * 6}]},
        {"inputs": [{"name": "x", "shape": [1, 5], "data": [0] * 5}]},
        {"inputs": [{"name": "x", "shape": [10**30], "data": [0]}]},
        {"inputs": [{"name": "feature_0", "shape": [1], "data": [0]}]},
        {"inputs": [{"name": "x", "shape": [0, 6], "data": []}]},
        {"inputs": [{"name": "x", "shape": [1, 6], "datatype": {}, "data": [0] * 6}]},
        {"inputs": [{"name": "x", "shape": [1, 6], "datatype": "FP99", "data": [0] * 6}]},
        {"inputs": [{"name": 7, "shape": [1, 6], "datatype": "FP64", "data": [0] * 6}]},
        {"inputs": [{"name": "x", "shape": [1, 6], "datatype": "FP64", "data": [0] * 6}], "id": 7},
        {"inputs": [{"name": "x", "shape": [1, 6], "datatype": "FP64", "data": [False] * 6}]},
        {"inputs": [{"name": f"feature_{i}", "shape": [1], "datatype": "FP64", "data": 0} for i in range(6)]},
    ],
)  # fmt: skip
def test_a_wrong_tensor_is_400_with_a_reason(table: Client, body: Any) -> None:
    status, answer = table.post("/v2/models/m/infer", body)
    assert status == 400
    assert answer["error"]


@pytest.mark.parametrize("wanted", [None, []])
def test_none_asked_for_are_all_outputs(table: Client, wanted: Any) -> None:
    tensor = {"name": "x", "shape": [1, 6], "datatype": "FP64", "data": [0] * 6}
    status, answer = table.post("/v2/models/m/infer", {"inputs": [tensor], "outputs": wanted})
    assert (status, [o["name"] for o in answer["outputs"]]) == (200, ["prediction", "probabilities"])


def test_another_method_is_405_and_an_unknown_action_404(table: Client) -> None:
    answers = [
        table.call(*c)[0] for c in (("GET", "/v2/models/m/infer"), ("POST", "/v2/models/m"), ("GET", "/v2/models/m/x"))
    ]
    assert answers == [405, 405, 404]
