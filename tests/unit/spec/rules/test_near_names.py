"""A name that is nearly that of something here is a slip; what is like nothing here is on Azure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.spec.check import check_paths

ENVIRONMENT = (
    "$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json\nname: train-env\nimage: busybox\n"
)
JOB = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json
command: ls ${{inputs.tides}} ${{inputs.more}}
environment: azureml:train-env@latest
inputs:
  tides: {type: uri_folder, path: "azureml:tides-2024:1"}
  more: {type: uri_folder, path: "azureml:cats:1"}
"""


def said(root: Path, text: str) -> list[tuple[str, int, int, str]]:
    (root / "env.yml").write_text(ENVIRONMENT)
    (root / "tidemill.yaml").write_text("name: p\ndata: {tides-2024: ./d, cats: ./c}\n")
    (root / "job.yml").write_text(text)
    return [
        (f.code, f.at.line, f.at.column, f.hint)
        for r in check_paths([root], root=root)
        if r.path.endswith("job.yml")
        for f in r.findings
    ]


@pytest.mark.parametrize(
    ("before", "after", "line", "column"),
    [("train-env", "trian-env", 3, 14), ("tides-2024", "tide-2024", 5, 35)],
)
def test_a_slip_is_said_where_it_stands(tmp_path: Path, before: str, after: str, line: int, column: int) -> None:
    hint = f"Did you mean `{before}`?"
    assert said(tmp_path, JOB.replace(before, after)) == [("TM-R112", line, column, hint)]


@pytest.mark.parametrize(
    "other", ["gpu-image", "tides-2023", "registered-elsewhere", "train-env-2", "cat", "catz", "tides-2024-small"]
)
def test_other_names_and_other_numbers_are_left_alone(tmp_path: Path, other: str) -> None:
    assert said(tmp_path, JOB.replace("azureml:tides-2024:1", f"azureml:{other}:1")) == []


def test_two_like_names_of_which_both_are_used_are_two_things(tmp_path: Path) -> None:
    assert said(tmp_path, JOB.replace("azureml:cats:1", "azureml:tides-2024b:1")) == []
