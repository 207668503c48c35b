"""Bad requests without end leave no trace in memory. `TIDEMILL_BAD_REQUESTS` says how many; CI sends 20,000."""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S
from tidemill.serve.convert import main as convert

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
COUNT = int(os.environ.get("TIDEMILL_BAD_REQUESTS", "2000"))
WARM = 500
THREADS = 4
GROWTH_KIB = 16 * 1024
NPY, ARROW = "application/x-npy", "application/vnd.apache.arrow.stream"
Bad = tuple[str, str, bytes, dict[str, str]]


def bad_requests(seed: int) -> Iterator[Bad]:
    """Every kind of mistake, no two alike: names, paths, ids and bytes nobody has seen before."""
    draw = random.Random(seed)
    while True:
        word, noise = draw.randbytes(12).hex(), draw.randbytes(draw.randint(0, 2000))
        yield "POST", "/predict", json.dumps({word: 1}).encode(), {}
        yield "POST", "/predict", noise, {}
        yield "POST", "/predict", b"[" * draw.randint(1, 5000), {}
        yield "POST", "/predict", json.dumps([{f"feature_{i}": word for i in range(6)}]).encode(), {}
        yield "POST", "/predict", b"{}", {"content-type": f"application/{word}"}
        yield "POST", "/predict", b"\x93NUMPY\x01\x00" + noise, {"content-type": NPY}
        yield "POST", "/predict", noise, {"content-type": ARROW}
        yield "POST", "/predict", noise, {"content-encoding": draw.choice(["gzip", "deflate", word])}
        yield "POST", f"/v2/models/{word}/infer", noise, {}
        yield "POST", "/v2/models/m/infer", json.dumps({"inputs": [{"name": word}]}).encode(), {}
        yield "GET", f"/{word}", b"", {}
        yield "GET", "/version", b"", {"x-request-id": word * 20}
        yield "GET", "/version", b"", {"host": f"{word}.example"}
        yield "POST", "/feedback", json.dumps({"request_id": word, "truth": word}).encode(), {}
        yield "DELETE", "/predict", b"", {"x-request-id": word}


def send(port: int, count: int, seed: int, answers: Counter[int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    for _, (method, path, body, headers) in zip(range(count), bad_requests(seed), strict=False):
        connection.request(method, path, body, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        answer.read()
        answers[answer.status] += 1
    connection.close()


def flood(port: int, count: int, seed: int) -> Counter[int]:
    answers: Counter[int] = Counter()
    shares = [(port, count // THREADS, seed + i, answers) for i in range(THREADS)]
    threads = [threading.Thread(target=send, args=share) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_bad_requests_leave_no_trace_in_memory(
    table_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert([str(table_model), str(tmp_path)]) == 0
    argv = [sys.executable, "-m", "tidemill.serve", "--model", str(table_model), "--allow-pickle", "--name", "m"]
    argv += ["--converted", str(tmp_path)]  # one process alone
    process = subprocess.Popen([*argv, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline().decode().rpartition(":")[2])
        flood(port, WARM, 0)
        before = resident_kib(process.pid)
        answers = flood(port, COUNT, 100)
        after = resident_kib(process.pid)
        assert process.poll() is None
    finally:
        process.stdout.close()
        process.terminate()
        process.wait(PATIENCE_S)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{sum(answers.values()):,} bad requests: {before / 1024:.1f} MiB before, {after / 1024:.1f} MiB after; {dict(sorted(answers.items()))}\n"
        )
    assert sum(answers.values()) == COUNT // THREADS * THREADS
    assert all(400 <= status < 500 for status in answers)
    assert after - before < GROWTH_KIB
