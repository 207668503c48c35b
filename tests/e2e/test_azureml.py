"""Projects on Azure ML from the command line, against a server that really runs their jobs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.azureml.service import AzureML, azure_ml
from tests.contracts.test_same_everywhere import ENTRY, ENVIRONMENT, INNER, JOBS, RANKS, TRAIN
from tests.waiting import PATIENCE_S
from tidemill.base.hashing import hash_folder

PIPELINE = """
type: pipeline
settings: {default_compute: azureml:big}
outputs: {final: {type: uri_file}}
jobs:
  upper:
    type: command
    command: python step.py ${{inputs.text}} ${{outputs.out}} ${{inputs.word}}
    code: src
    environment: {image: "python:3.12"}
    inputs: {text: {type: uri_file, path: ./in.txt}, word: tide}
    outputs: {out: {type: uri_file}}
    resources: {instance_type: Standard_NC6}
  copy:
    type: command
    command: cat ${{inputs.text}} > ${{outputs.out}}
    environment: {image: "python:3.12"}
    inputs: {text: "${{parent.jobs.upper.outputs.out}}"}
    outputs: {out: "${{parent.outputs.final}}"}
"""
STEP = """
import os, sys, time
print("up", flush=True)
while "WAIT" in os.environ and not os.path.exists(os.environ["WAIT"]):
    time.sleep(0.05)
print("done", flush=True)
open(sys.argv[2], "w").write(open(sys.argv[1]).read().upper() + sys.argv[3])
"""


@pytest.fixture
def azure() -> Iterator[AzureML]:
    with azure_ml() as found:
        yield found


@pytest.fixture
def project(azure: AzureML, tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "step.py").write_text(STEP)
    (tmp_path / "in.txt").write_text("tide ")
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    compute = {"big": {"executor": "azureml", "subscription": "s", "resource_group": "g", "workspace": "w"}}
    settings = {"name": "p", "compute": compute, "environments": {"inline": {"python": "host"}}}
    (tmp_path / "tidemill.yaml").write_text(json.dumps(settings))
    return tmp_path


def argv(*words: str) -> list[str]:
    return [sys.executable, "-m", "tidemill", *words]


def environment(azure: AzureML, project: Path) -> dict[str, str]:
    return {**os.environ, **azure.environment(), "TIDEMILL_HOME": str(project / "home")}


def call(azure: AzureML, project: Path, *words: str) -> dict[str, Any]:
    """What a command says as JSON."""
    done = subprocess.run(
        argv(*words, "-o", "json"), cwd=project, env=environment(azure, project), capture_output=True, text=True,
        check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def killed_run(azure: AzureML, project: Path, *words: str) -> None:
    """Start it, and kill it when its first step is known to run."""
    azure.hidden["WAIT"] = str(project / "go")
    process = subprocess.Popen(
        argv("run", "pipeline.yml", "--stream", *words),
        cwd=project,
        env=environment(azure, project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr as said:
        assert any("up" in line.split() for line in said), "the step did not start"
        process.send_signal(signal.SIGKILL)
    process.wait()


def _content(path: Path) -> Any:
    return {e.path: e.digest for e in hash_folder(path)} if path.is_dir() else path.read_text()


def call_list(azure: AzureML, project: Path) -> list[dict[str, Any]]:
    found: Any = call(azure, project, "job", "list")
    return list(found)


def the_job(azure: AzureML, project: Path) -> str:
    (job,) = call_list(azure, project)
    return str(job["name"])


def test_a_pipeline_gives_the_same_on_azure_as_here(azure: AzureML, project: Path) -> None:
    outputs = [
        Path(call(azure, project, "run", "pipeline.yml", "--force", *words)["outputs"]["final"]).read_text()
        for words in ([], ["--executor", "local"], ["--executor", "azureml"])
    ]
    assert outputs == ["TIDE tide"] * 3
    assert len(azure.jobs) == 4
    assert all(
        j.properties["resources"]["instanceType"] == "Standard_NC6" for j in azure.jobs.values() if "upper" in j.name
    )
    assert {j.properties["displayName"] for j in azure.jobs.values()} == {"upper", "copy"}


def test_data_of_the_workspace_is_read_there_and_reused_until_it_changes(azure: AzureML, project: Path) -> None:
    blob = "azureml-blobstore-1/lake/in.txt"
    azure.storage.blobs[blob] = b"far "
    uri, made = (f"azureml://datastores/workspaceblobstore/paths/{p}" for p in ("lake/in.txt", "made/upper.txt"))
    (project / "pipeline.yml").write_text(
        PIPELINE.replace("./in.txt", uri).replace(
            "{out: {type: uri_file}}", f"{{out: {{type: uri_file, path: {made}}}}}", 1
        )
    )
    said = [call(azure, project, "run", "pipeline.yml") for _ in range(2)]
    assert Path(said[0]["outputs"]["final"]).read_text() == "FAR tide"
    assert azure.storage.blobs["azureml-blobstore-1/made/upper.txt"] == b"FAR tide"
    assert [step["reused"] for step in said[1]["steps"].values()] == [True, True]
    azure.storage.blobs[blob] = b"near "
    third = call(azure, project, "run", "pipeline.yml")
    assert Path(third["outputs"]["final"]).read_text() == "NEAR tide"
    assert "input data changed" in third["steps"]["upper"]["reason"]


@pytest.mark.parametrize("kind", [pytest.param("sweep", marks=pytest.mark.slow), "nested", "distributed", "parallel"])
def test_a_job_gives_the_same_on_azure_as_here(azure: AzureML, project: Path, kind: str) -> None:
    files = {
        "train.py": TRAIN,
        "entry.py": ENTRY,
        "inner.yml": INNER,
        "ranks.py": RANKS,
        "environment.yml": ENVIRONMENT,
    }
    two = JOBS[kind].replace("[0.1, 0.3, 0.9]", "[0.9, 0.3]")  # each trial imports mlflow, here and there
    for name, text in {**files, "job.yml": two}.items():
        (project / name).write_text(text)
    (project / "data").mkdir()
    for name in "ab":
        (project / "data" / name).write_text(f"{name} of {kind}\n")
    (project / "tidemill.yaml").write_text("name: p\nenvironments: {listed: {python: host}}\n")
    azure.hidden["PATH"] = (
        f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # the image's Python, with its packages
    )
    found = []
    for place in ("local", "azureml"):
        said = call(azure, project, "run", "job.yml", "--force", "--executor", place)
        outputs = {n: _content(Path(p)) for n, p in said["outputs"].items()}
        found.append((outputs, {n: step.get("metrics") for n, step in said["steps"].items()}))
    assert found[0][0]
    assert found[0] == found[1]
    assert azure.jobs


def test_a_resumed_job_takes_up_what_runs_on_azure_and_does_not_run_it_twice(azure: AzureML, project: Path) -> None:
    killed_run(azure, project)
    (running,) = azure.jobs.values()
    assert running.status == "Running"
    (project / "go").touch()
    name = the_job(azure, project)
    resumed = call(azure, project, "job", "resume", name)
    assert Path(resumed["outputs"]["final"]).read_text() == "TIDE tide"
    assert [j.status for j in azure.jobs.values()] == ["Completed", "Completed"]
    assert (project / "home" / "jobs" / name / "upper" / "logs" / "std_log.txt").read_text() == "up\ndone\n"


@pytest.mark.parametrize("moment", ["it still runs", "it completed unseen"])
def test_the_next_run_goes_on_with_what_a_killed_one_left(azure: AzureML, project: Path, moment: str) -> None:
    killed_run(azure, project)
    (left,) = azure.jobs.values()
    (project / "go").touch()
    if moment == "it completed unseen":
        assert left.over.wait(PATIENCE_S)
    ran = call(azure, project, "run", "pipeline.yml")
    assert Path(ran["outputs"]["final"]).read_text() == "TIDE tide"
    assert [j.status for j in azure.jobs.values()] == ["Completed", "Completed"], "one for each step"
    assert (project / "home" / "jobs" / ran["name"] / "upper" / "logs" / "std_log.txt").read_text() == "up\ndone\n"
    killed = next(j for j in call_list(azure, project) if j["name"] != ran["name"])
    assert killed["status"] == "Failed"


@pytest.mark.parametrize("change", ["data", "force"])
def test_the_next_run_cancels_what_a_killed_one_left_for_another_step(
    azure: AzureML, project: Path, change: str
) -> None:
    killed_run(azure, project)
    (left,) = azure.jobs.values()
    azure.hidden.clear()
    if change == "data":
        (project / "in.txt").write_text("wind ")
    ran = call(azure, project, "run", "pipeline.yml", *(["--force"] if change == "force" else []))
    assert Path(ran["outputs"]["final"]).read_text() == ("WIND tide" if change == "data" else "TIDE tide")
    assert left.over.wait(PATIENCE_S)
    assert left.status == "Canceled"


def test_cancel_reaches_what_a_killed_run_left(azure: AzureML, project: Path) -> None:
    killed_run(azure, project)
    (left,) = azure.jobs.values()
    call(azure, project, "job", "cancel", "-n", the_job(azure, project))
    assert left.over.wait(PATIENCE_S)
    assert left.status == "Canceled"


def test_ctrl_c_reaches_the_job_on_azure(azure: AzureML, project: Path) -> None:
    azure.hidden["WAIT"] = str(project / "go")
    words = argv("run", "pipeline.yml", "--stream")
    env = environment(azure, project)
    with subprocess.Popen(words, cwd=project, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("up" in line.split() for line in process.stderr)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert "job resume" in said
    assert [j.status for j in azure.jobs.values()] == ["Canceled"]


def test_a_run_is_not_stopped_by_what_it_cannot_cancel_and_the_job_says_so(azure: AzureML, project: Path) -> None:
    killed_run(azure, project)
    name = the_job(azure, project)
    azure.token = "expired"
    ran = call(azure, project, "run", "pipeline.yml", "--executor", "local")
    assert ran["status"] == "Completed"
    assert "may still run: Azure ML refused" in json.dumps(call(azure, project, "job", "show", "-n", name))


AUTOML = """
type: pipeline
settings: {default_compute: azureml:big}
outputs: {model: {type: mlflow_model}}
jobs:
  learn:
    type: automl
    task: classification
    primary_metric: accuracy
    target_column_name: sea
    training_data: {type: uri_file, path: ./waves.csv}
    limits: {max_trials: 3, max_concurrent_trials: 2}
    resources: {instance_type: Standard_DS3_v2}
    outputs: {best_model: "${{parent.outputs.model}}"}
"""


def test_an_automl_document_is_azures_own_to_carry_out_and_costs_what_its_machines_do(
    azure: AzureML, project: Path
) -> None:
    (project / "waves.csv").write_text("wind,sea\n1,calm\n2,rough\n3,calm\n")
    (project / "automl.yml").write_text(AUTOML)
    settings = json.loads((project / "tidemill.yaml").read_text()) | {"prices": {"Standard_DS3_v2": 3600}}
    (project / "tidemill.yaml").write_text(json.dumps(settings))
    ran = call(azure, project, "run", "automl.yml")
    assert (Path(ran["outputs"]["model"]) / "answer.txt").read_text() == "calm"
    (job,) = azure.jobs.values()
    assert job.properties["jobType"] == "AutoML"
    assert job.properties["resources"]["instanceType"] == "Standard_DS3_v2"
    usage = ran["steps"]["learn"]["usage"]
    assert usage["cost"] == pytest.approx(usage["machine_s"], abs=0.01)
    assert ran["steps"]["learn"]["metrics"]["accuracy"] == pytest.approx(2 / 3)
    again = call(azure, project, "run", "automl.yml")
    assert again["steps"]["learn"]["reused"]
    assert len(azure.jobs) == 1
