from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.base.errors import SpecError, UsageError
from tidemill.spec.fields import InputValue, OutputValue
from tidemill.spec.kinds import Kind
from tidemill.spec.load import load, load_valid
from tidemill.spec.overrides import parse_override

JOB = """type: command
command: ls
environment: azureml:e@latest
inputs:
  folder: {path: azureml:d:1}
  flag: yes
  whole: 010
  real: 1.10
  exponent: 1e-3
  text: "01"
outputs:
  bare:
  empty: {}
  full: {type: uri_file, mode: upload, path: azureml://datastores/d/paths/p}
"""


def write(root: Path, text: str) -> Path:
    path = root / "job.yml"
    path.write_text(text)
    return path


def findings(root: Path, text: str) -> list[tuple[str, int, int, str]]:
    return [(f.code, f.at.line, f.at.column, f.path) for f in load(write(root, text)).findings]


def test_literals_keep_the_types_yaml_gives_them(tmp_path: Path) -> None:
    inputs = load(write(tmp_path, JOB)).document.inputs
    literals = {k: v for k, v in inputs.items() if k != "folder"}
    assert literals == {"flag": True, "whole": 8, "real": 1.1, "exponent": "1e-3", "text": "01"}
    assert inputs["folder"] == InputValue(path="azureml:d:1")


def test_outputs_may_be_empty_in_any_way(tmp_path: Path) -> None:
    outputs = load(write(tmp_path, JOB)).document.outputs
    assert outputs["bare"] == outputs["empty"] == OutputValue()
    assert outputs["full"].mode == "upload"


def test_documents_cannot_be_changed(tmp_path: Path) -> None:
    job = load(write(tmp_path, JOB)).document
    with pytest.raises(ValueError, match="frozen"):
        job.command = "rm"


@pytest.mark.parametrize(
    ("extra", "finding"),
    [
        ("colour: red\n", ("TM-D101", 4, 1, "colour")),
        ("inputs: {a: {type: uri_foldr, path: x}}\n", ("TM-D103", 4, 20, "inputs.a.type")),
        ("inputs: {a: {type: uri_folder, pth: x}}\n", ("TM-D101", 4, 32, "inputs.a.pth")),
        ("inputs: {a: }\n", ("TM-D107", 4, 13, "inputs.a")),
        ("inputs: {a: 2024-01-31}\n", ("TM-D107", 4, 13, "inputs.a")),
        ("inputs: {a: [1]}\n", ("TM-D109", 4, 13, "inputs.a")),
        ("inputs: [a]\n", ("TM-D109", 4, 9, "inputs")),
        ("outputs: {a: {mode: rw}}\n", ("TM-D103", 4, 21, "outputs.a.mode")),
        ("limits: {timeout: [1]}\n", ("TM-D104", 4, 19, "limits.timeout")),
        ("distribution: {type: horovod}\n", ("TM-D103", 4, 22, "distribution.type")),
        ("distribution: {}\n", ("TM-D102", 4, 15, "distribution.type")),
        ("compute:\n", ("TM-D104", 4, 1, "compute")),
        ("resources: {shm_size: }\n", ("TM-D104", 4, 13, "resources.shm_size")),
        ("resources: {instance_count: many}\n", ("TM-D104", 4, 29, "resources.instance_count")),
        ("identity: {type: somebody}\n", ("TM-D103", 4, 18, "identity.type")),
        ("queue_settings: {job_tier: first}\n", ("TM-D103", 4, 28, "queue_settings.job_tier")),
        ("outputs: {a: elsewhere}\n", ("TM-D109", 4, 14, "outputs.a")),
        ("outputs: {a: }\n", None),
        ("queue_settings: {job_tier: Spot}\n", None),
        ("tags: {1: x, 2.5: yes}\n", None),
        ("resources: {instance_count: 2, shm_size: 8g}\n", None),
        ("distribution: {type: PyTorch, process_count_per_instance: 2}\n", None),
    ],
)
def test_a_mistake_is_one_finding_with_its_place(
    tmp_path: Path, extra: str, finding: tuple[str, int, int, str] | None
) -> None:
    base = "type: command\ncommand: ls\nenvironment: azureml:e@latest\n"
    assert findings(tmp_path, base + extra) == ([finding] if finding else [])


def test_an_inline_environment_has_one_source(tmp_path: Path) -> None:
    base = "type: command\ncommand: ls\nenvironment: {image: a, build: {path: b}}\n"
    assert [f[0] for f in findings(tmp_path, base)] == ["TM-D108"]


def test_overrides_are_part_of_the_document(tmp_path: Path) -> None:
    path = write(tmp_path, JOB)
    changes = [parse_override(t) for t in ("inputs.whole=9", "inputs.folder.path=azureml:d:2", "compute=azureml:c")]
    job = load(path, overrides=changes).document
    assert (job.inputs["whole"], job.inputs["folder"].path, job.compute) == (9, "azureml:d:2", "azureml:c")
    with pytest.raises(UsageError, match="not a mapping"):
        load(path, overrides=[parse_override("environment.image=x")])


def test_load_valid_refuses_with_every_finding(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_valid(write(tmp_path, "type: command\ncolour: red\nshape: round\ncommand: ls\nenvironment: e\n"))
    assert [f.path for f in caught.value.findings] == ["colour", "shape"]
    with pytest.raises(SpecError, match="is a command job, not a pipeline job"):
        load_valid(write(tmp_path, "type: command\ncommand: ls\nenvironment: e\n"), expect=(Kind.PIPELINE_JOB,))
