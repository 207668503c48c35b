"""The server as a process: several workers, recording, a stop that loses no answer."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S, until
from tidemill.serve.records import read_records

pytestmark = pytest.mark.filterwarnings("ignore")


def test_workers_share_a_port_one_that_is_killed_comes_back_and_a_stop_ends_all(
    table_model: Path, tmp_path: Path
) -> None:
    argv = [sys.executable, "-m", "tidemill.serve", "--model", str(table_model), "--allow-pickle", "--name", "m"]
    argv += ["--port", "0", "--workers", "2", "--capture-dir", str(tmp_path / "kept")]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline().decode().rpartition(":")[2])
        record = json.loads((table_model / "golden.json").read_text())["inputs"][0]
        assert ask(port, record)["version"] == "1"
        os.kill(children(process.pid)[0], signal.SIGKILL)
        until(lambda: b"started again" in (tmp_path / "log").read_bytes())
        found = ask(port, record)
        assert found.get("version") == "1", (found, (tmp_path / "log").read_text())
    finally:
        process.terminate()
        code = process.wait(PATIENCE_S)
        process.stdout.close()
    assert code == 0
    kept = list(read_records(tmp_path / "kept", "requests"))
    assert kept
    assert kept[0]["request"] == record


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ask(port: int, record: dict[str, float]) -> dict[str, object]:
    for attempt in range(100):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            connection.request("POST", "/predict", json.dumps(record), {"content-type": "application/json"})
            found: dict[str, object] = json.loads(connection.getresponse().read())
        except OSError:  # the connection was waiting at the worker that was killed
            if attempt == 99:
                raise
            time.sleep(0.05)
        else:
            return found
        finally:
            connection.close()
    raise AssertionError
