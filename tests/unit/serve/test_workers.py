"""What `tidemill serve` becomes: a server that is kept running, whatever its model does to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.serve.test_operation import running, score
from tests.unit.serve.test_process import children
from tests.waiting import PATIENCE_S, until
from tidemill.base.proc import is_alive

pytestmark = pytest.mark.filterwarnings("ignore")
SCRIPT = """
import os, re, signal, time

def init():
    pass

def run(raw_data):
    if raw_data == "hang":
        time.sleep(3600)
    if raw_data == "hold":
        re.match("(a+)+$", "a" * 64 + "b")  # never returns, and lets no other thread run
    if raw_data == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if raw_data == "exit":
        os._exit(7)
    return {"pid": os.getpid()}
"""
STUCK = """
import time

class Stuck:
    n_features_in_ = 1

    def predict(self, rows):
        while rows[0][0] > 1e6:
            try:
                time.sleep(3600)
            except Exception:
                continue
        return rows[:, 0]
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text(SCRIPT)
    return tmp_path / "code"


def kept(code: Path, *options: str) -> AbstractContextManager[tuple[subprocess.Popen[bytes], str]]:
    return running(code, *options, module="tidemill.serve.workers")


def test_one_server_alone_is_started_again_and_connections_wait_for_it(code: Path) -> None:
    with kept(code) as (process, url):
        for body in ("kill", "exit"):
            before = score(url, "x")[1]["pid"]
            with pytest.raises((OSError, http.client.HTTPException)):
                score(url, body)
            status, answer = score(url, "x")  # at once: no connection is refused while nobody serves
            assert (status, answer["pid"] != before) == (200, True)
            assert children(process.pid) == [answer["pid"]]
    assert process.returncode == 0
    log = (code.parent / "log").read_text()
    assert "ended with -9 (SIGKILL, as when memory runs out); started again" in log
    assert "ended with 7; started again" in log


def test_what_waits_at_workers_that_are_killed_is_answered_by_those_that_take_their_place(code: Path) -> None:
    with kept(code, "--workers", "2") as (process, url):
        host, _, port = url.removeprefix("http://").rpartition(":")
        until(lambda: len({score(url, "who")[1]["pid"] for _ in range(20)}) == 2)
        before = children(process.pid)
        for pid in before:
            os.kill(pid, signal.SIGSTOP)  # the kernel takes connections for them that they never see
        waiting = [http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S) for _ in range(20)]
        for connection in waiting:
            connection.request("POST", "/score", b"who")
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        answers = [connection.getresponse() for connection in waiting]
        assert {a.status for a in answers} == {200}
        assert not {json.loads(a.read())["pid"] for a in answers} & set(before)
        for connection in waiting:
            connection.close()


def test_a_server_that_hangs_answers_504_and_is_replaced(code: Path) -> None:
    with kept(code, "--timeout", "1") as (process, url):
        before = children(process.pid)
        assert score(url, "hang")[0] == 504
        until(lambda: len(children(process.pid)) == 1 and children(process.pid) != before)
        assert score(url, "x")[0] == 200


def test_a_server_in_which_no_thread_can_run_is_replaced(code: Path) -> None:
    with kept(code, "--timeout", "1") as (process, url):
        before = children(process.pid)
        with pytest.raises((OSError, http.client.HTTPException)):
            score(url, "hold")
        assert score(url, "x")[0] == 200
        assert children(process.pid) != before
    assert "did not answer for" in (code.parent / "log").read_text()


def test_a_script_that_cannot_start_ends_the_server_at_once_with_its_error(code: Path) -> None:
    (code / "score.py").write_text("def init():\n    raise ValueError('no such thing')\ndef run(raw): return raw\n")
    with kept(code) as (process, url):
        assert url == ""
        assert process.wait(PATIENCE_S) == 1
    assert (code.parent / "log").read_text().count("error:") == 1


def test_a_server_ends_with_the_process_that_keeps_it(code: Path) -> None:
    with kept(code) as (process, url):
        worker = score(url, "x")[1]["pid"]
        process.kill()
        until(lambda: not is_alive(worker))


@contextmanager
def kept_model(
    model: Path, folder: Path, module: str = "tidemill.serve.workers", options: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    argv = [sys.executable, "-m", module, "--model", str(model), "--allow-pickle", "--port", "0", *options]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=log, env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
        )
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline().decode().rpartition(":")[2])
    finally:
        process.stdout.close()
        process.terminate()
        process.wait(PATIENCE_S)


def get(port: int, path: str, body: bytes | None = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("POST" if body else "GET", path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200
        return json.loads(answer.read())
    finally:
        connection.close()


def labels(answer: dict[str, Any]) -> list[str]:
    return [p["prediction"] for p in answer["predictions"]]


def shares(answer: dict[str, Any]) -> list[float]:
    return [p["probability"] for p in answer["predictions"]]


@pytest.mark.parametrize("module", ["tidemill.serve", "tidemill.serve.workers"])
def test_the_first_answer_does_not_wait_for_a_conversion_and_none_is_lost_or_changed_when_it_is_there(
    table_model: Path, tmp_path: Path, module: str
) -> None:
    body = json.dumps(json.loads((table_model / "golden.json").read_text())["inputs"]).encode()
    with kept_model(table_model, tmp_path, module) as (process, port):
        assert get(port, "/version")["path"] == "scikit-learn"
        first, pid = get(port, "/predict", body), children(process.pid)
        answers = [first]
        deadline = time.monotonic() + PATIENCE_S
        while get(port, "/version")["path"] == "scikit-learn" or len(children(process.pid)) > 1:
            answers.append(get(port, "/predict", body))
            assert time.monotonic() < deadline
        assert get(port, "/version")["path"] == "onnxruntime (proven equal to scikit-learn)"
        assert children(process.pid) != pid
        answers.append(get(port, "/predict", body))
        assert all(labels(a) == labels(first) for a in answers)
        assert all(shares(a) == pytest.approx(shares(first), abs=1e-5) for a in answers)
        os.kill(children(process.pid)[0], signal.SIGKILL)
        assert labels(get(port, "/predict", body)) == labels(first)  # and it is kept running, as the one before it
    assert process.returncode == 0


def test_several_answer_before_the_conversion_too_which_is_made_once(table_model: Path, tmp_path: Path) -> None:
    body = json.dumps(json.loads((table_model / "golden.json").read_text())["inputs"]).encode()
    with kept_model(table_model, tmp_path, options=["--workers", "2"]) as (process, port):
        assert get(port, "/version")["path"] == "scikit-learn"
        first = get(port, "/predict", body)
        until(lambda: (tmp_path / "log").read_text().count("answers by scikit-learn") == 2)
        before, answers = set(children(process.pid)[:2]), [first]
        deadline = time.monotonic() + PATIENCE_S
        while before & set(children(process.pid)) or len(children(process.pid)) != 2:
            answers.append(get(port, "/predict", body))
            assert time.monotonic() < deadline
        assert {get(port, "/version")["path"] for _ in range(20)} == {"onnxruntime (proven equal to scikit-learn)"}
        assert all(labels(a) == labels(first) for a in answers)
    log = (tmp_path / "log").read_text()
    assert process.returncode == 0
    assert log.count("answers by onnxruntime") == 2
    assert len(list((tmp_path / "cache").rglob("*.onnx"))) == 1


def test_one_that_cannot_answer_faster_serves_on_as_it_is(table_model: Path, tmp_path: Path) -> None:
    with kept_model(table_model, tmp_path) as (process, port):
        until(lambda: len(children(process.pid)) == 2)
        first, second = sorted(children(process.pid))
        os.kill(second, signal.SIGKILL)
        until(lambda: children(process.pid) == [first])
        assert get(port, "/version")["path"] == "scikit-learn"
    assert "was to answer faster, ended with -9" in (tmp_path / "log").read_text()


def test_a_taken_port_is_told_before_anything_is_loaded(code: Path) -> None:
    with kept(code) as (_, url):
        argv = [sys.executable, "-m", "tidemill.serve.workers", "--code", str(code), "--port", url.rpartition(":")[2]]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, "hint: Give another --port" in done.stderr) == (4, True)


def test_a_model_that_hangs_on_the_event_loop_gets_504_and_the_same_process_answers_on(tmp_path: Path) -> None:
    (tmp_path / "stuck.py").write_text(STUCK)
    (tmp_path / "model").mkdir()
    make = "import pickle, stuck; pickle.dump(stuck.Stuck(), open('model/model.pkl', 'wb'))"
    subprocess.run([sys.executable, "-c", make], cwd=tmp_path, check=True)
    argv = [
        sys.executable,
        "-m",
        "tidemill.serve",
        "--model",
        "model",
        "--allow-pickle",
        "--port",
        "0",
        "--timeout",
        "1",
    ]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline().decode().rpartition(":")[2])
        assert ask(port, 2.0) == (200, 2.0)
        for _ in range(3):
            assert ask(port, 1e7)[0] == 504
            assert ask(port, 3.0) == (200, 3.0)
        assert process.poll() is None
    finally:
        process.stdout.close()
        process.terminate()
        process.wait(PATIENCE_S)


def ask(port: int, value: float) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("POST", "/predict", json.dumps({"inputs": [[value]]}), {"content-type": "application/json"})
        answer = connection.getresponse()
        found = json.loads(answer.read())
        return answer.status, found["predictions"][0]["prediction"] if answer.status == 200 else found
    finally:
        connection.close()
