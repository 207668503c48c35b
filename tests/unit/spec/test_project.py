from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.spec.check import check_loaded
from tidemill.spec.kinds import Kind
from tidemill.spec.load import load
from tidemill.spec.repository import Repository

FULL = """name: digits
pipeline: pipeline.yml
model: digits-classifier
data: {mnist-2: data/2}
environments: {aml-Pillow-cli: {python: host}}
compute: {gpu-cluster: {executor: ray, address: auto}}
gates: ["metrics.accuracy >= 0.95"]
endpoint: endpoint.yml
deployment: deployment.yml
stages:
  staging: {target: local}
  production: {target: kubernetes, namespace: mlops-ns, registry: ghcr.io/me, approvals: 1, auth: key, bake_s: 30}
monitor: monitor.yml
retrain: {on: [drift, data, "cron: 0 3 * * *"]}
"""


def write(root: Path, text: str) -> Path:
    path = root / "tidemill.yaml"
    path.write_text(text)
    return path


def test_every_key_of_the_project_file_is_read(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, FULL))
    assert loaded.kind is Kind.PROJECT
    assert loaded.findings == ()
    project = loaded.document
    assert project.model.name == "digits-classifier"
    assert project.stages["production"].approvals == 1
    assert project.stages["staging"].auth is None
    assert list(project.stages) == ["staging", "production"]


@pytest.mark.parametrize(
    ("before", "after", "code", "hint"),
    [
        ("pipeline: p", "pipline: p", "TM-D101", "`pipeline`"),
        ("approvals: 1", "aprovals: 1", "TM-D101", "`approvals`"),
        ("target: local", "target: locale", "TM-D103", "`local`"),
        ("approvals: 1", "approvals: -1", "TM-D105", ""),
        ("python: host", "python: hosts", "TM-D103", "`host`"),
        ("auth: key", "auth: password", "TM-D103", "`none`"),
    ],
)
def test_a_mistake_in_it_says_what_was_meant(tmp_path: Path, before: str, after: str, code: str, hint: str) -> None:
    (finding,) = load(write(tmp_path, FULL.replace(before, after))).findings
    assert finding.code == code
    assert hint in finding.hint
    assert finding.at.line > 1


def test_gates_that_are_no_conditions_are_all_named_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "tidemill.yaml"
    path.write_text(
        "name: digits\ngates:\n  - metrics.accuracy >= >= 1\n  - metrics.accuracy > 0.5\n"
        "stages:\n  staging: {gates: [metric.loss < 1]}\n"
    )
    found = check_loaded(load(path), lambda: Repository(tmp_path, ()))
    assert [(f.code, f.at.line) for f in found] == [("TM-D111", 3), ("TM-D111", 6)]
    assert "Did you mean `metrics`" in found[1].hint
