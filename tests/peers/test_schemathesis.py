"""schemathesis reads our own OpenAPI document and tries to prove it wrong, against a real `tidemill serve`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.unit.serve.conftest import digits_model, table_model
from tests.waiting import PATIENCE_S

__all__ = ["digits_model", "table_model"]
PEER = Path(os.environ.get("TIDEMILL_PEER_PYTHON", "/nonexistent/python")).parent / "schemathesis"
pytestmark = [
    pytest.mark.needs_peer,
    pytest.mark.skipif(not PEER.exists(), reason="schemathesis is not beside TIDEMILL_PEER_PYTHON"),
    pytest.mark.filterwarnings("ignore"),
]


@contextmanager
def serving(model: Path, folder: Path) -> Iterator[str]:
    argv = [sys.executable, "-m", "tidemill.serve", "--model", str(model), "--allow-pickle", "--name", "m"]
    argv += ["--port", "0", "--capture-dir", str(folder / "kept")]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().decode().split()[1]
        assert process.poll() is None, "the server ended"
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def disproofs(model: Path, folder: Path) -> str:
    """What schemathesis found, empty when nothing."""
    with serving(model, folder) as address:
        argv = [str(PEER), "run", f"{address}/openapi.json", "--seed", "1", "--no-color", "--max-examples", "50"]
        # no schema says which base64 is a picture, or which number overflows
        argv += ["--exclude-checks", "positive_data_acceptance"]
        done = subprocess.run(argv, capture_output=True, text=True, cwd=folder, timeout=250, check=False)
    return "" if done.returncode == 0 else done.stdout[-8000:] + done.stderr[-2000:]


def test_every_check_of_schemathesis_passes_on_a_tabular_model(table_model: Path, tmp_path: Path) -> None:
    assert disproofs(table_model, tmp_path) == ""


def test_every_check_of_schemathesis_passes_on_an_image_model(digits_model: Path, tmp_path: Path) -> None:
    assert disproofs(digits_model, tmp_path) == ""
