"""Containers without limits or a user, and servers open to every page: found; what says enough is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.spec.lint.repository import lint_repository

POD = """apiVersion: apps/v1
kind: {kind}
metadata: {{name: api}}
spec:
  template:
    spec:
      {pod}
      containers:
        - name: api
          image: ghcr.io/me/api@sha256:{digest}
          readinessProbe: {{httpGet: {{path: /readyz, port: 8000}}}}
          {container}
"""
LIMITS = "resources: {limits: {memory: 1Gi}}"
USER = "securityContext: {runAsNonRoot: true}"


def found(folder: Path, name: str, text: str) -> list[tuple[str, int, int, str]]:
    (folder / name).write_text(text)
    return [(f.code, f.at.line, f.at.column, str(f.severity)) for _, f in lint_repository(folder, [folder])]


def pod(*container: str, above: str = "restartPolicy: Always", kind: str = "Deployment") -> str:
    return POD.format(kind=kind, pod=above, digest="a" * 64, container="\n          ".join(container))


@pytest.mark.parametrize(
    "container", ["tty: false", "resources: {requests: {memory: 1Gi}}", "resources: {limits: {cpu: 1}}"]
)
def test_a_container_without_a_memory_limit_is_a_matter_of_taste(tmp_path: Path, container: str) -> None:
    assert found(tmp_path, "d.yml", pod(container, USER)) == [("TM-X60", 9, 11, "info")]


@pytest.mark.parametrize(
    "user", ["", "securityContext: {readOnlyRootFilesystem: true}", "securityContext: {runAsUser: 0}"]
)
def test_a_container_that_may_be_root_is_a_matter_of_taste(tmp_path: Path, user: str) -> None:
    assert found(tmp_path, "d.yml", pod(LIMITS, user)) == [("TM-X61", 9, 11, "info")]


def test_a_privileged_container_is_a_warning_at_its_word(tmp_path: Path) -> None:
    text = pod(LIMITS, "securityContext: {privileged: true, runAsNonRoot: true}")
    assert found(tmp_path, "d.yml", text) == [("TM-X61", 13, 41, "warning")]


@pytest.mark.parametrize(
    "text",
    [
        pod(LIMITS, USER),
        pod(LIMITS, above=USER),
        pod(LIMITS, "securityContext: {runAsUser: 1000}"),
        pod("tty: false", kind="ReplicaSetTemplate"),
        pod("tty: false").replace("          image", "          imagePullPolicy"),
        pod("tty: false").replace("spec:\n  template", "spec: {{ .Values }}\n  template"),
    ],
    ids=["own", "of the pod", "by number", "another kind", "a patch", "a template"],
)
def test_a_container_that_says_enough_is_not(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, "d.yml", text) == []


def test_limits_that_come_from_elsewhere_count(tmp_path: Path) -> None:
    (tmp_path / "range.yml").write_text("apiVersion: v1\nkind: LimitRange\nmetadata: {name: all}\n")
    assert found(tmp_path, "d.yml", pod(USER)) == []
    (tmp_path / "range.yml").unlink()
    (tmp_path / "kustomization.yaml").write_text("resources: [d.yml]\n")
    assert found(tmp_path, "d.yml", pod("tty: false")) == []


@pytest.mark.parametrize(
    "call",
    [
        "CORS(app, supports_credentials=True)",
        "CORS(app, origins='*', supports_credentials=True)",
        "CORS(app, origins=['*'], supports_credentials=True)",
        "CORS(app, resources={r'/*': {'origins': '*'}}, supports_credentials=True)",
        "app.add_middleware(M, allow_origin_regex='.*', allow_credentials=True)",
        "app.add_middleware(M, allow_origins=ORIGINS, allow_credentials=True)",
    ],
)
def test_a_server_open_to_every_page_is_found(tmp_path: Path, call: str) -> None:
    assert found(tmp_path, "main.py", f"ORIGINS = ['*']\n{call}\n") == [("TM-X47", 2, 1, "warning")]


@pytest.mark.parametrize(
    "call",
    [
        "CORS(app)",
        "CORS(app, origins=['https://a.example'], supports_credentials=True)",
        "CORS(app, origins=SITES, supports_credentials=True)",
        "CORS(app, resources={r'/*': {'origins': SITES}}, supports_credentials=True)",
        "CORS(app, supports_credentials=True, **settings)",
        "CORS(app, origins='*', supports_credentials=False)",
        "app.add_middleware(M, allow_origin_regex='https://.*[.]a[.]example', allow_credentials=True)",
        "app.add_middleware(M, allow_origins=SITES, allow_credentials=True)",
        "app.add_middleware(M, allow_origins=ORIGINS, allow_credentials=False)",
    ],
)
def test_a_server_that_names_its_pages_is_not(tmp_path: Path, call: str) -> None:
    assert found(tmp_path, "main.py", f"ORIGINS = ['*']\nSITES = ['https://a.example']\n{call}\n") == []
