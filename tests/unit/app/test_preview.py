"""Previews: names, times and what they are refused for; on the cluster, that nothing stays."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from tidemill.app.preview import EXPIRES, LABEL, NAME, PROJECT, _its_own, read_ttl
from tidemill.base.errors import ConflictError, UsageError
from tidemill.cli.main import run_command_line


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"p{uuid.uuid4().hex[:6]}"
    text = f"name: {name}\nstages: {{production: {{target: kubernetes, namespace: ns, registry: '127.0.0.1:5000'}}}}\n"
    (tmp_path / "tidemill.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return name


def test_a_time_to_live_is_minutes_hours_or_days() -> None:
    assert read_ttl("90m") == timedelta(minutes=90)
    assert read_ttl("3d") == timedelta(days=3)
    for wrong in ("5", "0h", "soon"):
        with pytest.raises(UsageError, match="time to live"):
            read_ttl(wrong)


def test_a_project_without_a_cluster_is_told_what_a_preview_needs(
    project: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("tidemill.yaml").write_text("name: local-only\n")
    assert run_command_line(["preview", "create", "pr-1"]) == 2
    assert "target: kubernetes" in capsys.readouterr().err
    assert run_command_line(["preview", "delete"]) == 2


class Namespaces:
    """A cluster that has one preview."""

    def __init__(self, name: str) -> None:
        self.found = Found("p-preview-feature-n", {LABEL: "feature-n"}, {NAME: name})

    def find_namespaces(self, label: str, value: str) -> list[Found]:
        return [self.found] if self.found.labels[label] == value else []


@dataclass(frozen=True)
class Found:
    name: str
    labels: dict[str, str]
    annotations: dict[str, str]


def test_another_branch_that_comes_to_the_same_id_is_refused() -> None:
    cluster = Namespaces("feature/n")
    _its_own(cluster, "feature-n", "p-preview-feature-n", "feature/n")
    with pytest.raises(ConflictError, match="is of `feature/n`, not of `Feature_N`"):
        _its_own(cluster, "feature-n", "p-preview-feature-n", "Feature_N")


@pytest.mark.needs_cluster
def test_what_is_past_its_time_goes_with_its_namespace_and_the_rest_stays(
    project: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("no cluster: set KUBECONFIG")
    from tidemill.backends.targets.kubernetes import KubernetesTarget

    target = KubernetesTarget()
    try:
        for name, expires in (("old", "1"), ("new", "99999999999")):
            labels = {LABEL: name, PROJECT: project, EXPIRES: expires}
            target.mark_namespace(f"{project}-preview-{name}", labels, {}, owner=LABEL)
        with pytest.raises(ConflictError, match="not a preview's"):
            target.mark_namespace("default", {LABEL: "x"}, {}, owner=LABEL)
        assert run_command_line(["preview", "delete", "--expired"]) == 0
        assert "deleted old" in capsys.readouterr().out
        assert [n.name for n in target.find_namespaces(PROJECT, project)] == [f"{project}-preview-new"]
        assert run_command_line(["preview", "delete", "missing"]) == 1
        assert run_command_line(["preview", "delete", "new"]) == 0
        assert target.find_namespaces(PROJECT, project) == []
    finally:
        target.close()
