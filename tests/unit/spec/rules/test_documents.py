from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.spec.check import check_loaded
from tidemill.spec.load import load
from tidemill.spec.repository import Repository


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with code, data, a conda file and a scoring script."""
    for folder in ("src", "data", "docker"):
        (tmp_path / folder).mkdir()
    for file in ("src/score.py", "data/a.csv", "conda.yml", "docker/Dockerfile"):
        (tmp_path / file).write_text("x")
    (tmp_path / "conda.yml").write_text("dependencies: [python=3.11]\n")
    return tmp_path


def said(root: Path, text: str) -> list[tuple[str, str, str]]:
    path = root / "document.yml"
    path.write_text(text)
    return [(f.code, f.path, f.hint) for f in check_loaded(load(path), lambda: Repository(root, ()))]


JOB = "type: command\ncommand: ls\nenvironment: {image: x, conda_file: ./conda.yml}\ncode: ./src\ninputs: {d: {type: uri_file, path: data/a.csv}}\n"


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        ("./src", "./sorce", "code"),
        ("./conda.yml", "conda.yaml", "environment.conda_file"),
        ("data/a.csv", "data/b.csv", "inputs.d.path"),
        ("data/a.csv", "./Data/a.csv", "inputs.d.path"),
    ],
)
def test_a_local_path_that_leads_to_nothing_is_found(root: Path, before: str, after: str, path: str) -> None:
    assert said(root, JOB) == []
    ((code, place, _),) = said(root, JOB.replace(before, after))
    assert (code, place) == ("TM-R101", path)


@pytest.mark.parametrize(
    "path",
    ["azureml:d:1", "azureml://datastores/d/paths/p/", "https://example.org/a.csv", "wasbs://c@a.blob.core.windows.net/x", "data/*.csv",
     "abfss://c@a.dfs.core.windows.net/x", "runs:/1/model", "azureml://jobs/j/outputs/artifacts/paths/model/", "file:data/a.csv"],
)  # fmt: skip
def test_paths_elsewhere_are_not_looked_for(root: Path, path: str) -> None:
    assert said(root, JOB.replace("data/a.csv", path)) == []


def test_a_name_in_another_case_or_nearly_right_is_suggested(root: Path) -> None:
    ((_, _, hint),) = said(root, JOB.replace("data/a.csv", "data/A.csv"))
    assert "`a.csv`; case matters" in hint
    ((_, _, hint),) = said(root, JOB.replace("./src", "./srcs"))
    assert "`src`" in hint


DEPLOYMENT = """$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: digits
model: azureml:m@latest
code_configuration: {code: ./src, scoring_script: score.py}
environment: azureml:e@latest
instance_type: Standard_DS3_v2
instance_count: 1
"""


@pytest.mark.parametrize(
    ("before", "after", "finding"),
    [
        ("score.py}", "scor.py}", ("TM-R101", "code_configuration.scoring_script")),
        ("./src", "./source", ("TM-R101", "code_configuration.code")),
        ("instance_count: 1", "instance_count: 0", ("TM-L102", "instance_count")),
        ("environment: azureml:e@latest\n", "", ("TM-L104", "code_configuration")),
        (", scoring_script: score.py", "", ("TM-D102", "code_configuration")),
        ("endpoint_name: digits", "endpoint_name: digits/2", ("TM-D201", "endpoint_name")),
    ],
)
def test_a_deployment_that_cannot_answer_is_found(
    root: Path, before: str, after: str, finding: tuple[str, str]
) -> None:
    assert said(root, DEPLOYMENT) == []
    assert [f[:2] for f in said(root, DEPLOYMENT.replace(before, after))] == [finding]


def test_a_deployment_needs_something_to_answer_with(root: Path) -> None:
    text = "name: blue\nendpoint_name: digits\ninstance_type: x\ninstance_count: 1\n"
    assert [f[0] for f in said(root, text)] == ["TM-L101"]


@pytest.mark.parametrize(
    ("traffic", "codes"), [("{blue: 90, green: 10}", []), ("{blue: 0}", []), ("{blue: 90}", ["TM-L103"])]
)
def test_traffic_adds_up(root: Path, traffic: str, codes: list[str]) -> None:
    assert [f[0] for f in said(root, f"name: digits\nauth_mode: key\ntraffic: {traffic}\n")] == codes


@pytest.mark.parametrize(
    ("build", "codes"),
    [("{path: docker}", []), ("{path: docker, dockerfile_path: Dokerfile}", ["TM-R101"]), ("{path: src}", ["TM-R101"])],
)
def test_a_build_needs_its_dockerfile(root: Path, build: str, codes: list[str]) -> None:
    assert [f[0] for f in said(root, f"name: e\nbuild: {build}\n")] == codes


@pytest.mark.parametrize("name", ["a b", "-a", "a/b", "ü", "a" * 256])
def test_names_azure_would_refuse_are_found(root: Path, name: str) -> None:
    assert [f[0] for f in said(root, f"name: {name}\ntype: uri_folder\npath: data\n")] == ["TM-D201"]


def test_a_default_that_does_not_fit_is_a_warning(root: Path) -> None:
    text = "name: c\nversion: 1\ntype: command\ncommand: ls\nenvironment: azureml:e@latest\ninputs: {n: {type: integer, default: many}}\n"
    assert [f[:2] for f in said(root, text)] == [("TM-B113", "inputs.n.default")]
