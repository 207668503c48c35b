"""Two machines, one store: each with its own project folder and files, PostgreSQL between them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.contracts.postgres_server import running_server
from tests.waiting import until
from tidemill.backends.stores.postgres import PostgresStore
from tidemill.record.runs import get_job
from tidemill.run.events import StepStarted

pytestmark = pytest.mark.needs_postgres
STEPS = 5
STEP = """
  s{number}:
    type: command
    command: sleep ${{{{inputs.wait}}}}; echo {number} > ${{{{outputs.o}}}}/x
    environment: azureml:h:1
    inputs: {{wait: "${{{{parent.inputs.wait}}}}"}}
    outputs: {{o: {{type: uri_folder}}}}
"""
PIPELINE = "type: pipeline\ninputs: {wait: 0.2}\njobs:" + "".join(STEP.format(number=n) for n in range(STEPS))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_server() as server:
        with psycopg.connect(server.url(), autocommit=True) as db:
            db.execute("CREATE DATABASE shared")
        yield server.url("shared")


@pytest.fixture
def machines(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tidemill.yaml").write_text("name: shared\nenvironments: {h: {python: host}}\n")
        (tmp_path / name / "pipeline.yml").write_text(PIPELINE)
    return tmp_path / "one", tmp_path / "two"


def start(machine: Path, url: str, *words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tidemill", *words]
    env = {**os.environ, "TIDEMILL_STORE": url}
    return subprocess.Popen(argv, cwd=machine, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def test_both_run_at_once_and_each_has_its_own_files(url: str, machines: tuple[Path, Path]) -> None:
    running = [start(m, url, "run", "pipeline.yml", "-o", "json") for m in machines]
    for machine, said in zip(machines, [json.loads(finish(p)) for p in running], strict=True):
        assert said["status"] == "Completed"
        written = sorted((machine / ".tidemill" / "jobs" / said["name"]).glob("s*/outputs/o/x"))
        assert [p.read_text().strip() for p in written] == [str(n) for n in range(STEPS)]
    again = [json.loads(finish(start(m, url, "run", "pipeline.yml", "-o", "json"))) for m in machines]
    assert all(step["reused"] for said in again for step in said["steps"].values())
    names = {row["name"] for row in json.loads(finish(start(machines[1], url, "job", "list", "-o", "json")))}
    assert {said["name"] for said in again} <= names, "either machine lists the jobs of both"


def test_a_job_killed_on_one_machine_is_gone_on_with_there(url: str, machines: tuple[Path, Path]) -> None:
    one, two = machines
    words = ("run", "pipeline.yml", "--parallel", "1", "--set", "inputs.wait=0.6")
    process = start(one, url, *words)
    jobs = one / ".tidemill" / "jobs"
    until(lambda: list(jobs.glob("*/s1/outputs/o")))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (job,) = [p.name for p in jobs.iterdir()]
    with closing(PostgresStore(url)) as store:
        done = {n for n, s in get_job(store, job).steps.items() if s.status == "Completed"}
    elsewhere = start(two, url, "job", "show", "-n", job, "-o", "json")
    assert json.loads(finish(elsewhere))["status"] == "Failed", "what nobody drives any more is not running"
    finish(start(one, url, "job", "resume", job))
    with closing(PostgresStore(url)) as store:
        view = get_job(store, job)
        starts = [e for _, e in store.events(job) if isinstance(e, StepStarted) and e.step in done]
    assert view.status == "Completed"
    assert len(starts) == len(done), "no step that completed ran again"
