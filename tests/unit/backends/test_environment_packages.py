"""Package lists out of what Azure ML projects write."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.backends.environments.packages import PackageList, read_packages
from tidemill.base.errors import SpecError, UsageError
from tidemill.spec.environment import Environment


def conda(folder: Path, *packages: object) -> PackageList:
    document = Environment.model_validate({"name": "e", "conda_file": {"dependencies": list(packages)}})
    return read_packages(document, folder, "e")


def docker(folder: Path, text: str) -> PackageList:
    (folder / "Dockerfile").write_text(text)
    return read_packages(Environment.model_validate({"name": "e", "build": {"path": "."}}), folder, "e")


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("numpy=1.21.2", "numpy==1.21.2"),
        ("numpy=1.21", "numpy==1.21.*"),
        ("numpy==1.21", "numpy==1.21"),
        ("numpy 1.21", "numpy==1.21.*"),
        ("scipy=1.7.1=py38h56a6a73_0", "scipy==1.7.1"),
        ("scikit-learn=0.24.*", "scikit-learn==0.24.*"),
        ("pandas>=1.1,<1.2", "pandas>=1.1,<1.2"),
        ("conda-forge::librosa", "librosa"),
        ("pytorch::pytorch=2.1.0", "torch==2.1.0"),
        ("matplotlib-base", "matplotlib"),
    ],
)
def test_a_conda_package_becomes_the_same_on_pypi(tmp_path: Path, written: str, wanted: str) -> None:
    assert conda(tmp_path, written).conda == (wanted,)


def test_what_conda_installs_below_python_is_not_asked_of_pypi(tmp_path: Path) -> None:
    found = conda(tmp_path, "python=3.8.13", "pip=20", "cudatoolkit=11.1", "libgcc-ng", "gcc_linux-64", "_openmp_mutex")
    assert (found.python, found.conda) == ("3.8", ())


def test_pip_has_the_last_word_where_both_pin_a_package(tmp_path: Path) -> None:
    found = conda(tmp_path, "scikit-learn=1.0", "numpy=1.21", {"pip": ["scikit_learn==1.1"]})
    assert (found.conda, found.pip) == (("numpy==1.21.*",), ("scikit_learn==1.1",))


def test_azures_own_packages_give_way_to_mlflow_and_the_stand_in(tmp_path: Path) -> None:
    found = conda(tmp_path, {"pip": ["azureml-mlflow==1.42", "azureml_core", "azureml-defaults", "azure-ai-ml"]})
    assert found.pip == ("mlflow", "azure-ai-ml")
    assert found.dropped == ("azureml_core", "azureml-defaults")


def test_requirement_files_are_followed_and_indexes_kept(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("idna>=3 # why\n-c constraints.txt\n--extra-index-url https://wheels\n\n# six\n")
    found = conda(tmp_path, {"pip": ["-r more.txt", "-e ."]})
    assert found.pip == ("idna>=3", str(tmp_path))
    assert found.options == ("--extra-index-url", "https://wheels")


def test_a_docker_context_gives_its_pip_lines_its_copied_files_and_its_python(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six==1.16.0\n")
    text = """FROM mcr.example/python:3.9-slim
# RUN pip install commented
COPY requirements.txt /tmp/
RUN pip install --no-cache-dir -r /tmp/requirements.txt && \\
    pip install "idna>=3" -c constraints.txt azureml-mlflow $EXTRA
"""
    found = docker(tmp_path, text)
    assert (found.python, found.pip) == ("3.9", ("six==1.16.0", "idna>=3", "mlflow"))


def test_a_docker_context_may_make_its_conda_environment(tmp_path: Path) -> None:
    (tmp_path / "conda.yaml").write_text("dependencies: [python=3.10, numpy=1.24]")
    found = docker(tmp_path, "FROM image\nCOPY conda.yaml .\nRUN conda env create -n e -f conda.yaml\n")
    assert (found.python, found.conda) == ("3.10", ("numpy==1.24.*",))


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"absent\.yml"):
        read_packages(Environment.model_validate({"name": "e", "conda_file": "absent.yml"}), tmp_path, "e")
    with pytest.raises(SpecError, match=r"gone\.txt"):
        conda(tmp_path, {"pip": ["-r gone.txt"]})


def test_an_image_alone_has_no_package_list(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no package list"):
        read_packages(Environment.model_validate({"name": "e", "image": "ubuntu"}), tmp_path, "e")


def test_setuptools_is_asked_for_where_its_version_is_pinned(tmp_path: Path) -> None:
    assert conda(tmp_path, "setuptools=65.5.0", "wheel", {"pip": ["numpy"]}).conda == ("setuptools==65.5.0",)
    assert conda(tmp_path, "setuptools", {"pip": ["setuptools<70", "wheel"]}).pip == ("setuptools<70",)
    assert conda(tmp_path, "setuptools", {"pip": ["setuptools"]}) == conda(tmp_path)
