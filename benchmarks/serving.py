"""The inference server beside what people use instead, in one run: `python benchmarks/serving.py [--seconds 3] [--models linear] [--servers tidemill,fastapi]`.

Same models (scaler and logistic regression, SVC, random forest on 37 columns; a small Keras CNN on 28 x 28), one worker each, 1, 16 and 64
connections: requests a second, p50, p99, resident memory, seconds from the first start and from a second one to the first answer, processor time a request at 64 connections
(which says most on a busy machine), and how many times the best peer.
Every server's answer is compared with the model's own before it is measured. Peers that are not in this environment are
looked for in environments below ~/.cache/tidemill-bench (made with `--install`); one that cannot be had is reported.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import pickle
import socket
import subprocess  # noqa: TID251 - measures whole processes
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
import yaml
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

WIDTH = 37
COLUMNS = [f"feature_{i}" for i in range(WIDTH)]
CONNECTIONS = (1, 16, 64)
WARM_S = 0.5
SOURCE = str(Path(__file__).parents[1] / "src")  # ours runs in the model's environment, too
PEERS = Path.home() / ".cache" / "tidemill-bench"
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
class Server:
    """How one server is started and asked. `python` is the environment it lives in."""

    name: str
    argv: Callable[[Path, int], list[str]]
    path: str
    body: str
    python: Path = Path(sys.executable)


def servers() -> list[Server]:
    """Ours, the bare server as the limit, and the peers."""
    own = PEERS

    def at(name: str) -> Path:
        return own / name / "bin" / "python"

    py = sys.executable
    return [
        Server("tidemill", lambda d, p: [py, "-m", "tidemill.serve", "--model", str(d), "--allow-pickle", "--port", str(p)], "/predict", "record"),
        Server("bare uvicorn", lambda _, p: [py, "-m", "uvicorn", "bare:app", "--port", str(p), "--log-level", "warning"], "/", "record"),
        Server("FastAPI by hand", lambda _, p: [py, "-m", "uvicorn", "app:app", "--port", str(p), "--log-level", "warning", "--no-access-log"], "/predict", "record"),
        Server("mlflow models serve", lambda d, p: [py, "-m", "mlflow", "models", "serve", "-m", str(d), "-p", str(p), "--env-manager", "local"], "/invocations", "split"),
        Server("azureml-inference-server", lambda _, p: [str(at("azureml").with_name("azmlinfsrv")), "--entry_script", "score.py", "--port", str(p)], "/score", "data", at("azureml")),
        Server("LitServe", lambda _, p: [str(at("litserve")), "lit.py", str(p)], "/predict", "data", at("litserve")),
        Server("BentoML", lambda _, p: [str(at("bentoml").with_name("bentoml")), "serve", "bento:Api", "--port", str(p)], "/predict", "data", at("bentoml")),
        Server("MLServer", lambda _, p: ["env", f"MLSERVER_HTTP_PORT={p}", str(at("mlserver").with_name("mlserver")), "start", "."], "/v2/models/m/infer", "v2", at("mlserver")),
    ]  # fmt: skip


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


def cnn_servers() -> list[Server]:
    """Those that answer for the CNN, all in the one environment that has Keras."""
    keras = PEERS / "keras" / "bin" / "python"
    py = str(keras)
    return [
        Server("tidemill", lambda d, p: [py, "-m", "tidemill.serve", "--model", str(d), "--allow-pickle", "--port", str(p)], "/predict", "record", keras),
        Server("bare uvicorn", lambda _, p: [py, "-m", "uvicorn", "bare:app", "--port", str(p), "--log-level", "warning"], "/", "record", keras),
        Server("FastAPI by hand", lambda _, p: [py, "-m", "uvicorn", "app:app", "--port", str(p), "--log-level", "warning", "--no-access-log"], "/predict", "record", keras),
        Server("LitServe", lambda _, p: [py, "lit.py", str(p)], "/predict", "data", keras),
        Server("BentoML", lambda _, p: [str(keras.with_name("bentoml")), "serve", "bento:Api", "--port", str(p)], "/predict", "data", keras),
    ]  # fmt: skip


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


def log_of(server: Server, folder: Path) -> Path:
    """Beside the folder: that is the model, and a model with another file is another model."""
    return folder.with_name(f"{folder.name}-{server.name}.log")


@contextmanager
def started(server: Server, folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The server's port and process; everything it started is ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    env = {**os.environ, "PATH": path, "MODEL_FILE": str(folder / "model.pkl"), "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT": "60", "WEB_CONCURRENCY": "1", "WORKER_COUNT": "1", "AZUREML_APP_ROOT": str(folder), "PYTHONPATH": SOURCE}  # fmt: skip
    log = log_of(server, folder).open("wb")
    process = subprocess.Popen(
        server.argv(folder, port), cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield port, process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 15)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
        log.close()


def first_answer(port: int, path: str, body: bytes, process: subprocess.Popen[bytes]) -> bytes:
    """The first answer, asked for until it comes."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"content-type": "application/json"})
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return bytes(answer.read())
        except OSError:
            time.sleep(0.01)
    raise RuntimeError("no answer within 90 s" if process.poll() is None else f"it ended with {process.returncode}")


def settled(port: int, limit_s: float = 120.0) -> None:
    """Ours answers by the model's own library first, and by another process as soon as that has converted the model."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/version", timeout=30) as got,
        ):
            told = json.loads(got.read())
            if told["path"].startswith("onnxruntime") or told["slow_reason"] not in {"", "it is not made yet"}:
                time.sleep(1.0)  # the one before it is ending
                return
        time.sleep(0.1)


class Connection(asyncio.Protocol):
    """Asks again as soon as it is answered."""

    done = False

    def __init__(self, port: int, raw: bytes, latencies: list[float], failures: list[bytes]) -> None:
        self.port, self.raw, self.latencies, self.failures = port, raw, latencies, failures
        self.buffer, self.began = b"", 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """A server that answers once a connection is asked over a new one."""
        del exc
        if not self.done:
            self.buffer = b""
            self.again = asyncio.get_running_loop().create_task(self.reconnect())

    async def reconnect(self) -> None:
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self.port)

    def ask(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.raw)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        _, _, length = head.lower().partition(b"content-length:")
        if length and len(rest) < int(length.split(b"\r\n", 1)[0]):
            return
        if not length and not rest.endswith(b"0\r\n\r\n"):
            return
        self.latencies.append(time.perf_counter() - self.began)
        if b" 200 " not in head[:16]:
            self.failures.append(head[:60])
        self.buffer = b""
        if b"connection: close" not in head.lower():
            self.ask()


async def load(port: int, raw: bytes, connections: int, seconds: float) -> tuple[float, float, float]:
    """Requests a second, p50 and p99 in milliseconds."""
    latencies: list[float] = []
    failures: list[bytes] = []
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Connection(port, raw, latencies, failures), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.sleep(WARM_S)
    latencies.clear()
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    took, kept = time.perf_counter() - began, np.array(latencies)
    for _, connection in made:
        connection.done = True
        connection.transport.abort()
    if failures:
        raise RuntimeError(f"{len(failures)} answers were not 200: {failures[0]!r}")
    if not kept.size:
        return 0.0, float("inf"), float("inf")
    return len(kept) / took, float(np.percentile(kept, 50)) * 1000, float(np.percentile(kept, 99)) * 1000


def family(pid: int) -> list[Path]:
    """A process and its descendants, below /proc; some give their children sessions of their own."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return [Path("/proc") / str(n) for n in found]


def resident_mib(pid: int) -> float:
    """Memory of a process and its descendants."""
    total = 0
    for entry in family(pid):
        with contextlib.suppress(OSError):
            total += int((entry / "statm").read_text().split()[1])
    return total * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def cpu_s(pid: int) -> float:
    """Seconds of processor a process and its descendants have had: what others on the machine do changes little of it."""
    total = 0
    for entry in family(pid):
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def measure(server: Server, folder: Path, asked: Asked, seconds: float) -> dict[str, Any]:
    """Every figure of one server on one model."""
    if not server.python.exists():
        raise RuntimeError("not installed (`--install`)")
    body = asked.bodies[server.body]
    began = time.perf_counter()
    with started(server, folder) as (port, process):
        answer = first_answer(port, server.path, body, process)
        first = time.perf_counter() - began
        if server.name != "bare uvicorn" and not any(r.encode() in answer for r in asked.right):
            raise RuntimeError(f"wrong answer: {answer[:80]!r}")
        if server.name == "tidemill":
            settled(port)
        head = f"POST {server.path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        found = {str(n): uvloop.run(load(port, head.encode() + body, n, seconds)) for n in CONNECTIONS[:-1]}
        spent, most = cpu_s(process.pid), CONNECTIONS[-1]
        found[str(most)] = uvloop.run(load(port, head.encode() + body, most, seconds))
        # The load warms up for half a second, whose requests are not in the rate.
        cpu = (cpu_s(process.pid) - spent) / max(1.0, found[str(most)][0] * (seconds + WARM_S))
        figures = {"first": first, "mib": resident_mib(process.pid), "cpu": cpu * 1e6, **found}
    began = time.perf_counter()
    with started(server, folder) as (port, process):
        first_answer(port, server.path, body, process)
        return {**figures, "again": time.perf_counter() - began}


def install() -> None:
    """The peers, each in an environment of its own."""
    import sklearn  # noqa: PLC0415 - only its version

    pin = f"scikit-learn=={sklearn.__version__}"
    for name, package in {
        "azureml": "azureml-inference-server-http",
        "litserve": "litserve",
        "mlserver": "mlserver mlserver-sklearn",
        "bentoml": "bentoml",
        "keras": "tensorflow-cpu litserve bentoml fastapi uvicorn[standard] onnx onnxruntime msgspec pillow prometheus-client python-multipart pyyaml",
    }.items():
        python = PEERS / name / "bin" / "python"
        if not python.exists():
            subprocess.run(
                [sys.executable, "-m", "uv", "venv", "-q", str(PEERS / name), "--python", sys.executable], check=True
            )
            subprocess.run(
                [sys.executable, "-m", "uv", "pip", "install", "-q", "--python", str(python), *package.split(), pin],
                check=False,
            )


def report(model: str, results: dict[str, dict[str, Any]]) -> None:
    """A table and how many times the best peer."""
    print(f"\n{model}: requests/s, p50 ms, p99 ms at {', '.join(map(str, CONNECTIONS))} connections")
    print(
        f"{'':26}"
        + "".join(f"{f'c={n}':>25}" for n in CONNECTIONS)
        + f"{'MiB':>8}{'first s':>9}{'again':>7}{'CPU us':>8}"
    )
    for name, r in results.items():
        cells = "".join(f"{r[str(n)][0]:>10.0f}{r[str(n)][1]:>7.2f}{r[str(n)][2]:>8.2f}" for n in CONNECTIONS)
        print(f"{name:26}{cells}{r['mib']:>8.0f}{r['first']:>9.2f}{r['again']:>7.2f}{r['cpu']:>8.0f}")
    peers = [r for n, r in results.items() if n not in {"tidemill", "bare uvicorn"}]
    if "tidemill" in results and peers:
        best = {n: max(r[str(n)][0] for r in peers) for n in CONNECTIONS}
        ratios = ", ".join(f"{results['tidemill'][str(n)][0] / best[n]:.1f}x at {n}" for n in CONNECTIONS)
        cpu = min(r["cpu"] for r in peers) / results["tidemill"]["cpu"]
        print(f"tidemill against the best peer: {ratios}; {cpu:.1f}x by processor time a request")


def main() -> int:
    """Every model on every server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--models", default="linear,svc,forest,cnn")
    parser.add_argument("--servers", default="", help="only names that begin so, by comma")
    parser.add_argument("--install", action="store_true", help="install the peers first")
    options = parser.parse_args()
    if options.install:
        install()
    wanted = tuple(options.servers.split(","))
    for model in options.models.split(","):
        results: dict[str, dict[str, Any]] = {}
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / model
            asked = train_cnn(folder) if model == "cnn" else train(model, folder)
            offered = cnn_servers() if model == "cnn" else servers()
            for server in (s for s in offered if s.name.startswith(wanted)):
                try:
                    results[server.name] = measure(server, folder, asked, options.seconds)
                except (RuntimeError, OSError) as exc:
                    log = log_of(server, folder)
                    last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
                    print(f"{server.name} on {model}: {exc} {' '.join(last)[:200]}", flush=True)
        report(model, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
