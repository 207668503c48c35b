"""The faster path is taken only where it gives the same answers, and the server says which path it took."""

from __future__ import annotations

import logging
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC, LinearSVC

from tests.waiting import until
from tidemill.base import proc
from tidemill.base.errors import ConflictError
from tidemill.serve.convert import main as convert
from tidemill.serve.decode import decode
from tidemill.serve.engine import Engine, load_engine
from tidemill.serve.kept import same
from tidemill.serve.predictor import Answer

pytestmark = pytest.mark.filterwarnings("ignore")


def load(path: Path, **more: Any) -> Engine:
    return load_engine(path, name="m", version="1", deployment="", allow_pickle=True, **more)


def test_a_converted_model_answers_its_golden_rows_and_is_named_so(table_model: Path) -> None:
    engine = load(table_model)
    assert engine.predictor.path.startswith("onnxruntime")
    assert engine.differences == []


def test_a_server_on_the_fast_path_never_imports_scikit_learn(table_model: Path) -> None:
    load(table_model)  # the verdict is kept now
    code = (
        "import sys; from pathlib import Path; from tidemill.serve.engine import load_engine;"
        f"load_engine(Path({str(table_model)!r}), name='m', version='1', deployment='', allow_pickle=True);"
        "assert 'sklearn' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_what_cannot_be_converted_is_served_by_the_library_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    x = np.arange(12.0).reshape(6, 2)
    model = make_pipeline(FunctionTransformer(np.sqrt), LinearRegression()).fit(x, x.sum(axis=1))
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    columns = [{"name": n, "type": "double", "min": 0, "max": 11} for n in "ab"]
    about = {"task": "regression", "columns": columns}
    flavors = {"sklearn": {"pickled_model": "model.pkl"}}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors, "metadata": about}))
    with caplog.at_level(logging.INFO, "tidemill.serve"):
        engine = load(tmp_path)
    assert engine.predictor.path == "scikit-learn"
    assert engine.slow_reason
    assert "the ONNX path is not used" in caplog.text
    found = engine.predict(decode(engine.signature, {"a": 4, "b": 9}))
    assert found["prediction"] == pytest.approx(float(model.predict([[4, 9]])[0]))


@pytest.mark.parametrize(
    ("estimator", "names"), [(SVC(), [0, 1]), (LinearSVC(), ["good", "bad"])], ids=["numbers", "words"]
)
def test_a_classifier_without_probabilities_is_converted_too(tmp_path: Path, estimator: Any, names: list[Any]) -> None:
    x = np.random.default_rng(0).normal(size=(60, 2))
    model = estimator.fit(x, np.array(names)[(x[:, 0] > 0).astype(int)])
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    columns = [{"name": n, "type": "double", "min": -2, "max": 2} for n in "ab"]
    flavors = {"sklearn": {"pickled_model": "model.pkl"}}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors, "metadata": {"columns": columns}}))
    assert convert([str(tmp_path), str(tmp_path.parent / f"kept-{names[0]}")]) == 0
    engine = load(tmp_path, kept=tmp_path.parent / f"kept-{names[0]}")
    assert (engine.predictor.path, engine.slow_reason) == ("onnxruntime (proven equal to scikit-learn)", "")
    found = engine.predict(decode(engine.signature, [{"a": 1, "b": 0}, {"a": -1, "b": 0}]))["predictions"]
    assert [f["prediction"] for f in found] == model.predict([[1, 0], [-1, 0]]).tolist()


def test_other_bytes_than_were_registered_are_refused_before_they_are_loaded(table_model: Path) -> None:
    with pytest.raises(ConflictError, match="other bytes"):
        load(table_model, expected_digest="0" * 64)


@pytest.mark.parametrize(
    ("slow", "fast", "difference"),
    [
        (Answer([0, 1]), Answer([0, 1]), ""),
        (Answer([0, 1]), Answer([0, 0]), "1 of 2 labels"),
        (Answer([0], np.array([[0.6, 0.4]])), Answer([0], np.array([[0.60002, 0.39998]])), "probability differs"),
        (Answer([1000.0]), Answer([1000.001]), ""),
        (Answer([1.0]), Answer([1.001]), "value differs"),
    ],
)
def test_agreement_is_equal_labels_and_close_numbers(slow: Answer, fast: Answer, difference: str) -> None:
    assert difference in same(slow, fast)
    assert bool(same(slow, fast)) == bool(difference)


class Endless:
    """A model whose loading tells that it began, and does not end."""

    def __init__(self, flag: Path) -> None:
        self._flag = flag

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, (
            f"import pathlib, os, time; pathlib.Path({str(self._flag)!r}).write_text(str(os.getpid())); time.sleep(60)",
        )


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the conversion ends by itself")
def test_a_conversion_ends_with_the_server_that_asked_for_it(table_model: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(table_model, tmp_path / "model"))
    (model / "model.pkl").write_bytes(pickle.dumps(Endless(tmp_path / "pid")))
    code = "import sys; from tidemill.base import proc; proc.run([sys.executable, *sys.argv[1:]])"
    words = ["-m", "tidemill.serve.convert", str(model), str(tmp_path / "kept")]
    with subprocess.Popen([sys.executable, "-c", code, *words]) as server:
        until(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()))
        server.kill()
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not proc.is_alive(pid))
