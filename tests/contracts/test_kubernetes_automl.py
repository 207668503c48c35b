"""A search in a pod that is taken away with its driver goes on in another pod, on a real cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.namespaces import scratch_namespace
from tests.e2e.test_automl import PIPELINE, write_waves
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.needs_cluster, pytest.mark.needs_automl, pytest.mark.slow, pytest.mark.timeout(900)]
TIDEMILL = [sys.executable, "-m", "tidemill"]


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with scratch_namespace("automl") as name:
        yield name


def test_a_search_whose_driver_and_pod_are_gone_goes_on_with_its_trials(namespace: str, tmp_path: Path) -> None:
    write_waves(tmp_path / "waves")
    text = PIPELINE.split("  register:", maxsplit=1)[0].replace("max_trials: 3", "max_trials: 6")
    (tmp_path / "pipeline.yml").write_text(f"settings: {{default_compute: azureml:big}}\n{text}")
    images = {"registry": os.environ["REGISTRY"], "image": os.environ["BASE_IMAGE"]}
    compute = {"big": {"executor": "kubernetes", "namespace": namespace, "cpus": 0.5, **images}}
    (tmp_path / "tidemill.yaml").write_text(json.dumps({"name": "x", "compute": compute}))
    log, trials = (tmp_path / ".tidemill/jobs/cut/learn" / f for f in ("logs/std_log.txt", "automl/trials.jsonl"))
    words = [*TIDEMILL, "run", "pipeline.yml", "-o", "json"]  # which makes the image, in its own time
    whole = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert whole.returncode == 0, whole.stderr
    words = [*TIDEMILL, "run", "pipeline.yml", "--force", "--name", "cut"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as first:
        try:
            until(lambda: log.exists() and "trial 2" in log.read_text())
        finally:
            first.kill()
    kept = trials.read_text().splitlines()
    assert sum("what" in json.loads(line) for line in kept) >= 3
    words = ["kubectl", "delete", "jobs,pods", "--all", "-n", namespace, "--force", "--grace-period=0"]
    subprocess.run(words, check=True, capture_output=True, timeout=PATIENCE_S)
    done = subprocess.run(
        [*TIDEMILL, "job", "resume", "cut", "-o", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    metrics = [json.loads(run.stdout)["steps"]["learn"]["metrics"] for run in (whole, done)]
    assert metrics[0] == metrics[1]
    assert "3 had ended before the search was interrupted" in log.read_text()
    ended = [json.loads(line) for line in trials.read_text().splitlines()]
    names = [line["what"] for line in ended if "what" in line]
    assert len(names) == len(set(names)) == 6
