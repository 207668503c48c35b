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
print(engine.predictor.path, [m for m in ("pandas", "rich", "skl2onnx", "onnx", "mlflow") if m in sys.modules])
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
