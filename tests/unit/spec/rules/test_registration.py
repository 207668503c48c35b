"""Models that pipelines register and read."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from tidemill.app.check import check_all
from tidemill.base.findings import Finding
from tidemill.spec.check import check_loaded
from tidemill.spec.load import load
from tidemill.spec.repository import scan

REGISTER = """\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
jobs:
  train:
    command: echo hi > ${{{{outputs.m}}}}/m
    outputs: {{m: {{type: custom_model}}}}
    environment: {{image: busybox}}
  register:
    type: command
    component: azureml://registries/azureml/components/register_model/versions/0.0.21
    inputs: {inputs}
"""
READS = """\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
inputs:
  before: {{type: mlflow_model, path: "{reference}"}}
outputs:
  after: {{type: mlflow_model, name: fresh}}
jobs:
  score:
    command: ls ${{{{inputs.m}}}}
    inputs: {{m: "${{{{parent.inputs.before}}}}"}}
    environment: {{image: busybox}}
"""
PATH = "model_path: '${{parent.jobs.train.outputs.m}}'"


def findings(folder: Path, text: str, models: Collection[str] | None = None) -> list[Finding]:
    file = folder / "pipeline.yml"
    file.write_text(text)
    found = check_loaded(load(file), lambda: scan(folder), lambda: models)
    return [f for f in found if f.code in {"TM-B101", "TM-B102", "TM-B105", "TM-B106", "TM-R108"}]


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        ("model_name: a", "TM-B101", "required input `model_path`"),
        (PATH, "TM-B101", "required input `model_name`"),
        (f"model_nam: a, model_name: b, {PATH}", "TM-B102", "no input `model_nam`"),
        (f"model_name: a, model_type: costom_model, {PATH}", "TM-B106", "`costom_model` is no type of model"),
        ("model_name: a, model_path: 3", "TM-B105", "takes a folder, not `3`"),
    ],
)
def test_what_register_model_cannot_take_is_found_before_it_runs(
    tmp_path: Path, inputs: str, code: str, words: str
) -> None:
    (found,) = findings(tmp_path, REGISTER.format(inputs=f"{{{inputs}}}"))
    assert (found.code, found.at.line > 7) == (code, True)
    assert words in found.message


def test_what_register_model_takes_is_no_finding(tmp_path: Path) -> None:
    for inputs in (
        f"model_name: a, model_type: custom_model, {PATH}",
        f"model_name: a, some_later_input: 1, {PATH}",
        f"model_download_metadata: {{type: uri_file, path: pipeline.yml}}, {PATH}",
    ):
        assert findings(tmp_path, REGISTER.format(inputs=f"{{{inputs}}}")) == []


@pytest.mark.parametrize("reference", ["azureml:cats@latest", "azureml:cats:1"])
def test_a_model_nobody_here_knows_is_told_to_who_asks_for_it(tmp_path: Path, reference: str) -> None:
    text = READS.format(reference=reference)
    (found,) = findings(tmp_path, text, ["dogs", "dogs:1"])
    assert (found.code, str(found.severity), found.at.line) == ("TM-R108", "info", 4)
    assert findings(tmp_path, text, ["cats", "cats:1"]) == []
    assert findings(tmp_path, text, None) == []
    (tmp_path / "model.yml").write_text("name: cats\nversion: 1\ntype: mlflow_model\npath: .\n")
    assert findings(tmp_path, text, []) == []


def test_another_version_is_another_model_and_what_the_job_makes_is_known(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, READS.format(reference="azureml:cats:2"), ["cats", "cats:1"])
    assert "`cats:2`" in found.message
    for reference in ("azureml:fresh@latest", "./model", "azureml://registries/r/models/x/versions/1"):
        (tmp_path / "model").mkdir(exist_ok=True)
        assert findings(tmp_path, READS.format(reference=reference), []) == []


def test_check_looks_at_the_workspace_and_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    file = tmp_path / "pipeline.yml"
    file.write_text(READS.format(reference="azureml:cats@latest"))
    (tmp_path / "tidemill.yaml").write_text("name: x\n")
    codes = [f.code for report in check_all([file]).reports for f in report.findings]
    assert codes.count("TM-R108") == 1
    assert not (tmp_path / ".tidemill").exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "TM-R108" not in [f.code for report in check_all([file]).reports for f in report.findings]
