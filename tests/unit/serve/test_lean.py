"""scikit-learn comes without pandas where a model needs none, and with it where one does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOAD = """
import sys
from pathlib import Path
from tidemill.serve.engine import load_engine
engine = load_engine(Path(sys.argv[1]), name="m", version="1", deployment="", allow_pickle=True, soon=True)
print(engine.predictor.path, [m for m in ("pandas", "rich", "scipy.stats", "skl2onnx", "onnx", "mlflow") if m in sys.modules])
"""
NEEDING = """
import numpy as np

class Scaled:
    n_features_in_ = 1

    def __reduce__(self):
        import pandas, sklearn.linear_model
        return (make, (pandas.Series([2.0]), sklearn.linear_model.LinearRegression()))

    def predict(self, rows):
        import pandas as pd
        return pd.DataFrame(rows).to_numpy()[:, 0] * self.by[0]

def make(by, model):
    made = Scaled()
    made.by = by
    return made
"""


def test_a_models_first_start_imports_neither_pandas_nor_a_converter(table_model: Path, tmp_path: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(table_model)], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout == "scikit-learn []\n"


QUANTILES = """
import json, pickle, numpy as np
from pathlib import Path
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer
rows = np.random.default_rng(0).normal(size=(60, 2))
steps = (QuantileTransformer(n_quantiles=10, output_distribution="normal"), KNeighborsClassifier(3))
model = make_pipeline(*steps).fit(rows, rows[:, 0] > 0)
Path("model").mkdir()
Path("model/model.pkl").write_bytes(pickle.dumps(model))
asked = rows[:3]
golden = {"inputs": asked.tolist(), "predictions": [str(v) for v in model.predict(asked)], "probabilities": model.predict_proba(asked).tolist()}
Path("model/golden.json").write_text(json.dumps(golden))
Path("model/serving.json").write_text(json.dumps({"columns": [{"name": n, "type": "double"} for n in "ab"]}))
"""


def test_a_model_that_asks_for_distributions_while_it_answers_gets_them(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", QUANTILES], cwd=tmp_path, check=True)
    ask = f"{LOAD}\nprint(engine.differences, 'scipy.stats' in sys.modules)"
    environment = {"XDG_CACHE_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", ask, "model"], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[] True"


def test_what_is_imported_with_the_stand_in_finds_the_real_functions_when_it_calls_them() -> None:
    ask = """
import sys
from tidemill.serve.lean import import_sklearn
import_sklearn(b"csklearn.isotonic csklearn.covariance._robust_covariance csklearn.no_such_thing")
from sklearn import isotonic
from sklearn.covariance import _robust_covariance as covariance
print("scipy.stats" in sys.modules, isotonic.spearmanr([1, 2, 3], [1, 2, 3]).statistic, round(covariance.chi2.ppf(0.5, 2), 3))
import scipy.stats
print(scipy.stats.norm.cdf(0.0))
"""
    done = subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True)
    assert done.stdout == "False 1.0 1.386\n0.5\n"


def test_a_model_that_holds_pandas_gets_it(tmp_path: Path) -> None:
    (tmp_path / "scaled.py").write_text(NEEDING)
    (tmp_path / "model").mkdir()
    make = "import pickle, scaled; pickle.dump(scaled.Scaled(), open('model/model.pkl', 'wb'))"
    subprocess.run([sys.executable, "-c", make], cwd=tmp_path, check=True)
    (tmp_path / "model" / "serving.json").write_text(
        '{"task": "regression", "columns": [{"name": "a", "type": "double"}]}'
    )
    ask = f"{LOAD}\nimport numpy as np\nprint(engine.predictor.predict(np.array([[4.0]])).labels)"
    done = subprocess.run(
        [sys.executable, "-c", ask, "model"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout == "scikit-learn ['pandas']\n[8.0]\n"
