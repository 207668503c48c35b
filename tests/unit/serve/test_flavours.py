"""Models as people keep them with MLflow: each answers as it does where it was trained."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from tests.unit.serve.test_server import Client, server
from tidemill.serve.engine import load_engine

pytestmark = pytest.mark.filterwarnings("ignore")
TYPES = {"age": "long", "income": "double", "city": "string", "member": "boolean"}
ROW = {"age": 40, "income": 51.5, "city": "Bern", "member": True}


def people() -> tuple[pd.DataFrame, np.ndarray]:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": draw.integers(18, 90, 200),
            "income": draw.normal(50, 10, 200),
            "city": draw.choice(["Bern", "Genf", "Zürich"], 200),
            "member": draw.random(200) > 0.5,
        }
    )
    return frame, np.where(frame.age + draw.normal(0, 15, 200) > 50, "stays", "leaves")


def keep(folder: Path, model: Any, columns: list[str], optional: tuple[str, ...] = (), example: Any = None) -> Path:
    """A model folder as `mlflow.sklearn.save_model` writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    inputs = [{"name": c, "type": TYPES[c], "required": c not in optional} for c in columns]
    flavors = {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}}
    signature = {"signature": {"inputs": json.dumps(inputs)}} if columns else {}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors, **signature}))
    if example is not None:
        split = {"columns": list(example), "data": [list(example.values())]}
        (folder / "serving_input_example.json").write_text(json.dumps({"dataframe_split": split}))
    return folder


@pytest.fixture(autouse=True)
def by_the_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Converting takes seconds: only the tests that are about it do."""
    if "fast" not in request.fixturenames:
        monkeypatch.setattr("tidemill.serve.engine.NEEDED", {})


@pytest.fixture
def fast() -> None:
    """Conversions are made."""


def ask(folder: Path, body: Any) -> tuple[int, Any]:
    return server(folder).post("/predict", body)


def mixed(encoder: OneHotEncoder) -> Any:
    frame, labels = people()
    parts = make_column_transformer((StandardScaler(), ["age", "income"]), (encoder, ["city"]), remainder="passthrough")
    return make_pipeline(parts, LogisticRegression()).fit(frame, labels)


def test_columns_picked_by_name_are_answered_as_by_the_pipeline_itself(tmp_path: Path) -> None:
    model = mixed(OneHotEncoder())
    status, answer = ask(keep(tmp_path / "m", model, list(ROW)), ROW)
    wanted = model.predict_proba(pd.DataFrame([ROW]))[0]
    assert status == 200
    assert list(answer["probabilities"].values()) == pytest.approx(wanted.tolist(), abs=1e-6)


def test_a_word_the_encoder_does_not_know_is_422_with_those_it_knows(tmp_path: Path) -> None:
    status, answer = ask(keep(tmp_path / "m", mixed(OneHotEncoder()), list(ROW)), ROW | {"city": "Basel"})
    assert (status, answer["detail"][0]["loc"]) == (422, ["body", "city"])
    assert "`Bern`, `Genf`, `Zürich`" in answer["detail"][0]["msg"]


def test_a_word_the_encoder_passes_over_is_answered_and_reported(tmp_path: Path) -> None:
    model = mixed(OneHotEncoder(handle_unknown="ignore"))
    status, answer = ask(keep(tmp_path / "m", model, list(ROW)), ROW | {"city": "Basel"})
    assert (status, answer["warnings"]) == (200, ["`city`: `Basel` was not seen in training"])


def test_numbers_picked_by_name_need_no_text_column(tmp_path: Path) -> None:
    frame, labels = people()
    parts = make_column_transformer((StandardScaler(), ["age"]), (MinMaxScaler(), ["income"]))
    model = make_pipeline(parts, LogisticRegression()).fit(frame[["age", "income"]], labels)
    status, answer = ask(keep(tmp_path / "m", model, ["age", "income"]), {"age": 30, "income": 60})
    assert (status, answer["prediction"]) == (200, model.predict(pd.DataFrame([{"age": 30, "income": 60}]))[0])


def test_a_model_without_a_signature_tells_its_columns_itself(tmp_path: Path) -> None:
    status, answer = ask(keep(tmp_path / "m", mixed(OneHotEncoder()), []), ROW)
    assert (status, answer["prediction"] in {"stays", "leaves"}) == (200, True)


def test_columns_of_the_signature_in_another_order_than_the_models_are_not_swapped(tmp_path: Path) -> None:
    frame, labels = people()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame[["age", "income"]], labels)
    row = {"income": 20.0, "age": 80}
    _, answer = ask(keep(tmp_path / "m", model, ["income", "age"]), row)
    wanted = model.predict_proba(pd.DataFrame([row])[["age", "income"]])[0]
    assert list(answer["probabilities"].values()) == pytest.approx(wanted.tolist(), abs=1e-6)


def test_a_regression_without_a_card_takes_the_fast_path_with_the_same_numbers(tmp_path: Path, fast: None) -> None:
    frame, _ = people()
    numbers = frame[["age", "income"]]
    model = LinearRegression().fit(numbers, numbers.income * 2 + numbers.age)
    engine = load_engine(
        keep(tmp_path / "m", model, ["age", "income"]), name="m", version="1", deployment="", allow_pickle=True
    )
    assert engine.predictor.path.startswith("onnxruntime")
    assert engine.predictor.predict(np.array([[40.0, 50.0]])).labels == pytest.approx([140.0], rel=1e-5)


def test_several_outputs_stay_together_a_row(tmp_path: Path) -> None:
    frame, labels = people()
    numbers = frame[["age", "income"]]
    values = LinearRegression().fit(numbers, np.c_[numbers.income, numbers.age])
    rows = [{"age": 40, "income": 50.0}, {"age": 50, "income": 60.0}]
    status, answer = ask(keep(tmp_path / "values", values, ["age", "income"]), rows)
    assert status == 200
    assert np.array([a["prediction"] for a in answer["predictions"]]) == pytest.approx(np.array([[50, 40], [60, 50]]))
    both = MultiOutputClassifier(RandomForestClassifier(3, random_state=0))
    both.fit(numbers, np.c_[labels, np.where(numbers.age > 40, "old", "young")])
    status, answer = ask(keep(tmp_path / "labels", both, ["age", "income"]), rows[0])
    assert (status, answer["prediction"]) == (200, both.predict(pd.DataFrame(rows[:1]))[0].tolist())


def test_classes_nobody_named_are_answered_in_their_own_type(tmp_path: Path) -> None:
    frame, _ = people()
    numbers = frame[["age", "income"]]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(numbers, (numbers.age > 50) + 3)
    client = server(keep(tmp_path / "m", model, ["age", "income"]))
    status, answer = client.post("/predict", {"age": 90, "income": 50})
    assert (status, answer["prediction"], set(answer["probabilities"])) == (200, 4, {"3", "4"})
    assert client.post("/score", [{"age": 90, "income": 50}]) == (200, [4])


def check_own_labels(folder: Path) -> None:
    frame, labels = people()
    numbers = frame[["age", "income"]]
    base = LogisticRegression().fit(numbers, labels)
    for model in (
        FixedThresholdClassifier(base, threshold=0.1, pos_label="stays").fit(numbers, labels),
        SVC(probability=True, random_state=0).fit(numbers, labels),
    ):
        kept = keep(folder / type(model).__name__, model, ["age", "income"])
        _, answer = ask(kept, numbers.to_dict("records"))
        assert [a["prediction"] for a in answer["predictions"]] == model.predict(numbers).tolist()


def test_the_label_is_the_models_own_not_the_most_probable(tmp_path: Path) -> None:
    check_own_labels(tmp_path)


def test_the_label_of_a_conversion_is_the_models_own(tmp_path: Path, fast: None) -> None:
    check_own_labels(tmp_path)


def test_clusters_keep_their_numbers(tmp_path: Path) -> None:
    frame, _ = people()
    model = KMeans(3, random_state=0, n_init=1).fit(frame[["age", "income"]])
    _, answer = ask(keep(tmp_path / "m", model, ["age", "income"]), frame[["age", "income"]][:9].to_dict("records"))
    assert [a["prediction"] for a in answer["predictions"]] == model.labels_[:9].tolist()


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Client:
    """A model that was trained with missing incomes."""
    frame, labels = people()
    numbers = frame[["age", "income"]].copy()
    numbers.loc[::3, "income"] = np.nan
    model = HistGradientBoostingClassifier(max_iter=5).fit(numbers, labels)
    example = {"age": 79, "income": float("nan")}
    return server(keep(tmp_path_factory.mktemp("lenient") / "m", model, ["age", "income"], ("income",), example))


@pytest.mark.parametrize("body", [b'{"age": 30, "income": null}', b'{"age": 30}', b'{"age": 30, "income": NaN}'])
def test_a_value_that_may_be_missing_may_be_null_left_out_or_nan(lenient: Client, body: bytes) -> None:
    assert lenient.post("/predict", body) == lenient.post("/predict", b'{"age": 30, "income": null}')
    assert lenient.post("/predict", body)[0] == 200


@pytest.mark.parametrize("body", [b'{"age": null, "income": 1}', b'{"income": 1}', b'{"age": NaN, "income": 1}'])
def test_a_value_that_must_be_there_is_named_when_it_is_not(lenient: Client, body: bytes) -> None:
    status, answer = lenient.post("/predict", body)
    assert (status, answer["detail"][0]["loc"]) == (422, ["body", "age"])


def test_the_example_of_the_openapi_document_is_the_one_kept_with_the_model(lenient: Client) -> None:
    _, _, raw = lenient.call("GET", "/openapi.json")
    example = json.loads(raw)["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert example == {"age": 79, "income": None}
    assert lenient.post("/predict", example)[0] == 200


RECORDS = [{"age": 30, "income": 40.5}, {"age": 70, "income": 60.5}]
SPLIT = {"columns": ["income", "age"], "index": [7, 9], "data": [[40.5, 30], [60.5, 70]]}
COLUMNS = {"age": [30, 70], "income": [40.5, 60.5]}
FORMS = {
    "dataframe_split": SPLIT, "dataframe_records": RECORDS, "instances": RECORDS, "inputs": COLUMNS, "input_data": SPLIT,
    "data": RECORDS, "records": RECORDS,
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_the_forms_of_mlflow_and_azure_mean_the_same(lenient: Client, name: str) -> None:
    assert lenient.post("/predict", {name: FORMS[name]}) == lenient.post("/predict", RECORDS)


@pytest.mark.parametrize(
    "body",
    [COLUMNS, {"age": {"0": 30, "1": 70}, "income": {"0": 40.5, "1": 60.5}}, {"input_data": COLUMNS}, SPLIT],
)
def test_columns_by_name_are_as_many_records(lenient: Client, body: Any) -> None:
    assert lenient.post("/predict", body) == lenient.post("/predict", RECORDS)


@pytest.mark.parametrize(
    ("body", "loc", "word"),
    [
        ({"age": [1, 2], "income": [1]}, ["body", "income"], "as many as `age`"),
        ({"age": [1, 2], "income": 3}, ["body", "age"], "number"),
        ({"age": [1, "x"], "income": [1, 2]}, ["body", 1, "age"], "number"),
        ({"agee": 1, "income": 2}, ["body", "agee"], "did you mean `age`"),
        ({"columns": ["age", "age"], "data": [[1, 2]]}, ["body", "columns"], "twice"),
        ({"columns": [["age"], {}], "data": [[1, 2]]}, ["body", "columns"], "column names"),
        ({"age": 1 << 64, "income": 2}, ["body", "age"], "too large"),
        ({"age": {}, "income": {}}, ["body"], "empty"),
    ],
)
def test_what_is_wrong_with_columns_is_named(lenient: Client, body: Any, loc: list[Any], word: str) -> None:
    status, answer = lenient.post("/predict", body)
    assert (status, answer["detail"][0]["loc"]) == (422, loc)
    assert word in answer["detail"][0]["msg"]
