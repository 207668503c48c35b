"""Two tiny real models: pictures of digits, and a table; saved as MLflow model folders with golden rows."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.datasets import load_digits, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

COLUMNS = [f"feature_{i}" for i in range(6)]


def save(folder: Path, model: object, metadata: dict[str, object], golden: dict[str, object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    flavors = {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}}
    (folder / "MLmodel").write_text(
        yaml.safe_dump({"flavors": flavors, "metadata": metadata, "utc_time_created": "2026-11-20 22:00:00"})
    )
    (folder / "golden.json").write_text(json.dumps(golden))
    return folder


@pytest.fixture(scope="session")
def digits_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = load_digits()
    model = LogisticRegression(max_iter=300).fit(data.data / 16, data.target)
    rows = (data.data[:10] / 16 * 255).round()
    scores = model.predict_proba(rows / 255)
    golden = {
        "inputs": [{"pixels": r.tolist()} for r in rows],
        "predictions": [f"digit {i}" for i in scores.argmax(axis=1)],
        "probabilities": scores.tolist(),
        "tolerance": 1e-4,
    }
    image = {"mode": "L", "size": [8, 8], "range": [0, 1], "flatten": True, "ink": "light"}
    metadata = {
        "classes": [f"digit {i}" for i in range(10)],
        "image": image,
        "task": "classification",
        "metrics": {"accuracy": 0.95},
    }
    return save(tmp_path_factory.mktemp("digits") / "INPUT_model_path", model, metadata, golden)


@pytest.fixture(scope="session")
def table_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    x, y = make_classification(300, 6, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    rows = x[:5]
    golden = {
        "inputs": [dict(zip(COLUMNS, map(float, r), strict=True)) for r in rows],
        "predictions": [["no", "yes"][i] for i in model.predict(rows)],
        "probabilities": model.predict_proba(rows).tolist(),
        "tolerance": 1e-4,
    }
    limits = {c: [float(np.min(x[:, i])), float(np.max(x[:, i]))] for i, c in enumerate(COLUMNS)}
    columns = [{"name": c, "type": "double"} for c in COLUMNS]
    metadata = {"classes": ["no", "yes"], "task": "classification", "columns": columns, "limits": limits}
    return save(tmp_path_factory.mktemp("table") / "model", model, metadata, golden)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Verdicts about conversions go to a cache of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
