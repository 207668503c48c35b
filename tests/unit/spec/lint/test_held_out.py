"""Test data that is split off and forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.spec.lint.repository import lint_repository

TRAIN = """from sklearn.model_selection import train_test_split
def run(x, y):
    {0} = train_test_split(x, y, test_size=0.2)
    x_test = scaler.transform(x_test)
    model = SVC().fit(x_train, y_train)
    {1}
"""
FOUR = "x_train, x_test, y_train, y_test"
SPLIT = "type: command\noutputs:\n  training_data: {type: uri_folder}\n  testing_data: {type: uri_folder}\n"
PIPELINE = """type: pipeline
outputs:
  kept: {{type: uri_folder}}
jobs:
  split:
    component: ./split.yaml
{0}  train:
    component: ./train.yaml
    inputs:
      training_data: ${{{{parent.jobs.split.outputs.training_data}}}}
      {1}
"""
READ = "testing_data: ${{parent.jobs.split.outputs.testing_data}}"


def found(folder: Path, files: dict[str, str]) -> list[tuple[str, int, int]]:
    for name, text in files.items():
        (folder / name).write_text(text)
    return [(f.code, f.at.line, f.at.column) for _, f in lint_repository(folder, [folder]) if f.code == "TM-X23"]


@pytest.mark.parametrize(
    ("names", "use", "expected"),
    [
        (FOUR, "joblib.dump(model, 'm')", [("TM-X23", 3, 5)]),
        ("train, test", "joblib.dump(model, 'm')", [("TM-X23", 3, 5)]),
        (FOUR, "print(model.score(x_test, y_test))", []),
        (FOUR, "joblib.dump(y_test, 'y')", []),
        ("x_train, x_test, y_train, _y_test", "joblib.dump(model, 'm')", []),
        ("x_train, x_test, y_train, y_test, w_train, w_test", "model.score(x_test, y_test)", []),
        (FOUR, "return locals()", []),
        (FOUR, "print(model.predict(x_train))", []),
        (FOUR, "joblib.dump(cross_val_score(model, x, y), 'm')", []),
        ("halves", "joblib.dump(model, 'm')", []),
    ],
)
def test_test_labels_that_no_line_reads_are_found(
    tmp_path: Path, names: str, use: str, expected: list[tuple[str, int, int]]
) -> None:
    assert found(tmp_path, {"train.py": TRAIN.format(names, use)}) == expected


def test_a_script_that_only_splits_is_none_of_this(tmp_path: Path) -> None:
    text = "x_train, x_test, y_train, y_test = train_test_split(x, y)\nsave(x_train)\n"
    assert found(tmp_path, {"split.py": text}) == []


@pytest.mark.parametrize(
    ("outputs", "reads", "expected"),
    [
        ("", "epochs: 3", [("TM-X23", 5, 3)]),
        ("", READ, []),
        ("    outputs:\n      testing_data: ${{parent.outputs.kept}}\n", "epochs: 3", []),
        ("    outputs:\n      testing_data: {path: azureml://datastores/a/paths/t}\n", "epochs: 3", []),
    ],
)
def test_a_pipeline_whose_test_half_nobody_reads_is_found(
    tmp_path: Path, outputs: str, reads: str, expected: list[tuple[str, int, int]]
) -> None:
    assert found(tmp_path, {"split.yaml": SPLIT, "pipeline.yaml": PIPELINE.format(outputs, reads)}) == expected


def test_a_pipeline_that_only_prepares_is_none_of_this(tmp_path: Path) -> None:
    text = PIPELINE.format("", "epochs: 3").replace("parent.jobs.split.outputs.training_data", "parent.inputs.data")
    assert found(tmp_path, {"split.yaml": SPLIT, "pipeline.yaml": text}) == []
