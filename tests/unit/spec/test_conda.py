from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.base.errors import SpecError
from tidemill.spec.check import check_paths
from tidemill.spec.conda import read_conda_file

GOOD = """\
name: fit
channels: [conda-forge]
dependencies:
  - python=3.11
  - conda-forge::numpy
  - pip
  - pip:
      - scikit-learn==1.5.2
      - -r more.txt
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An environment, its conda file and what that names."""
    (tmp_path / "env.yml").write_text(
        "$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json\n"
        "name: fit-env\nimage: python:3.11\nconda_file: conda.yml\n"
    )
    (tmp_path / "conda.yml").write_text(GOOD)
    (tmp_path / "more.txt").write_text("pillow==10.3\n")
    return tmp_path


def said(folder: Path, *, named: str = "") -> list[tuple[str, str, int, int]]:
    path = folder / named if named else folder
    return [
        (Path(f.at.file).name, f.code, f.at.line, f.at.column)
        for report in check_paths([path], root=folder)
        for f in report.findings
    ]


@pytest.mark.parametrize(
    ("before", "after", "code", "line", "column"),
    [
        ("dependencies:", "dependancies:", "TM-E102", 3, 1),
        (GOOD[GOOD.index("  - python") :], "", "TM-E102", 3, 14),
        (GOOD, "- python=3.11\n", "TM-E102", 1, 1),
        ("  - conda-forge::numpy", "  - numpy: 1.2", "TM-E102", 5, 5),
        ("  - conda-forge::numpy", "  - - numpy", "TM-E102", 5, 5),
        ("  - pip:", "pip:", "TM-E103", 7, 1),
        ("  - pip:\n", "  - pip\n", "TM-E103", 7, 5),
        ("conda-forge::numpy", "-r more.txt", "TM-E103", 5, 5),
        ("more.txt", "other.txt", "TM-R101", 9, 9),
        ("python=3.11", "pandas", "TM-E104", 3, 1),
        ("  - pip:", "\t- pip:", "TM-D001", 7, 1),
        ("name: fit", "name: fit\nname: fat", "TM-D003", 2, 1),
    ],
)
def test_what_conda_refuses_or_leaves_out_is_said_where_it_stands(
    folder: Path, before: str, after: str, code: str, line: int, column: int
) -> None:
    (folder / "conda.yml").write_text(GOOD.replace(before, after, 1))
    assert ("conda.yml", code, line, column) in said(folder)
    assert {found[0] for found in said(folder)} == {"conda.yml"}
    if after != "- python=3.11\n":  # a list alone does not look like a conda file
        assert said(folder, named="conda.yml") == said(folder)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "dependencies: [python, pip, 'numpy>=1.2,<2', 'pytorch::pytorch=2.1=py3.11_cpu', {pip: ['-e ../src', 'git+https://example.org/x']}]\n",
        "channels: [defaults]\ndependencies:\n- python=3.8.*\n- pip:\n  - --extra-index-url https://example.org\n  - azureml-defaults\nvariables: {A: b}\n",
        "dependencies: ['python >=3.10', 'pip=22', {pip: []}]\nplatforms: [linux-64]\n",
        "dependencies: [anaconda=2023.3]\n",
    ],
)
def test_ordinary_files_are_left_alone(folder: Path, text: str) -> None:
    (folder / "conda.yml").write_text(text)
    assert said(folder) == []


def test_a_specification_written_into_the_environment_is_judged_too(folder: Path) -> None:
    (folder / "env.yml").write_text(
        "$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json\nname: fit-env\n"
        "image: python:3.11\nconda_file:\n  channels: [conda-forge]\n  pip: [numpy]\n  dependencies: [python=3.11]\n"
    )
    assert said(folder) == [("env.yml", "TM-E103", 6, 3)]


def test_two_documents_with_one_conda_file_report_it_once(folder: Path) -> None:
    (folder / "other.yml").write_text((folder / "env.yml").read_text().replace("fit-env", "other-env"))
    (folder / "conda.yml").write_text(GOOD.replace("python=3.11", "pandas"))
    assert said(folder) == [("conda.yml", "TM-E104", 3, 1)]


def test_a_mapping_of_the_project_names_files_that_are_there(folder: Path) -> None:
    (folder / "env.yml").unlink()
    (folder / "tidemill.yaml").write_text(
        "environments:\n  a: {conda_file: conda.yml}\n  b: {conda_file: gone.yml}\n  c: {requirements: gone.txt}\n"
    )
    assert said(folder) == [("tidemill.yaml", "TM-R101", 3, 19), ("tidemill.yaml", "TM-R101", 4, 21)]


def test_a_file_that_is_not_there_raises(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No conda file"):
        read_conda_file(tmp_path / "conda.yml")
