"""`doctor`: what this machine can do for Tidemill, and what to install for the rest."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tidemill.app.settings import Settings
from tidemill.backends.containers import find_engine
from tidemill.base import proc
from tidemill.base.errors import BackendError

GIB = 1 << 30
LOW_DISK_BYTES = 2 * GIB
EXTRAS = {
    "mlflow": ("mlflow", "tracking and the model registry", "mlflow"),
    "serve": ("uvicorn", "local endpoints", "serve"),
    "onnx": ("onnxruntime", "the fast path of scikit-learn models", "onnx"),
    "gates": ("celpy", "conditions of gates", "gates"),
    "sweep": ("optuna", "bayesian and sobol sampling of sweeps", "sweep"),
    "kubernetes": ("lightkube", "deploying to and running on Kubernetes", "kubernetes"),
    "azure": ("azure.identity", "steps and endpoints on Azure Machine Learning", "azure"),
    "ray": ("ray", "steps on Ray", "ray"),
    "spark": ("pyspark", "Spark steps, with Java 17", "spark"),
    "automl": ("flaml", "AutoML jobs", "automl"),
    "remote": ("s3fs", "data at https://, s3://, wasbs:// and abfss://", "remote"),
    "capture": ("pyarrow", "recorded requests as Parquet, tables in bulk", "capture"),
    "sign": ("cryptography", "signatures of models and images", "sign"),
    "postgres": ("psycopg", "a record that several people share", "postgres"),
}


@dataclass(frozen=True, slots=True)
class Examined:
    """One thing looked at. `state` is ok, missing (optional) or problem; `hint` says what to do."""

    name: str
    state: str
    detail: str
    hint: str = ""

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


def examine(settings: Settings) -> list[Examined]:
    """Everything worth knowing, cheapest first; never raises for what is missing."""
    rows = [_python(), _machine(settings), _disk(settings)]
    rows += [_extra(name, *what) for name, what in EXTRAS.items()]
    rows += [_program("uv", "uv", "pip install uv", _uv_there), _program("bash", "steps' commands", "Install bash.")]
    rows += [_program("git", "recording the commit of a run", "Install git."), _engine(), _cluster()]
    return rows


def _python() -> Examined:
    return Examined("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def _machine(settings: Settings) -> Examined:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    return Examined("machine", "ok", f"{settings.cores} cores, {memory:.1f} GiB of memory")


def _disk(settings: Settings) -> Examined:
    free = shutil.disk_usage(settings.root).free
    detail = f"{free / GIB:.1f} GiB free for {settings.home}"
    if free < LOW_DISK_BYTES:
        return Examined(
            "disk",
            "problem",
            detail,
            "Free space, or point TIDEMILL_HOME elsewhere; `tidemill gc` collects what is not needed.",
        )
    return Examined("disk", "ok", detail)


def _extra(name: str, module: str, purpose: str, extra: str) -> Examined:
    if _is_installed(module):
        return Examined(name, "ok", purpose)
    return Examined(name, "missing", purpose, f"pip install 'tidemill[{extra}]'")


def _is_installed(module: str) -> bool:
    """Whether a module could be imported, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _uv_there() -> bool:
    return _is_installed("uv")


def _program(name: str, purpose: str, hint: str, otherwise: Callable[[], bool] = lambda: False) -> Examined:
    path = shutil.which(name)
    if path or otherwise():
        return Examined(name, "ok", path or "in this Python")
    return Examined(name, "problem" if name == "bash" else "missing", purpose, hint)


def _engine() -> Examined:
    """A container engine that answers, not just its client."""
    found = find_engine()
    if found:
        return Examined("container engine", "ok", found)
    return Examined(
        "container engine",
        "missing",
        "environments of kind `container`, proving images before a deployment",
        "Install podman or Docker, or set DOCKER_HOST.",
    )


def _cluster() -> Examined:
    if not shutil.which("kubectl"):
        state = "ok" if os.environ.get("KUBECONFIG") else "missing"
        return Examined(
            "cluster", state, os.environ.get("KUBECONFIG", "no KUBECONFIG"), "Set KUBECONFIG to deploy to Kubernetes."
        )
    if _answers(["kubectl", "get", "--raw", "/readyz", "--request-timeout=3s"]):
        return Examined("cluster", "ok", "the cluster of the current context answers")
    return Examined(
        "cluster", "missing", "no cluster answers", "Set KUBECONFIG, or start a cluster, to deploy to Kubernetes."
    )


def _answers(argv: list[str]) -> bool:
    try:
        return proc.run(argv, timeout_s=8).returncode == 0
    except BackendError:
        return False
