"""What the project file names is there, and what it maps is called so somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.spec.check import check_paths

JOB = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json
command: ls ${{inputs.tides}}
environment: azureml:train-env@latest
compute: azureml:cpu-cluster
inputs: {tides: {type: uri_folder, path: "azureml:tides-2024:1"}, x: {type: uri_folder, path: azureml://datastores/lake/paths/x}}
"""


def said(root: Path, text: str) -> list[tuple[str, int, str]]:
    (root / "job.yml").write_text(JOB)
    (root / "tidemill.yaml").write_text(text)
    (report,) = [r for r in check_paths([root], root=root) if r.path.endswith("tidemill.yaml")]
    return [(f.code, f.at.line, f.hint) for f in report.findings]


@pytest.mark.parametrize("field", ["pipeline", "endpoint", "deployment", "sample_request"])
def test_a_file_it_names_is_there(tmp_path: Path, field: str) -> None:
    assert said(tmp_path, f"name: p\n{field}: jbo.yml\n") == [("TM-R101", 2, "Did you mean `job.yml`?")]
    assert said(tmp_path, f"name: p\n{field}: job.yml\n") == []


@pytest.mark.parametrize(
    ("mapping", "near"),
    [
        ("environments: {trian-env: {python: host}}", "train-env"),
        ("data: {tide-2024: ./d}", "tides-2024"),
        ("compute: {cpu-clutser: {cpus: 2}}", "cpu-cluster"),
        ("datastores: {lakee: ./d}", "lake"),
    ],
)
def test_a_mapping_nobody_uses_that_is_nearly_right(tmp_path: Path, mapping: str, near: str) -> None:
    assert said(tmp_path, f"name: p\n{mapping}\n") == [("TM-R110", 2, f"Did you mean `{near}`?")]


@pytest.mark.parametrize(
    "mapping",
    [
        "environments: {train-env: {python: host}, 'train-env:2': {python: host}}",
        "data: {tides-2024: ./d, 'tides-2023': ./e}",
        "compute: {gpu-of-another-branch: {gpus: 1}}",
        "datastores: {lake: ./d, lake2: ./e}",
    ],
)
def test_names_that_are_used_or_like_no_other_are_left_alone(tmp_path: Path, mapping: str) -> None:
    assert said(tmp_path, f"name: p\n{mapping}\n") == []
