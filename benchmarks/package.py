"""A model-only change, built and pushed: ours beside `docker build` and `docker push` of a hand-written Dockerfile.

Needs a registry, a base image in it and a Docker engine: `REGISTRY`, `BASE_IMAGE` and `DOCKER_HOST` (as `cluster env` prints).
`python benchmarks/package.py` prints seconds and megabytes moved to the registry, the first time and after only the model changed.
The Dockerfile is the careful one: requirements before code, wheels at hand, so that its cache does all it can.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import random
import shutil
import subprocess  # noqa: TID251 - measures whole processes
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import tidemill
from tidemill.backends.builders.oci import open_builder
from tidemill.base.hashing import digest_tree, hash_folder
from tidemill.release.package import PackageRequest, make_package

MODEL_BYTES = 4 << 20
PACKAGES = ("fastapi", "uvicorn", "scikit-learn", "numpy", "joblib")
OURS = ("uvicorn", "httptools", "uvloop", "msgspec", "numpy", "pillow", "python-multipart", "pyyaml", "prometheus-client", "click", "h11",
        "scikit-learn", "scipy", "joblib", "threadpoolctl")  # fmt: skip
DOCKERFILE = """FROM {base}
WORKDIR /app
COPY requirements.txt .
COPY wheels wheels
RUN python -m pip install --no-index --find-links wheels --no-cache-dir -r requirements.txt
COPY main.py .
COPY model model
EXPOSE 8000
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]
"""


def write_model(folder: Path, seed: int) -> None:
    """Weights that do not shrink."""
    folder.mkdir(exist_ok=True)
    (folder / "weights.bin").write_bytes(random.Random(seed).randbytes(MODEL_BYTES))
    (folder / "serving.json").write_text('{"flavor": "sklearn", "model_file": "weights.bin"}')


def ours(folder: Path, registry: str, base: str, repository: str) -> Callable[[int], tuple[float, float]]:
    """Build and push by Tidemill; the second number is what really travelled."""
    installed = [f"{n}=={importlib.metadata.version(n)}" for n in OURS]
    builder = open_builder(folder / "home")
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")

    def once(seed: int) -> tuple[float, float]:
        write_model(folder / "model", seed)
        began = time.perf_counter()
        request = PackageRequest(
            model_path=folder / "model",
            model_name="bench",
            model_version=str(seed),
            model_digest=digest_tree(hash_folder(folder / "model")),
            base_image=base,
            requirements=tuple(installed),
            python_version="3.11",
        )
        package = make_package(request, runtime=Path(tidemill.__file__).parent, work=folder / "home", uv=uv)
        built = builder.build(package, f"{registry}/{repository}", tags=["latest"])
        return time.perf_counter() - began, built.sent_bytes / 1e6

    return once


def by_hand(folder: Path, registry: str, base: str, repository: str) -> Callable[[int], tuple[float, float]]:
    """`docker build` and `docker push`; moved are the blobs of the image that its repository did not hold before."""
    context = folder / "context"
    (context / "wheels").mkdir(parents=True)
    (context / "requirements.txt").write_text("\n".join(PACKAGES))
    (context / "main.py").write_text("from fastapi import FastAPI\napp = FastAPI()\n")
    (context / "Dockerfile").write_text(DOCKERFILE.format(base=base))
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--only-binary",
        ":all:",
        "-d",
        str(context / "wheels"),
        *PACKAGES,
    ]
    subprocess.run(pip, check=True)
    image = f"{registry}/{repository}:latest"
    seen: set[str] = set()

    def once(seed: int) -> tuple[float, float]:
        write_model(context / "model", seed)
        began = time.perf_counter()
        subprocess.run(["docker", "build", "-q", "-t", image, str(context)], check=True, capture_output=True)
        subprocess.run(["docker", "push", "-q", image], check=True, capture_output=True)
        took = time.perf_counter() - began
        return took, _new_megabytes(registry, repository, seen)

    return once


def _new_megabytes(registry: str, repository: str, seen: set[str]) -> float:
    accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
    request = urllib.request.Request(f"http://{registry}/v2/{repository}/manifests/latest", headers={"accept": accept})
    with urllib.request.urlopen(request) as answer:
        layers = json.load(answer)["layers"]
    new = {layer["digest"]: layer["size"] for layer in layers if layer["digest"] not in seen}
    seen.update(new)
    return sum(new.values()) / 1e6


def main() -> int:
    """Print the table."""
    registry, base = os.environ.get("REGISTRY"), os.environ.get("BASE_IMAGE")
    if not registry or not base or not os.environ.get("DOCKER_HOST"):
        print(
            'REGISTRY, BASE_IMAGE and DOCKER_HOST must be set: eval "$(../shared/cluster/cluster env)"', file=sys.stderr
        )
        return 2
    with tempfile.TemporaryDirectory() as name:
        print(f"{'':24}{'first s':>10}{'MB':>8}{'model only s':>16}{'MB':>8}")
        results = {}
        for title, make in (("tidemill", ours), ("docker build + push", by_hand)):
            folder = Path(name) / title.split()[0]
            folder.mkdir()
            once = make(folder, registry, base, f"bench/{title.split()[0]}-{uuid.uuid4().hex[:6]}")
            first, again = once(1), once(2)
            results[title] = again
            print(f"{title:24}{first[0]:10.2f}{first[1]:8.1f}{again[0]:16.2f}{again[1]:8.1f}", flush=True)
        mine, theirs = results["tidemill"], results["docker build + push"]
        print(
            f"model-only change: {theirs[0] / mine[0]:.1f} times faster, {theirs[1] / max(mine[1], 0.01):.1f} times fewer bytes"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
