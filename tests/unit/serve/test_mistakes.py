"""What clients get wrong, in JSON and in the Open Inference Protocol: a 4xx that names it, on a table of every type of column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.preprocessing import OneHotEncoder

from tests.unit.serve.test_flavours import ROW, keep, mixed
from tests.unit.serve.test_server import Client, server
from tidemill.serve.cells import read_cell
from tidemill.serve.decode import decode
from tidemill.serve.frames import frame_maker
from tidemill.serve.open_inference import read_inference
from tidemill.serve.problems import RequestProblem
from tidemill.serve.signature import Column, ModelSignature

pytestmark = pytest.mark.filterwarnings("ignore")
INFER = "/v2/models/m/infer"
TENSORS: list[dict[str, Any]] = [
    {"name": "age", "datatype": "INT64", "shape": [2], "data": [30, 40]},
    {"name": "income", "datatype": "FP64", "shape": [2], "data": [40.5, 60.5]},
    {"name": "city", "datatype": "BYTES", "shape": [2], "data": ["Bern", "Genf"]},
    {"name": "member", "datatype": "BOOL", "shape": [2], "data": [True, False]},
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    return server(keep(tmp_path_factory.mktemp("mixed") / "m", mixed(OneHotEncoder()), list(ROW), example=ROW))


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"age": None}, "age"), ({"age": "1_000"}, "age"), ({"age": 1.5}, "age"), ({"age": 10**400}, "age"), ({"age": []}, "age"),
        ({"income": "nan"}, "income"), ({"income": "x"}, "income"), ({"city": 3}, "city"), ({"city": None}, "city"),
        ({"member": 2}, "member"), ({"member": "maybe"}, "member"), ({"größe": 1}, "größe"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_422_with_its_column(client: Client, change: dict[str, Any], loc: str) -> None:
    for path, body in (
        ("/predict", ROW | change),
        ("/score", [ROW | change]),
        ("/invocations", {"inputs": [ROW | change]}),
    ):
        status, answer = client.post(path, body)
        assert (status, answer["detail"][0]["loc"][-1]) == (422, loc)


@pytest.mark.parametrize("member", [True, 1, "true", "1", "True"])
def test_a_truth_may_be_written_in_any_usual_way(client: Client, member: Any) -> None:
    assert client.post("/predict", ROW | {"member": member}) == client.post("/predict", ROW)


@pytest.mark.parametrize("body", [b'{"\\ud800": 1}', b'{"city": "\\udfff"}', b'[NaN, "\\ud800"]'])
def test_half_a_character_is_422(client: Client, body: bytes) -> None:
    assert client.post("/predict", body)[0] == 422


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"dataframe_split": {}}, ["body", "dataframe_split", "data"]),
        ({"dataframe_split": [1]}, ["body", "dataframe_split"]),
        ({"inputs": None}, ["body", "inputs"]),
        ({"instances": 3}, ["body", "instances"]),
    ],
)
def test_a_form_that_is_not_filled_in_is_named(client: Client, body: Any, loc: list[str]) -> None:
    status, answer = client.post("/predict", body)
    assert (status, answer["detail"][0]["loc"]) == (422, loc)


@pytest.mark.parametrize("path", ["/", "/page.js", "/version", "/v2", "/openapi.json"])
def test_another_method_is_405_with_those_allowed(client: Client, path: str) -> None:
    status, headers, _ = client.call("DELETE", path)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_tensors_by_column_are_answered_as_records(client: Client) -> None:
    rows = [{t["name"]: t["data"][i] for t in TENSORS} for i in range(2)]
    status, answer = client.post(INFER, {"id": "a", "inputs": TENSORS})
    _, wanted = client.post("/predict", rows)
    assert (status, answer["id"]) == (200, "a")
    assert answer["outputs"][0]["data"] == [a["prediction"] for a in wanted["predictions"]]


def test_only_the_outputs_asked_for_are_answered(client: Client) -> None:
    _, answer = client.post(INFER, {"inputs": TENSORS, "outputs": [{"name": "probabilities"}]})
    assert [o["name"] for o in answer["outputs"]] == ["probabilities"]


def changed(at: int, **change: Any) -> dict[str, Any]:
    return {"inputs": [t | change if i == at else t for i, t in enumerate(TENSORS)]}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"inputs": TENSORS, "outputs": [{"name": "nope"}]}, "outputs.0.name: There is no output `nope`"),
        ({"inputs": TENSORS, "outputs": "prediction"}, "outputs: "),
        ({"inputs": [*TENSORS, TENSORS[0]]}, "inputs.4.name: `age` is there twice"),
        (changed(0, datatype="UINT8", data=[300, -4]), "inputs.0.data: Expected values of UINT8"),
        (changed(0, data=[1.5, 2]), "inputs.0.data: Expected whole numbers"),
        (changed(3, data=[5, 7]), "inputs.3.data: Expected true or false"),
        (changed(2, data=["Basel", "Bern"]), "inputs.0.city: The model knows no `Basel`"),
        ({"inputs": TENSORS[:3]}, "member: Field required"),
    ],
)
def test_a_wrong_tensor_is_400_in_the_protocols_own_form(client: Client, body: Any, word: str) -> None:
    status, answer = client.post(INFER, body)
    assert (status, set(answer)) == (400, {"error"})
    assert word in answer["error"]


def test_binary_tensors_are_refused_in_words(client: Client) -> None:
    headers = {"inference-header-content-length": "2", "content-type": "application/octet-stream"}
    status, _, answer = client.call("POST", INFER, b"{}\x00", headers)
    assert (status, "send them as JSON" in json.loads(answer)["error"]) == (400, True)


def test_the_outputs_described_are_those_answered(client: Client) -> None:
    _, _, raw = client.call("GET", "/v2/models/m")
    described = [(o["name"], o["datatype"], o["shape"][1:]) for o in json.loads(raw)["outputs"]]
    _, answer = client.post(INFER, {"inputs": TENSORS})
    assert described == [(o["name"], o["datatype"], o["shape"][1:]) for o in answer["outputs"]]


def test_the_example_of_infer_works_when_it_is_sent(client: Client) -> None:
    document = json.loads(client.call("GET", "/openapi.json")[2])
    example = document["paths"][INFER]["post"]["requestBody"]["content"]["application/json"]["example"]
    status, answer = client.post(INFER, example)
    assert (status, answer["outputs"][0]["data"]) == (200, [client.post("/predict", ROW)[1]["prediction"]])


def test_a_large_table_is_read_beside_the_event_loop_and_answered_the_same(client: Client) -> None:
    status, answer = client.post("/predict", [ROW] * 2000)
    assert (status, len(answer["predictions"])) == (200, 2000)
    assert answer["predictions"][0]["prediction"] == client.post("/predict", ROW)[1]["prediction"]


MOMENT, BYTES, LIST = Column("when", "datetime"), Column("raw", "binary"), Column("vec", "any")


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+14:00", "1500-01-01", "soon", 3, ""]
)
def test_a_moment_no_model_can_hold_is_refused(text: Any) -> None:
    with pytest.raises(RequestProblem):
        read_cell(MOMENT, text, ("body", "when"))


def test_moments_bytes_and_lists_reach_the_model_in_their_own_types() -> None:
    cells = [
        read_cell(MOMENT, "2026-01-02T03:04:05+01:00", ()), read_cell(BYTES, "YWJj\n", ()), read_cell(LIST, [1.0, 2.0], ()),
    ]  # fmt: skip
    rows = np.empty((1, 3), dtype=object)
    rows[0, :] = cells
    frame = frame_maker([MOMENT, BYTES, LIST])(rows)
    assert frame["when"].dt.hour.tolist() == [2]
    assert frame["raw"].tolist() == [b"abc"]
    assert frame["vec"].tolist() == [[1.0, 2.0]]


def test_numbers_have_the_width_of_the_signature(tmp_path: Path) -> None:
    columns = [Column("a", "integer", dtype="integer"), Column("b", "number", dtype="float"), Column("c", "boolean")]
    frame = frame_maker(columns)(np.array([[1.0, 2.5, 1.0]]))
    assert [str(t) for t in frame.dtypes] == ["int32", "float32", "bool"]


def test_columns_may_have_the_names_of_forms() -> None:
    signature = ModelSignature(Path(), "table", columns=(Column("inputs"), Column("data")))
    each = [{"name": n, "datatype": "FP32", "shape": [1], "data": [v]} for n, v in (("data", 1.5), ("inputs", 2.5))]
    whole = [{"name": "rows", "datatype": "FP32", "shape": [1, 2], "data": [2.5, 1.5]}]
    for tensors in (each, whole):
        assert read_inference(signature, {"inputs": tensors}).rows.tolist() == [[2.5, 1.5]]


def keep_with_params(folder: Path) -> Path:
    """A model as `mlflow.pyfunc.save_model` writes it: `age` times the param `k`, and its name."""
    folder.mkdir()
    (folder / "loader.py").write_text(
        "class Model:\n"
        "    def predict(self, rows, params=None):\n"
        "        return [{'years': float(a * params['k']), 'who': params['who']} for a in rows['age']]\n"
        "def _load_pyfunc(path):\n"
        "    return Model()\n"
    )
    inputs = [{"type": "long", "name": "age", "required": True}]
    params = [
        {"name": "k", "type": "double", "default": 1.0, "shape": None},
        {"name": "who", "type": "string", "default": ["a"], "shape": [-1]},
    ]
    signature = {"inputs": json.dumps(inputs), "outputs": None, "params": json.dumps(params)}
    flavors = {"python_function": {"loader_module": "loader", "code": ".", "env": {}}}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors, "signature": signature}))
    return folder


@pytest.fixture(scope="module")
def with_params(tmp_path_factory: pytest.TempPathFactory) -> Client:
    return server(keep_with_params(tmp_path_factory.mktemp("params") / "m"))


def test_params_reach_the_model_typed_and_with_their_defaults(with_params: Client) -> None:
    frame = {"columns": ["age"], "data": [[3], [4]]}
    _, answer = with_params.post("/predict", {"dataframe_split": frame, "params": {"k": 2}})
    assert [a["prediction"] for a in answer["predictions"]] == [
        {"years": 6.0, "who": ["a"]},
        {"years": 8.0, "who": ["a"]},
    ]
    _, answer = with_params.post("/predict", {"inputs": [{"age": 3}], "params": {"who": ["b", "c"]}})
    assert answer["predictions"][0]["prediction"] == {"years": 3.0, "who": ["b", "c"]}
    assert with_params.post("/predict", {"age": 5})[1]["prediction"] == {"years": 5.0, "who": ["a"]}
    tensor = {"name": "age", "datatype": "INT64", "shape": [1], "data": [3]}
    _, answer = with_params.post(INFER, {"inputs": [tensor], "parameters": {"k": 3}})
    assert json.loads(answer["outputs"][0]["data"][0]) == {"years": 9.0, "who": ["a"]}


def test_requests_with_other_params_that_are_answered_together_stay_apart(with_params: Client) -> None:
    engine = with_params.app._engine
    assert engine is not None
    batches = [decode(engine.signature, {"inputs": [{"age": 3}], "params": {"k": k}}) for k in (1, 2, 2)]
    found = engine.predictor.predict(np.concatenate([b.rows for b in batches]))
    assert [label["years"] for label in found.labels] == [3.0, 6.0, 6.0]


@pytest.mark.parametrize(
    ("params", "loc"),
    [
        ({"k": "x"}, ["k"]),
        ({"k": None}, ["k"]),
        ({"who": "b"}, ["who"]),
        ({"who": [1]}, ["who", 0]),
        ({"q": 1}, ["q"]),
        ([1], []),
    ],
)
def test_wrong_params_are_422_with_their_names(with_params: Client, params: Any, loc: list[Any]) -> None:
    status, answer = with_params.post("/predict", {"inputs": [{"age": 3}], "params": params})
    assert (status, answer["detail"][0]["loc"]) == (422, ["body", "params", *loc])


def test_a_model_without_params_refuses_some_and_takes_none(client: Client) -> None:
    assert client.post("/predict", {"inputs": [ROW], "params": {}})[0] == 200
    status, answer = client.post("/predict", {"inputs": [ROW], "params": {"k": 1}})
    assert (status, answer["detail"][0]["loc"]) == (422, ["body", "params", "k"])
