"""Versions that are promised and not asked for, and servers that differ from training: found; what agrees is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.spec.lint.repository import lint_repository

ENVIRONMENT = "name: {name}\nimage: {image}\nconda_file: ./conda.yml\n{more}"
CONDA = "name: e\nchannels: [conda-forge]\ndependencies:\n  - python={python}\n  - pip:\n      - {package}\n"
DOCKERFILE = "FROM python:{python}-slim\nWORKDIR /app\nRUN pip install --no-cache-dir uvicorn {package}\n"
SHA = "a" * 40
WORKFLOW = "on: push\njobs:\n  t:\n    runs-on: ubuntu-24.04\n    steps:\n      - uses: actions/setup-python@{sha}\n        with:\n          python-version: {version}\n"


def found(folder: Path, **files: str) -> list[tuple[str, str, int, int, str]]:
    for name, text in files.items():
        (folder / NAMES[name]).parent.mkdir(parents=True, exist_ok=True)
        (folder / NAMES[name]).write_text(text)
    return [(p.name, f.code, f.at.line, f.at.column, str(f.severity)) for p, f in lint_repository(folder, [folder])]


NAMES = {
    "environment": "env/environment.yml",
    "conda": "env/conda.yml",
    "score": "env/score.yml",
    "image": "app/Dockerfile",
    "server": "app/main.py",
    "requirements": "app/requirements.txt",
    "workflow": ".github/workflows/ci.yml",
}


def environment(
    name: str = "train", image: str = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04", more: str = ""
) -> str:
    return ENVIRONMENT.format(name=name, image=image, more=more)


@pytest.mark.parametrize(
    ("document", "package"),
    [
        (environment(more="tags: {TensorFlow: 2.6.0}\n"), "tensorflow"),
        (environment(more="tags:\n  framework: tensorflow 2.6\n"), "tensorflow"),
        (environment(name="aml-tensorflow-2.6"), "tensorflow-cpu"),
        (environment(image="mcr.microsoft.com/azureml/curated/sklearn-1.0"), "scikit-learn"),
        (environment(more="tags: {framework: pytorch==2.1.0}\n"), "torch"),
    ],
)
def test_a_version_that_is_said_and_not_asked_for_is_found(tmp_path: Path, document: str, package: str) -> None:
    conda = CONDA.format(python="3.11", package=package)
    assert found(tmp_path, environment=document, conda=conda) == [("conda.yml", "TM-X35", 6, 9, "warning")]


@pytest.mark.parametrize(
    ("document", "package"),
    [
        (environment(more="tags: {TensorFlow: 2.6.0}\n"), "tensorflow==2.6.0"),
        (environment(more="tags: {TensorFlow: 2.6.0}\n"), "'tensorflow>=2.6,<3'"),
        (environment(more="tags: {TensorFlow: 2.6.0}\n"), "pillow"),
        (environment(more="tags: {purpose: tensorflow training, release: 2.6.0}\n"), "tensorflow"),
        (environment(name="tensorflow-env"), "tensorflow"),
        (environment(image="mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.6"), "tensorflow"),
        (environment(more="tags: {tensorflow-datasets: 4.9.2}\n"), "tensorflow"),
    ],
)
def test_a_version_nobody_says_or_that_is_asked_for_is_not(tmp_path: Path, document: str, package: str) -> None:
    assert found(tmp_path, environment=document, conda=CONDA.format(python="3.11", package=package)) == []


def test_packages_written_into_the_document_count_too(tmp_path: Path) -> None:
    text = "name: tf-env\nimage: i:1\ntags: {tensorflow: 2.6.0}\nconda_file:\n  dependencies:\n    - pip: [numpy, tensorflow]\n"
    assert found(tmp_path, environment=text) == [("environment.yml", "TM-X35", 6, 20, "warning")]


TRAINS = {"environment": environment(), "conda": CONDA.format(python="3.10", package="scikit-learn==1.4.2")}


def test_another_scikit_learn_in_the_server_is_found_where_it_is_asked_for(tmp_path: Path) -> None:
    image = DOCKERFILE.format(python="3.10", package="scikit-learn==1.2.0")
    assert found(tmp_path, **TRAINS, image=image) == [("Dockerfile", "TM-X43", 3, 40, "warning")]


def test_and_in_its_requirements(tmp_path: Path) -> None:
    image = "FROM python:3.10\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\nCMD uvicorn main:app\n"
    wanted = "# what it needs\nfastapi==0.115.0\nscikit_learn == 1.5.0  # newest\n"
    assert found(tmp_path, **TRAINS, image=image, requirements=wanted) == [
        ("requirements.txt", "TM-X43", 3, 1, "warning")
    ]


@pytest.mark.parametrize(
    "package",
    [
        "scikit-learn==1.4.0",
        "scikit-learn==1.4.*",
        "scikit-learn",
        "'scikit-learn>=1.2'",
        "scikit-image==1.2.0",
        "numpy==1.2.0",
    ],
)
def test_the_same_minor_version_or_none_is_not(tmp_path: Path, package: str) -> None:
    assert found(tmp_path, **TRAINS, image=DOCKERFILE.format(python="3.10", package=package)) == []


def test_an_image_that_serves_nothing_is_not_compared(tmp_path: Path) -> None:
    image = DOCKERFILE.format(python="3.12", package="scikit-learn==1.2.0").replace("uvicorn", "pytest")
    assert found(tmp_path, **TRAINS, image=image) == []


def test_environments_that_differ_leave_open_which_one_trains(tmp_path: Path) -> None:
    score = "name: s\nimage: i:1\nconda_file: {dependencies: [python=3.12, scikit-learn=1.2]}\n"
    image = DOCKERFILE.format(python="3.11", package="scikit-learn==1.5.0")
    assert found(tmp_path, **TRAINS, score=score, image=image) == []
    deployment = (
        "endpoint_name: e\nname: blue\nenvironment: {image: i:1, conda_file: {dependencies: [scikit-learn=1.2]}}\n"
    )
    codes = [f[:2] for f in found(tmp_path, score=deployment)]
    assert ("Dockerfile", "TM-X43") in codes


@pytest.mark.parametrize(
    ("code", "severity"), [("m = joblib.load('m')\n", "warning"), ("m = InferenceSession('m')\n", "info")]
)
def test_another_python_matters_where_pickles_are_read(tmp_path: Path, code: str, severity: str) -> None:
    image = DOCKERFILE.format(python="3.12", package="numpy")
    assert found(tmp_path, **TRAINS, image=image, server=code) == [("Dockerfile", "TM-X43", 1, 6, severity)]


@pytest.mark.parametrize(
    "image",
    [
        "FROM python:3.12 AS build\nRUN make\nFROM python:3.10-slim\nRUN pip install uvicorn\n",
        "FROM python:3.10 AS base\nRUN pip install uvicorn\nFROM base\nCMD uvicorn main:app\n",
        "FROM ghcr.io/me/python:3\nRUN pip install uvicorn\n",
        "ARG PYTHON=3.10\nFROM python:${PYTHON}\nRUN pip install uvicorn\n",
    ],
)
def test_the_last_stage_is_what_serves(tmp_path: Path, image: str) -> None:
    assert found(tmp_path, **TRAINS, image=image, server="m = joblib.load('m')\n") == []


def test_a_workflow_with_another_python_is_a_matter_of_taste(tmp_path: Path) -> None:
    text = WORKFLOW.format(sha=SHA, version="'3.12'")
    assert found(tmp_path, **TRAINS, workflow=text) == [("ci.yml", "TM-X43", 8, 28, "info")]


@pytest.mark.parametrize("version", ["'3.10'", "3.10.14", "${{ env.PYTHON }}", "['3.9', '3.12']"])
def test_a_workflow_with_the_same_python_or_many_is_not(tmp_path: Path, version: str) -> None:
    assert found(tmp_path, **TRAINS, workflow=WORKFLOW.format(sha=SHA, version=version)) == []


@pytest.mark.parametrize("stairs", ["- " * 200_000, "? " * 200_000, "-\t" * 200_000, "[" * 300_000])
def test_a_document_nested_beyond_all_bounds_is_passed_over(tmp_path: Path, stairs: str) -> None:
    assert found(tmp_path, environment=f"name: x\nconda_file: x\nb:\n  {stairs}1\n") == []


def test_an_environment_whose_anchor_leads_back_ends(tmp_path: Path) -> None:
    assert found(tmp_path, environment="&a\nname: x\nconda_file: ./conda.yml\ntags: *a\n") == []
