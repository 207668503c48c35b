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
inputs: {tides: {type: uri_folder, path: "azureml:tides-2024:1"}, x: {type: uri_folder, path: azureml://datastores/datalake/paths/x}}
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
        ("datastores: {datalakee: ./d}", "datalake"),
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
        "datastores: {datalake: ./d, datalake2: ./e}",
    ],
)
def test_names_that_are_used_or_like_no_other_are_left_alone(tmp_path: Path, mapping: str) -> None:
    assert said(tmp_path, f"name: p\n{mapping}\n") == []


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            "endpoint_name: tides",
            "endpoint_name: tide",
            "for the endpoint `tide`, and `endpoint.yml` is called `tides`",
        ),
        ("azureml:tides@latest", "azureml:tide:1", "serves the model `tide`, and the project makes `tides`"),
    ],
)
def test_endpoint_deployment_and_project_agree(tmp_path: Path, before: str, after: str, words: str) -> None:
    schema = "$schema: https://azuremlschemas.azureedge.net/latest/managedOnline"
    deployment = f"{schema}Deployment.schema.json\nname: blue\nendpoint_name: tides\nmodel: azureml:tides@latest\n"
    project = "name: p\nmodel: tides\nendpoint: endpoint.yml\ndeployment: blue.yml\n"
    (tmp_path / "endpoint.yml").write_text(f"{schema}Endpoint.schema.json\nname: tides\n")
    (tmp_path / "blue.yml").write_text(deployment)
    assert said(tmp_path, project) == []
    (tmp_path / "blue.yml").write_text(deployment.replace(before, after))
    ((code, line, _),) = said(tmp_path, project)
    assert (code, line) == ("TM-R111", 4)
    (report,) = check_paths([tmp_path / "tidemill.yaml"], root=tmp_path)
    assert words in report.findings[0].message
