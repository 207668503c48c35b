"""A real MLflow server shows no run of a step that was killed as running."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Run
from tests.ports import free_port
from tests.unit.backends.test_mlflow_servers import started_server, wait_for
from tests.waiting import PATIENCE_S, until
from tidemill.backends.trackers.mlflow import open_tracker
from tidemill.base import proc

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
STEP = """import os, pathlib, sys, time, mlflow
mlflow.log_metric("m", 1)
with mlflow.start_run(nested=True), mlflow.start_run(nested=True):
    mlflow.log_metric("m", 2)
    if len(sys.argv) > 1 and not pathlib.Path(sys.argv[1]).exists():
        pathlib.Path(sys.argv[1]).touch()
        time.sleep(600)
"""
JOB = """$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json
command: python step.py {there}
code: src
environment: azureml:any@latest
experiment_name: killed-{name}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started_server(tmp_path_factory.mktemp("server")) as url:
        yield wait_for(url)


def write_job(folder: Path, name: str) -> Path:
    (folder / "src").mkdir()
    (folder / "src" / "step.py").write_text(STEP)
    (folder / "tidemill.yaml").write_text("name: killed\n")
    (folder / "job.yml").write_text(JOB.format(there=folder / "began", name=name))
    return folder / "began"


def call(server: str, path: str, body: dict[str, Any]) -> Any:
    asked = urllib.request.Request(
        f"{server}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.loads(answer.read())


def statuses(server: str, name: str) -> list[str]:
    found = call(server, "experiments/search", {"max_results": 100, "filter": f"name = 'killed-{name}'"})
    ids = [e["experiment_id"] for e in found["experiments"]]
    runs = call(server, "runs/search", {"experiment_ids": ids, "max_results": 100})["runs"]
    return sorted(run["info"]["status"] for run in runs)


def start(folder: Path, began: Path, server: str) -> proc.Popen[bytes]:
    argv = [sys.executable, "-m", "tidemill", "run", "job.yml", "--name", "j"]
    process = proc.start(argv, cwd=folder, env={**os.environ, "MLFLOW_TRACKING_URI": server}, stdout=proc.PIPE)
    until(began.exists, "the step did not begin")
    return process


@pytest.mark.parametrize("how", ["resume", "next run", "other server"])
def test_after_the_driver_was_killed(server: str, tmp_path: Path, tidemill: Run, how: str) -> None:
    name = how.replace(" ", "-")
    process = start(tmp_path, write_job(tmp_path, name), server)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)
    assert statuses(server, name) == ["RUNNING"] * 3
    if how == "other server":
        tidemill("job", "cancel", "-n", "j")
        assert statuses(server, name) == ["KILLED"] * 3
        return
    words = ("job", "resume", "-n", "j") if how == "resume" else ("run", "job.yml", "--force")
    tidemill(*words, MLFLOW_TRACKING_URI=server)
    assert statuses(server, name) == ["FINISHED"] * 3 + ["KILLED"] * 3


def test_after_a_cancel(server: str, tmp_path: Path) -> None:
    process = start(tmp_path, write_job(tmp_path, "cancel"), server)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert set(statuses(server, "cancel")) <= {"KILLED", "FAILED"}


def test_after_a_timeout(server: str, tmp_path: Path, tidemill: Run) -> None:
    write_job(tmp_path, "timeout")
    with (tmp_path / "job.yml").open("a") as file:
        file.write("limits: {timeout: 8}\n")
    tidemill("run", "job.yml", code=1, MLFLOW_TRACKING_URI=server)
    assert set(statuses(server, "timeout")) <= {"KILLED", "FAILED"}


def test_after_a_try_that_is_made_again(server: str, tmp_path: Path, tidemill: Run) -> None:
    write_job(tmp_path, "again")
    step = tmp_path / "src" / "step.py"
    step.write_text(step.read_text().replace("time.sleep(600)", "os._exit(75)"))
    (tmp_path / "tidemill.yaml").write_text("name: killed\nretry: {causes: [exit 75], times: 1}\n")
    tidemill("run", "job.yml", MLFLOW_TRACKING_URI=server)
    assert statuses(server, "again") == ["FINISHED"] * 3 + ["KILLED"] * 3


def test_a_server_that_went_away_costs_one_warning(server: str, tmp_path: Path, tidemill: Run) -> None:
    process = start(tmp_path, write_job(tmp_path, "away"), server)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)
    (file,) = (tmp_path / ".tidemill").rglob("mlflow-run.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "server": f"http://127.0.0.1:{free_port()}"}))
    tidemill("job", "cancel", "-n", "j")
    shown = json.loads(tidemill("job", "show", "-n", "j", "-o", "json").stdout)
    assert "its MLflow run may be shown as running: the MLflow server 127.0.0.1" in json.dumps(shown)


def test_a_server_that_never_answers_is_waited_for_once_and_not_long(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        tracker = open_tracker(tmp_path / "home", f"http://127.0.0.1:{silent.getsockname()[1]}")
        (tmp_path / "mlflow-run.json").write_text(json.dumps({"run_id": "a", "experiment_id": "1"}))
        before = time.monotonic()
        assert "does not answer" in tracker.end_abandoned(tmp_path)
        assert tracker.end_abandoned(tmp_path) == ""
        assert time.monotonic() - before < 20


def test_the_login_is_sent_and_a_server_that_wants_another_is_asked_by_mlflow_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    asked: list[tuple[str, str]] = []

    class Strict(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.headers.get("Authorization", ""), self.headers.get("User-Agent", "")))
            self.send_response(401)
            self.end_headers()

        do_GET = do_POST  # noqa: N815 - the library's name

        def log_message(self, *args: object) -> None:
            pass

    door = HTTPServer(("127.0.0.1", 0), Strict)
    Thread(target=door.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    (tmp_path / "mlflow-run.json").write_text(json.dumps({"run_id": "a", "experiment_id": "1"}))
    try:
        note = open_tracker(tmp_path / "home", f"http://127.0.0.1:{door.server_port}").end_abandoned(tmp_path)
    finally:
        door.shutdown()
        door.server_close()
    assert "may be shown as running" in note
    assert {login for login, _ in asked} == {"Basic " + base64.b64encode(b"ann:secret").decode()}
    assert [agent.partition("/")[0] for _, agent in asked] == ["Python-urllib", "mlflow-python-client"]
