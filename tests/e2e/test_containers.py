"""Steps in containers of a real engine: the image's Python, the project's packages, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Run
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.needs_cluster

IMAGE = os.environ.get("BASE_IMAGE", "python:3.11-slim")
STEP = """
import os, pathlib, sys
print("user", os.getuid(), "secret", os.environ.get("API_KEY"), "home", os.environ["HOME"])
import six
pathlib.Path(sys.argv[2]).write_text(f"{open(sys.argv[1]).read()} {six.__version__} {sys.prefix}\\n")
"""
PIPELINE = """
type: pipeline
jobs:
  inside:
    command: python step.py ${{inputs.data}} ${{outputs.out}}
    code: ./src
    environment: azureml:boxed:1
    inputs: {data: {type: uri_file, path: ./data.txt}}
    outputs: {out: {type: uri_file}}
  after:
    command: cat ${{inputs.x}}; sleep ${{inputs.seconds}}
    environment: azureml:plain:1
    inputs: {x: "${{parent.jobs.inside.outputs.out}}", seconds: 0}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "step.py").write_text(STEP)
    (tmp_path / "data.txt").write_text("seven")
    (tmp_path / "requirements.txt").write_text("six==1.16.0\n")
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    (tmp_path / ".env").write_text("API_KEY=hush-hush\n")
    mapping = {
        "boxed": {"python": "container", "image": IMAGE, "requirements": "requirements.txt"},
        "plain": {"image": IMAGE},
    }
    (tmp_path / "tidemill.yaml").write_text(json.dumps({"name": "boxes", "environments": mapping}))
    return tmp_path


def containers() -> list[str]:
    argv = ["docker", "ps", "--all", "--quiet", "--filter", "label=tidemill.job"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def test_a_step_runs_in_its_image_with_its_packages_and_is_reused(tidemill: Run) -> None:
    result = json.loads(tidemill("run", "pipeline.yml", "-o", "json").stdout)
    step = result["steps"]["inside"]
    assert Path(step["outputs"]["out"]).read_text().startswith("seven 1.16.0 /usr")
    log = Path(step["log"]).read_text()
    assert f"user {os.getuid()} secret *** home /tmp" in log
    again = json.loads(tidemill("run", "pipeline.yml", "-o", "json").stdout)
    assert all(s["reused"] for s in again["steps"].values())
    assert not containers()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_container_outlives_its_run(tidemill: Run, project: Path, how: signal.Signals) -> None:
    argv = [sys.executable, "-m", "tidemill", "run", "pipeline.yml", "--set", "jobs.after.inputs.seconds=60"]
    process = subprocess.Popen(argv, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = "jobs/*/after/logs/std_log.txt"
    until(lambda: any(p.read_text() for p in (project / ".tidemill").glob(log)))
    process.send_signal(how)
    process.wait(PATIENCE_S)
    if how is signal.SIGKILL:
        tidemill("run", "pipeline.yml")  # the next command clears up
    assert not containers()


def test_an_image_that_is_not_there_is_said_with_the_engines_words(tidemill: Run, project: Path) -> None:
    text = (project / "tidemill.yaml").read_text().replace(IMAGE, "127.0.0.1:5000/no/such:1")
    (project / "tidemill.yaml").write_text(text)
    done = tidemill("run", "pipeline.yml", code=1)
    assert "The image 127.0.0.1:5000/no/such:1 cannot be pulled" in done.stderr


def test_a_docker_context_becomes_the_image(tidemill: Run, project: Path) -> None:
    (project / "context").mkdir()
    (project / "context" / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN echo built > /proof.txt\n")
    (project / "env.yml").write_text("name: built\nversion: 1\nbuild: {path: ./context}\n")
    (project / "tidemill.yaml").write_text(
        json.dumps({"name": "boxes", "environments": {"built": {"python": "container"}}})
    )
    job = "type: command\ncommand: cp /proof.txt ${{outputs.o}}\nenvironment: azureml:built:1\noutputs: {o: {type: uri_file}}\n"
    (project / "job.yml").write_text(job)
    result = json.loads(tidemill("run", "job.yml", "-o", "json").stdout)
    assert Path(result["outputs"]["o"]).read_text() == "built\n"
