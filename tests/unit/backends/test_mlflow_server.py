"""The registry on an MLflow server, and a step's Python logging to one."""

from __future__ import annotations

import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill.backends.registries.mlflow import open_registry
from tidemill.base import proc
from tidemill.record.ports import ModelRequest

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    argv = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    argv += ["--backend-store-uri", f"sqlite:///{folder}/s.db", "--artifacts-destination", str(folder / "artifacts")]
    process = proc.start(argv, cwd=folder, stdout=proc.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, time.monotonic() + 90)
        yield url
    finally:
        proc.stop_group(process.pid)
        process.wait(10)


def _wait(url: str, deadline: float) -> None:
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the MLflow server did not start")


def test_models_go_to_the_server_and_come_back_with_their_names_and_bytes(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "INPUT_model_path"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "w.txt").write_text("weights")
    registry = open_registry(tmp_path / "home", server)
    made = registry.register(ModelRequest("m", folder, job="j", step="s", metrics={"accuracy": 0.5}))
    assert registry.register(ModelRequest("m", folder, job="j", step="s")).version == made.version == "1"
    assert made.path.name == "INPUT_model_path"
    assert (made.path / "deep" / "w.txt").read_text() == "weights"
    single = registry.register(ModelRequest("f", folder / "deep" / "w.txt"))
    assert (single.path.name, single.path.read_text()) == ("w.txt", "weights")
    registry.set_label("m", "production", "1")
    elsewhere = open_registry(tmp_path / "elsewhere", server)
    assert elsewhere.get("m", "production").metrics == {"accuracy": 0.5}
    assert capsys.readouterr().out == ""
