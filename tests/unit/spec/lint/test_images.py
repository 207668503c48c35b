"""Manifests as they are in real clusters: what others fill in, pods nobody asks, ports nobody declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.base.findings import Severity
from tidemill.spec.lint.repository import lint_repository

POD = """apiVersion: apps/v1
kind: Deployment
metadata: {{name: api}}
spec:
  template:
    metadata: {{labels: {{app: api}}}}
    spec:
      containers:
        - name: api
          image: {0}
{1}"""
PORTS = "          ports: [{containerPort: 8000, name: http}]\n"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {{name: api}}\nspec: {{selector: {{app: api}}, ports: {0}}}\n"
PINNED = "ghcr.io/me/api:1.4.2"
MOVING = "ghcr.io/me/api:latest"
KUSTOMIZATION = "resources: [d.yml]\nimages:\n  - name: ghcr.io/me/api\n    newTag: 1.4.2\n"


def found(folder: Path, files: dict[str, str]) -> list[tuple[str, int, str]]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    findings = [f for _, f in lint_repository(folder, [folder]) if f.severity is not Severity.INFO]
    return [(f.code, f.at.line, str(f.severity)) for f in findings]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"d.yml": POD.format(PINNED, PORTS)}, [("TM-X42", 9, "warning")]),
        ({"d.yml": POD.format(PINNED, "")}, []),
        ({"d.yml": POD.format(PINNED, ""), "s.yml": SERVICE.format("[{port: 80}]")}, [("TM-X42", 9, "warning")]),
        ({"d.yml": POD.format(PINNED, ""), "other/s.yml": SERVICE.format("[{port: 80}]")}, []),
    ],
)
def test_a_pod_that_nobody_asks_needs_no_readiness(
    tmp_path: Path, files: dict[str, str], expected: list[tuple[str, int, str]]
) -> None:
    assert found(tmp_path, files) == expected


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ("[{port: 80, targetPort: 8000}]", []),
        ("[{port: 80, targetPort: http}]", []),
        ("[{port: 80, targetPort: 8080}]", [("TM-X36", 4, "error")]),
        ("[{port: 80, targetPort: web}]", [("TM-X36", 4, "error")]),
        ("[{port: 80, targetPort: 8000}, {port: 9090}]", [("TM-X36", 4, "warning")]),
        ("[{port: 80, targetPort: 8000}, {port: 9090, targetPort: metrics}]", [("TM-X36", 4, "error")]),
        ("[null, 3]", []),
    ],
)
def test_a_port_beside_one_that_fits_may_be_open_without_being_declared(
    tmp_path: Path, ports: str, expected: list[tuple[str, int, str]]
) -> None:
    files = {"d.yml": POD.format(PINNED, PORTS), "s.yml": SERVICE.format(ports)}
    assert [f for f in found(tmp_path, files) if f[0] == "TM-X36"] == expected


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({}, [("TM-X05", 10, "warning")]),
        ({"kustomization.yaml": KUSTOMIZATION}, []),
        ({"kustomization.yaml": KUSTOMIZATION.replace("api", "web")}, [("TM-X05", 10, "warning")]),
    ],
)
def test_kustomize_may_name_the_version(
    tmp_path: Path, others: dict[str, str], expected: list[tuple[str, int, str]]
) -> None:
    assert found(tmp_path, {"d.yml": POD.format(MOVING, ""), **others}) == expected


def test_a_chart_is_filled_in_by_helm(tmp_path: Path) -> None:
    text = POD.format('"{{ .Values.image }}"', PORTS)
    assert found(tmp_path / "a", {"chart/Chart.yaml": "name: api\n", "chart/templates/d.yml": text}) == []
    assert {f[0] for f in found(tmp_path / "b", {"templates/d.yml": text})} == {"TM-X21", "TM-X42"}


@pytest.mark.parametrize(
    ("script", "codes"),
    [
        ("envsubst < k8s/d.yml | kubectl apply -f -\n", []),
        ("sed -i s/x/y/ k8s/d.yml\n", []),
        ("sed -i s/x/y/ other.yml\n", ["TM-X21"]),
    ],
)
def test_a_template_that_a_script_fills_in_is_one(tmp_path: Path, script: str, codes: list[str]) -> None:
    files = {"k8s/d.yml": POD.format("ghcr.io/me/api:${GITHUB_SHA}", ""), "deploy.sh": script}
    assert [f[0] for f in found(tmp_path, files)] == codes


def test_the_scripts_of_azure_devops_are_scripts(tmp_path: Path) -> None:
    text = (
        "pool: {vmImage: ubuntu-24.04}\nsteps:\n- task: AzureCLI@2\n  inputs:\n    inlineScript: |\n"
        "      az ml components create -f c.yml\n"
        "      az ml online-endpoint create -f e.yml || true\n"
    )
    assert found(tmp_path, {"azure-pipelines.yml": text}) == [("TM-X14", 6, "error"), ("TM-X34", 7, "warning")]
