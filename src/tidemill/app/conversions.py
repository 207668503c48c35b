"""The converted model of a version, made and proven when the version is released: its servers start from the file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tidemill.app.wiring import App
from tidemill.base import proc
from tidemill.base.errors import BackendError
from tidemill.record.ports import ModelVersion

PATIENCE_S = 300.0
SAME_BYTES = {"PYTHONHASHSEED": "0"}  # the converter writes what it holds in sets: their order must not be drawn by lot


def conversions(app: App) -> Path:
    """Where they are kept, by the model's bytes and the versions of the libraries."""
    return app.home / "converted"


def keep_conversion(
    app: App, version: ModelVersion, python: Path, environment: Mapping[str, str]
) -> tuple[tuple[Path, ...], str]:
    """The files of the version's conversion in that Python, made once; none, and why, where it cannot be converted.

    A note without a converted file says why the model's own library answers: the server need not find out again.
    """
    folder = conversions(app)
    argv = [str(python), "-m", "tidemill.serve.convert", str(version.path), str(folder), "--digest", version.digest]
    try:
        done = proc.run(argv, env={**os.environ, **environment, **SAME_BYTES}, timeout_s=PATIENCE_S)
    except BackendError as exc:
        return (), exc.message
    words = done.stderr.strip().splitlines()
    if done.returncode != 0:
        return (), words[-1] if words else f"the conversion ended with {done.returncode}"
    if not done.stdout.strip():
        return (), words[-1] if words else ""
    stem = folder / done.stdout.split()[-1]
    return tuple(p for p in (stem.with_suffix(".json"), stem.with_suffix(".onnx")) if p.exists()), ""


def prepare_conversion(app: App, version: ModelVersion, argv: Sequence[str], environment: Mapping[str, str]) -> None:
    """Before a server is started here that takes what is kept; one that finds nothing says so and answers by the library."""
    if "--converted" in argv:
        keep_conversion(app, version, Path(argv[0]), environment)
