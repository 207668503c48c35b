"""`tidemill gc` called again and again beside runs takes nothing from them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

from tests.e2e.conftest import Run
from tests.waiting import until

PIPELINE = """
type: pipeline
inputs: {n: 1}
jobs:
  a:
    command: for i in $(seq 50); do echo $i-${{inputs.n}}-$RANDOM > ${{outputs.o}}/f$i; done
    environment: {image: x}
    inputs: {n: "${{parent.inputs.n}}"}
    outputs: {o: {type: uri_folder}}
  b:
    command: cp -r ${{inputs.i}}/. ${{outputs.o}}; [ $(ls ${{inputs.i}} | wc -l) = 50 ]; sleep 0.3
    environment: {image: x}
    inputs: {i: "${{parent.jobs.a.outputs.o}}"}
    outputs: {o: {type: uri_folder}}
  c:
    command: "[ $(ls ${{inputs.i}} | wc -l) = 50 ]"
    environment: {image: x}
    inputs: {i: "${{parent.jobs.b.outputs.o}}"}
"""


def test_collecting_garbage_beside_runs_fails_none_of_them(tmp_path: Path, tidemill: Run) -> None:
    (tmp_path / "w.yml").write_text(PIPELINE)
    over = threading.Event()
    answers = []

    def collect() -> None:
        while not over.is_set():
            answers.append(json.loads(tidemill("gc", "-o", "json").stdout))

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        for number in range(3):
            tidemill("run", "w.yml", "--set", f"inputs.n={number}")
    finally:
        over.set()
        thread.join()
    assert answers
    reused = tidemill("run", "w.yml", "--set", "inputs.n=2")
    assert "0 ran, 3 reused" in reused.stdout + reused.stderr


def test_a_run_killed_beside_a_collection_is_resumed_with_what_it_had(tmp_path: Path, tidemill: Run) -> None:
    (tmp_path / "w.yml").write_text(PIPELINE)
    over = threading.Event()

    def collect() -> None:
        while not over.is_set():
            tidemill("gc", "--keep", "1", "--older-than", "0h")

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        for number, moment in enumerate(("a/logs/std_log.txt", "b/logs/std_log.txt", "c/logs/std_log.txt")):
            name = f"j{number}"
            words = ["run", "w.yml", "--name", name, "--set", f"inputs.n={number}"]
            driver = subprocess.Popen([sys.executable, "-m", "tidemill", *words], cwd=tmp_path)
            until((tmp_path / ".tidemill" / "jobs" / name / moment).exists)
            driver.kill()
            driver.wait()
            found = json.loads(tidemill("job", "resume", name, "-o", "json").stdout)
            assert found["status"] == "Completed"
    finally:
        over.set()
        thread.join()
