"""How every server of `serving.py` is started and asked, and where the peers come from."""

from __future__ import annotations

import subprocess  # noqa: TID251 - installs the peers
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PEERS = Path.home() / ".cache" / "tidemill-bench"


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
