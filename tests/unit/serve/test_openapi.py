"""What the OpenAPI document says is accepted never makes the server fail, whatever the values."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression

from tests.unit.serve.conftest import save
from tests.unit.serve.test_server import Client, server

pytestmark = pytest.mark.filterwarnings("ignore")
ARROW, NPY = "application/vnd.apache.arrow.stream", "application/x-npy"
KINDS = {"digits", "table", "tensor"}
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(), lambda s: st.lists(s, max_size=4)
)


@pytest.fixture(scope="module")
def clients(digits_model: Path, table_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Client]:
    x = np.random.default_rng(0).normal(size=(50, 3))
    model = LogisticRegression().fit(x, x[:, 0] > 0)
    golden = {"inputs": [], "predictions": []}
    tensor = save(tmp_path_factory.mktemp("tensor") / "model", model, {"task": "classification"}, golden)
    return {"digits": server(digits_model), "table": server(table_model), "tensor": server(tensor)}


def document(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.call("GET", "/openapi.json")[2])
    return found


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a schema allows, and now and then what it does not."""
    if "anyOf" in schema:
        return st.one_of([values(s) for s in schema["anyOf"]])
    kind = schema.get("type")
    if kind == "object":
        required = {k: values(v) for k, v in schema.get("properties", {}).items()}
        return st.fixed_dictionaries(required) | st.fixed_dictionaries({}, optional={**required, "other": JSON})
    if kind == "array":
        return st.lists(
            values(schema.get("items", {})),
            min_size=schema.get("minItems", 0),
            max_size=max(4, schema.get("minItems", 0)),
        )
    plain: dict[str, st.SearchStrategy[Any]] = {
        "number": st.floats(schema.get("minimum"), schema.get("maximum")),
        "double": st.floats(),
        "integer": st.integers(),
        "string": st.text(max_size=20),
    }
    return plain.get(str(kind), JSON) | JSON


def operations(client: Client) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, methods in document(client)["paths"].items()
        for method, operation in methods.items()
    ]


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)))
def test_no_request_drawn_from_the_openapi_document_gets_a_5xx(
    clients: dict[str, Client], data: st.DataObject, kind: str
) -> None:
    client = clients[kind]
    method, path, operation = data.draw(st.sampled_from(operations(client)))
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        assert client.call(method, path)[0] == 200
        return
    media = data.draw(st.sampled_from(sorted(content)))
    json_like = media == "application/json"
    body = json.dumps(data.draw(values(content[media]["schema"]))).encode() if json_like else data.draw(st.binary())
    status, _, answer = client.call(method, path, body, {"content-type": media.replace("*", "png")})
    assert status < 500, answer
    said = operation["responses"]
    assert str(status) in said, f"{method} {path} answered {status}, which the document does not tell of"


def test_every_example_of_the_document_is_answered(clients: dict[str, Client]) -> None:
    for kind in ("digits", "table"):
        for path in ("/predict", "/score"):
            example = document(clients[kind])["paths"][path]["post"]["requestBody"]["content"]["application/json"][
                "example"
            ]
            assert clients[kind].post(path, example)[0] == 200


@pytest.mark.parametrize(
    "body", [5, [], {}, {"inputs": 5}, {"inputs": [[[1]]]}, [[1, 2]], {"inputs": [[1, 2, 3], [1]]}]
)
def test_tensors_of_a_wrong_shape_are_the_client_s_fault(clients: dict[str, Client], body: Any) -> None:
    assert clients["tensor"].post("/predict", body)[0] == 422


def test_numbers_the_model_overflows_on_are_the_client_s_fault(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    golden = {"inputs": [], "predictions": []}
    model = LinearRegression().fit(x, 100 * x.sum(axis=1))
    client = server(save(tmp_path / "model", model, {"task": "regression"}, golden))
    status, answer = client.post("/predict", {"inputs": [[1.5e308, 1.5e308, 1.5e308]]})
    assert (status, answer["detail"][0]["type"]) == (422, "finite_number")


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    array=st.sampled_from(
        [np.float64(1), np.zeros((0, 3)), np.zeros((2, 3)), np.full((1, 3), np.nan), np.zeros(3, complex), np.zeros(2, "M8[s]"),
         np.array([["a", "b", "c"]]), np.zeros((1, 3), "i1,i1")]
    ),
    cut=st.integers(0, 200),
)  # fmt: skip
def test_arrays_in_npy_are_answered_or_refused(clients: dict[str, Client], array: Any, cut: int) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    for body in (buffer.getvalue(), buffer.getvalue()[:cut]):
        assert clients["tensor"].post("/predict", body, NPY)[0] in {200, 422}


def arrow(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema) as stream:
        stream.write_table(table)
    return buffer.getvalue()


def test_an_arrow_table_is_answered_as_the_same_rows_in_json(clients: dict[str, Client], table_model: Path) -> None:
    records = json.loads((table_model / "golden.json").read_text())["inputs"]
    body = arrow(pa.Table.from_pylist(records).select(sorted(records[0], reverse=True)))
    status, answer = clients["table"].post("/predict", body, ARROW)
    assert (status, answer) == clients["table"].post("/predict", records)
    assert status == 200


def test_pictures_in_an_arrow_column_of_lists_are_answered(clients: dict[str, Client], digits_model: Path) -> None:
    golden = json.loads((digits_model / "golden.json").read_text())
    body = arrow(pa.table({"pixels": [g["pixels"] for g in golden["inputs"]]}))
    status, answer = clients["digits"].post("/predict", body, ARROW)
    assert (status, [a["prediction"] for a in answer["predictions"]]) == (200, golden["predictions"])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pa.table({"feature_0": [None, 1.0]}), "feature_0"),
        (pa.table({"feature_0": pa.array([b"x"])}), "feature_0"),
        (pa.table({"other": [1.0]}), "other"),
        (pa.table({"feature_0": pa.array([], pa.float64())}), "empty"),
        (pa.table({}), "empty"),
    ],
)
def test_an_arrow_table_that_does_not_fit_is_refused_with_the_reason(
    clients: dict[str, Client], table: pa.Table, words: str
) -> None:
    status, answer = clients["table"].post("/predict", arrow(table), ARROW)
    assert status == 422
    assert words in json.dumps(answer)
