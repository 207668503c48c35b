"""The models of `serving.py`, each in a folder with what every server reads beside it: their programs, as their guides write them."""

from __future__ import annotations

import json
import pickle
import socket
import subprocess  # noqa: TID251 - Keras lives elsewhere
from dataclasses import dataclass
from pathlib import Path

import yaml
from serving_peers import PEERS
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

WIDTH = 37
COLUMNS = [f"feature_{i}" for i in range(WIDTH)]
FASTAPI = """
import pickle, sys
import pandas as pd
from fastapi import FastAPI
from pydantic import create_model
model = pickle.load(open("model.pkl", "rb"))
columns = [f"feature_{i}" for i in range(37)]
Record = create_model("Record", **{c: (float, ...) for c in columns})
app = FastAPI()
@app.post("/predict")
def predict(record: Record):
    scores = model.predict_proba(pd.DataFrame([record.model_dump()])[columns].to_numpy())[0]
    return {"prediction": ["no", "yes"][int(scores.argmax())], "probabilities": {"no": float(scores[0]), "yes": float(scores[1])}}
"""
BARE = """
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
SCORE = """
import json, os, pickle
def init():
    global model
    model = pickle.load(open(os.environ["MODEL_FILE"], "rb"))
def run(raw):
    rows = json.loads(raw)["data"]
    return [["no", "yes"][i] for i in model.predict(rows)]
"""
LITSERVE = """
import pickle, sys
import litserve as ls
class Api(ls.LitAPI):
    def setup(self, device): self.model = pickle.load(open("model.pkl", "rb"))
    def decode_request(self, request): return request["data"]
    def predict(self, rows): return self.model.predict(rows)
    def encode_response(self, found): return [["no", "yes"][i] for i in found]
if __name__ == "__main__":
    ls.LitServer(Api(), accelerator="cpu").run(port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False, log_level="error")
"""
BENTO = """
import pickle
import bentoml
@bentoml.service
class Api:
    def __init__(self): self.model = pickle.load(open("model.pkl", "rb"))
    @bentoml.api
    def predict(self, data: list[list[float]]) -> list[str]: return [["no", "yes"][i] for i in self.model.predict(data)]
"""

MAKE_CNN = """
import json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np
from keras import layers as L
keras.utils.set_random_seed(1)
labels = np.arange(2000) % 10
rows = np.random.default_rng(1).uniform(0, 0.4, (2000, 28, 28, 1)).astype("float32")
for i, label in enumerate(labels):
    rows[i, 4 + label : 14 + label, 2 * label : 2 * label + 8] += 0.6
model = keras.Sequential([
    L.Input((28, 28, 1)), L.Conv2D(16, 3, activation="relu"), L.MaxPooling2D(), L.Conv2D(32, 3, activation="relu"), L.MaxPooling2D(),
    L.Dropout(0.3), L.Flatten(), L.Dense(64, activation="relu"), L.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(rows, labels, epochs=2, verbose=0)
model.save("model.keras")
asked = (rows[:20] * 255).round()
scores = np.asarray(model((asked / 255).astype("float32"), training=False))
json.dump({
    "inputs": [{"pixels": a.reshape(28, 28).astype(int).tolist()} for a in asked],
    "predictions": [f"digit {i}" for i in scores.argmax(axis=1)],
    "probabilities": scores.tolist(), "tolerance": 1e-4,
}, open("golden.json", "w"))
"""
LOAD_CNN = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np
model = keras.saving.load_model("model.keras", compile=False)
def scores_of(pictures):
    return np.asarray(model((np.asarray(pictures, dtype="float32") / 255).reshape(-1, 28, 28, 1), training=False))
"""
FASTAPI_CNN = """
from fastapi import FastAPI
from pydantic import BaseModel
from cnn import scores_of
class Record(BaseModel):
    pixels: list[list[float]]
app = FastAPI()
@app.post("/predict")
def predict(record: Record):
    scores = scores_of([record.pixels])[0]
    return {"prediction": f"digit {scores.argmax()}", "probabilities": {f"digit {i}": float(s) for i, s in enumerate(scores)}}
"""
LITSERVE_CNN = """
import sys
import litserve as ls
class Api(ls.LitAPI):
    def setup(self, device):
        from cnn import scores_of
        self.scores_of = scores_of
    def decode_request(self, request): return request["data"]
    def predict(self, pictures): return self.scores_of(pictures)
    def encode_response(self, found): return [f"digit {i}" for i in found.argmax(axis=1)]
if __name__ == "__main__":
    ls.LitServer(Api(), accelerator="cpu").run(port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False, log_level="error")
"""
BENTO_CNN = """
import bentoml
@bentoml.service
class Api:
    def __init__(self):
        from cnn import scores_of
        self.scores_of = scores_of
    @bentoml.api
    def predict(self, data: list[list[list[float]]]) -> list[str]: return [f"digit {i}" for i in self.scores_of(data).argmax(axis=1)]
"""


@dataclass(frozen=True)
class Asked:
    """One request in each form a server takes, and what its answer holds one of."""

    bodies: dict[str, bytes]
    right: tuple[str, ...]


def train_cnn(folder: Path) -> Asked:
    """The CNN, made where Keras is."""
    folder.mkdir(parents=True)
    for file, text in {
        "make.py": MAKE_CNN,
        "cnn.py": LOAD_CNN,
        "app.py": FASTAPI_CNN,
        "bare.py": BARE,
        "lit.py": LITSERVE_CNN,
        "bento.py": BENTO_CNN,
    }.items():
        (folder / file).write_text(text)
    subprocess.run([str(PEERS / "keras" / "bin" / "python"), "make.py"], cwd=folder, check=True, capture_output=True)
    card = {
        "model_file": "model.keras",
        "task": "classification",
        "classes": [f"digit {i}" for i in range(10)],
        "image": {"mode": "L", "size": [28, 28], "range": [0, 1], "ink": "light"},
    }
    (folder / "serving.json").write_text(json.dumps(card))
    golden = json.loads((folder / "golden.json").read_text())
    picture = golden["inputs"][7]["pixels"]
    bodies = {"record": json.dumps({"pixels": picture}).encode(), "data": json.dumps({"data": [picture]}).encode()}
    return Asked(bodies, (golden["predictions"][7],))


def train(name: str, folder: Path) -> Asked:
    """A model folder that every server can read; one row and its right answer."""
    rows, labels = make_classification(2000, WIDTH, n_informative=12, random_state=1)
    made = {
        "linear": make_pipeline(StandardScaler(), LogisticRegression()),
        "svc": make_pipeline(StandardScaler(), SVC(probability=True)),
        "forest": RandomForestClassifier(100, random_state=1, n_jobs=1),
    }[name].fit(rows, labels)
    folder.mkdir(parents=True)
    (folder / "model.pkl").write_bytes(pickle.dumps(made))
    kept = [{"inputs": [{"name": c, "type": "double", "required": True} for c in COLUMNS]}]
    flavors = {
        "sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"},
        "python_function": {"loader_module": "mlflow.sklearn", "model_path": "model.pkl", "predict_fn": "predict"},
    }
    signature = {"inputs": json.dumps(kept[0]["inputs"]), "outputs": json.dumps([{"type": "long", "required": True}])}
    about = {"classes": ["no", "yes"], "task": "classification"}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors, "metadata": about, "signature": signature}))
    asked = rows[:20]
    golden = {
        "inputs": [dict(zip(COLUMNS, map(float, r), strict=True)) for r in asked],
        "predictions": [["no", "yes"][i] for i in made.predict_proba(asked).argmax(axis=1)],
        "probabilities": made.predict_proba(asked).tolist(),
    }
    (folder / "golden.json").write_text(json.dumps(golden))
    for file, text in {
        "app.py": FASTAPI,
        "bare.py": BARE,
        "score.py": SCORE,
        "lit.py": LITSERVE,
        "bento.py": BENTO,
    }.items():
        (folder / file).write_text(text)
    mlserver_settings(folder)
    right = golden["predictions"][0]
    return Asked(
        {kind: request_body(kind, rows[0].tolist()) for kind in ("record", "split", "data", "v2")},
        (right, {"yes": "1", "no": "0"}[right]),
    )


def request_body(kind: str, row: list[float]) -> bytes:
    """The same row in the form a server takes."""
    if kind == "record":
        return json.dumps(dict(zip(COLUMNS, row, strict=True))).encode()
    if kind == "split":
        return json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [row]}}).encode()
    if kind == "v2":
        tensor = {"name": "x", "shape": [1, WIDTH], "datatype": "FP64", "data": row}
        return json.dumps({"inputs": [tensor]}).encode()
    return json.dumps({"data": [row]}).encode()


def mlserver_settings(folder: Path) -> None:
    """What MLServer reads beside the model; it answers in its own process, as the others do."""
    model = {"name": "m", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.pkl"}}
    (folder / "model-settings.json").write_text(json.dumps(model))
    ports = {}
    for name in ("grpc_port", "metrics_port"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports[name] = probe.getsockname()[1]
    (folder / "settings.json").write_text(json.dumps({"parallel_workers": 0, "host": "127.0.0.1", **ports}))
