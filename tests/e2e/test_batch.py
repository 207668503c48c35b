"""Batch endpoints as a person uses them."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from tests.e2e.conftest import Run

ENDPOINT = "$schema: https://azuremlschemas.azureedge.net/latest/batchEndpoint.schema.json\nname: night\n"
SCORE = """
import glob, os
def init():
    global weight
    (found,) = glob.glob(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model", "w.txt"))
    weight = int(open(found).read())
def run(mini_batch):
    open(os.path.join(os.environ["AZUREML_BI_OUTPUT_PATH"], "of-my-own"), "w").close()
    for path in mini_batch:
        yield "%s:%d" % (os.path.basename(path), weight * int(open(path).read()))
"""


@pytest.fixture
def project(tmp_path: Path, tidemill: Run) -> Path:
    write(tmp_path, "endpoint.yml", ENDPOINT)
    write(tmp_path, "model/w.txt", "3")
    write(tmp_path, "code/score.py", SCORE)
    for n in range(5):
        write(tmp_path, f"data/f{n}.txt", str(n))
    deployment = """
        $schema: https://azuremlschemas.azureedge.net/latest/modelBatchDeployment.schema.json
        name: by-file
        endpoint_name: night
        model: {path: ./model}
        code_configuration: {code: code, scoring_script: score.py}
        environment: {image: some/image}
        mini_batch_size: 2
        output_file_name: scores.csv
    """
    write(tmp_path, "deployment.yml", deployment)
    tidemill("batch-endpoint", "create", "-f", "endpoint.yml")
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip())


def test_an_endpoint_scores_files_by_a_deployments_script(project: Path, tidemill: Run) -> None:
    tidemill("batch-deployment", "create", "-f", "deployment.yml")
    shown = json.loads(tidemill("batch-endpoint", "show", "-n", "night").stdout)
    assert shown["defaults"] == {"deployment_name": "by-file"}
    job = json.loads(tidemill("batch-endpoint", "invoke", "--name", "night", "--input", "data").stdout)
    assert (job["status"], job["experiment_name"], job["display_name"]) == ("Completed", "night", "night-by-file")
    tidemill("job", "download", "-n", job["name"], "--output-name", "score", "-p", "out")
    score = project / "out" / "named-outputs" / "score"
    assert (score / "scores.csv").read_text().split() == ["f0.txt:0", "f1.txt:3", "f2.txt:6", "f3.txt:9", "f4.txt:12"]
    assert (score / "of-my-own").exists()
    again = tidemill(
        "batch-endpoint",
        "invoke",
        "-n",
        "night",
        "--input",
        "data/f1.txt",
        "-j",
        "mine",
        "--query",
        "name",
        "-o",
        "tsv",
    )
    assert again.stdout.strip() == "mine"
    jobs = json.loads(tidemill("batch-endpoint", "list-jobs", "-n", "night").stdout)
    assert [j["name"] for j in jobs] == ["mine", job["name"]]


def test_scores_go_where_the_caller_sends_them(project: Path, tidemill: Run) -> None:
    (project / "tidemill.yaml").write_text("name: night\ndatastores: {lake: ./lake}\n")
    tidemill("batch-deployment", "create", "-f", "deployment.yml")
    there = "azureml://datastores/lake/paths/scored/tonight"
    tidemill("batch-endpoint", "invoke", "-n", "night", "--input", "data", "--output-path", there)
    assert (project / "lake/scored/tonight/scores.csv").read_text().split()[0] == "f0.txt:0"


def test_what_cannot_be_invoked_says_why(project: Path, tidemill: Run) -> None:
    done = tidemill("batch-endpoint", "invoke", "-n", "night", "--input", "data", code=2)
    assert "has no default deployment" in done.stderr
    tidemill("batch-deployment", "create", "-f", "deployment.yml")
    assert "nothing to score" in tidemill("batch-endpoint", "invoke", "-n", "night", code=2).stderr
    done = tidemill("batch-endpoint", "invoke", "-n", "night", "-d", "by-fiel", "--input", "data", code=1)
    assert "Did you mean `by-file`?" in done.stderr
    done = tidemill("batch-endpoint", "invoke", "-n", "night", "--input", "nowhere", code=None)
    assert done.returncode
    assert "nowhere" in done.stderr


def test_what_an_invocation_gets_wrong_is_named_in_the_callers_words(project: Path, tidemill: Run) -> None:
    tidemill("batch-deployment", "create", "-f", "deployment.yml")
    said = tidemill("batch-endpoint", "invoke", "-n", "night", "--input", "dat", code=2).stderr
    assert "--input: there is no file or folder `dat`" in said
    assert "Did you mean `data`?" in said
    wrong = ("--set", "settings.mini_batch_siz=3")
    said = tidemill("batch-endpoint", "invoke", "-n", "night", "--input", "data", *wrong, code=2).stderr
    assert "Did you mean `mini_batch_size`?" in said
    assert ".tidemill" not in said


def test_a_deployment_of_what_is_not_there_is_refused_at_once(project: Path, tidemill: Run) -> None:
    (project / "code/score.py").rename(project / "code/scores.py")
    done = tidemill("batch-deployment", "create", "-f", "deployment.yml", code=2)
    assert "score.py" in done.stderr
    assert json.loads(tidemill("batch-deployment", "list", "-e", "night").stdout) == []


def test_a_deployment_needs_its_endpoint_and_goes_with_it(project: Path, tidemill: Run) -> None:
    done = tidemill("batch-deployment", "create", "-f", "deployment.yml", "-e", "nihgt", code=1)
    assert "Did you mean `night`?" in done.stderr
    tidemill("batch-deployment", "create", "-f", "deployment.yml", "-n", "second")
    assert json.loads(tidemill("batch-deployment", "list", "-e", "night").stdout)[0]["name"] == "second"
    tidemill("batch-endpoint", "delete", "-n", "night")
    tidemill("batch-deployment", "show", "-n", "second", "-e", "night", code=1)


def test_an_mlflow_model_needs_no_script(project: Path, tidemill: Run) -> None:
    pytest.importorskip("mlflow")
    write(
        project,
        "m/MLmodel",
        "flavors: {python_function: {loader_module: double, code: code, python_version: 3.11.0}}\n",
    )
    write(
        project,
        "m/code/double.py",
        "class Model:\n    def predict(self, frame):\n        return frame.x * 2\ndef _load_pyfunc(path):\n    return Model()\n",
    )
    write(project, "tables/a.csv", "x\n1\n2\n")
    write(project, "tables/b.csv", "x\n3\n")
    write(
        project, "plain.yml", "name: plain\nendpoint_name: night\ntype: model\nmodel: {path: m, type: mlflow_model}\n"
    )
    schema = "$schema: https://azuremlschemas.azureedge.net/latest/batchDeployment.schema.json\n"
    (project / "plain.yml").write_text(schema + (project / "plain.yml").read_text())
    tidemill("batch-deployment", "create", "-f", "plain.yml", "--set-default")
    job = json.loads(
        tidemill("batch-endpoint", "invoke", "-n", "night", "--input", "tables", "--set", "mini_batch_size=1").stdout
    )
    tidemill("job", "download", "-n", job["name"], "-p", "out")
    assert (project / "out/named-outputs/score/predictions.csv").read_text() == "0,2,a.csv\n1,4,a.csv\n0,6,b.csv\n"


def test_a_pipeline_component_can_be_deployed(project: Path, tidemill: Run) -> None:
    component = """
        $schema: https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json
        type: pipeline
        name: whole
        inputs: {raw: {type: uri_folder}, word: {type: string, default: none}}
        outputs: {out: {type: uri_folder}}
        jobs:
          copy:
            type: command
            inputs: {raw: "${{parent.inputs.raw}}", word: "${{parent.inputs.word}}"}
            outputs: {out: "${{parent.outputs.out}}"}
            environment: {image: some/image}
            command: cp ${{inputs.raw}}/* ${{outputs.out}}/ && echo ${{inputs.word}} > ${{outputs.out}}/word
    """
    write(project, "whole.yml", component)
    deployment = """
        $schema: https://azuremlschemas.azureedge.net/latest/pipelineComponentBatchDeployment.schema.json
        name: line
        endpoint_name: night
        type: pipeline
        component: ./whole.yml
        settings: {default_compute: cpu}
    """
    write(project, "line.yml", deployment)
    write(project, "inputs/given.yml", "inputs:\n  raw: {type: uri_folder, path: ../data}\n  word: hello\n")
    tidemill("batch-deployment", "create", "-f", "line.yml")
    job = json.loads(tidemill("batch-endpoint", "invoke", "-n", "night", "--file", "inputs/given.yml").stdout)
    tidemill("job", "download", "-n", job["name"], "-p", "out")
    assert (project / "out/named-outputs/out/word").read_text() == "hello\n"
    assert (project / "out/named-outputs/out/f4.txt").read_text() == "4"
    again = tidemill(
        "batch-endpoint",
        "invoke",
        "-n",
        "night",
        "--set",
        "inputs.raw.path=data",
        "--set",
        "inputs.raw.type=uri_folder",
    )
    assert json.loads(again.stdout)["status"] == "Completed"
