"""What a target would refuse late is refused when the project file is read, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.spec.cluster_values import read_quantity
from tidemill.spec.load import load

STAGE = """name: digits
stages:
  production:
    target: kubernetes
    namespace: mlops-ns
    registry: ghcr.io/me
"""
DEPLOYMENT = """$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: digits
model: azureml:digits@latest
"""


def said(folder: Path, text: str, name: str = "tidemill.yaml") -> list[tuple[int, int, str]]:
    (folder / name).write_text(text)
    return [(f.at.line, f.at.column, f.message) for f in load(folder / name).findings]


def test_a_stage_that_can_be_deployed_is_not_spoken_of(tmp_path: Path) -> None:
    more = (
        "    cpu: 2\n    memory: 1.5Gi\n    base_image: registry:5000/python:3.11-slim\n    pull_secret: ghcr.login\n"
        "    strategy: canary\n    steps: [10, 50, 100]\n    environment_variables: {A.B-c: '$(PATH_TO)', PATH_TO: x, COST: $$(HI)}\n"
    )
    assert said(tmp_path, STAGE + more) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("memory: 2 Gi", "`2 Gi` is no amount of memory"),
        ("memory: 2", "too little"),
        ("memory: 500m", "no amount of memory"),
        ("cpu: 2 cores", "`2 cores` is no number of processors"),
        ("cpu: 1Gi", "no number of processors"),
        ("environment_variables: {'1 BAD': x}", "`1 BAD` cannot name an environment variable"),
        ("environment_variables: {IMAGE: __IMAGE__}", "still holds `__IMAGE__`"),
        ("environment_variables: {IMAGE: 'a %%X%% b'}", "still holds `%%X%%`"),
        ("environment_variables: {A: 'x$(FOO)', B: y}", "still holds `$(FOO)`"),
        ("frontend_image: __IMAGE__", "still holds `__IMAGE__`"),
        ("ingress_host: $(HOST)", "still holds `$(HOST)`"),
        ("pull_secret: Bad Secret", "`Bad Secret` cannot name a Secret"),
        ("env_from: [{secret: My DB}]", "`My DB` cannot name a Secret or a ConfigMap"),
        ("route: {kind: ingress, host: d.example.org, tls: My Cert}", "`My Cert` cannot name a Secret"),
        ("max_error_rate: 7", "at most 1"),
        ("max_latency_ms: -1", "above 0"),
        ("base_image: python:latest", "another image tomorrow"),
        ("base_image: host:5000/python", "no tag"),
        ("steps: [10, 50]", "a canary's"),
        ("strategy: rolling\n    steps: [10, 50]", "the strategy is `rolling`"),
        ("strategy: canary\n    steps: [50, 10, 100]", "must rise"),
        ("strategy: canary\n    steps: [50, 10, 200]", "1 to 100"),
        ("port: 8000", "the Service listens on port 80"),
        ("host: 0.0.0.0", "means nothing on kubernetes"),
    ],
)
def test_what_a_cluster_refuses_late_is_said_with_its_place(tmp_path: Path, line: str, words: str) -> None:
    ((row, column, message),) = said(tmp_path, f"{STAGE}    {line}\n")
    assert words in message
    assert row == 7 + line.count("\n")
    assert column > 1


@pytest.mark.parametrize(
    ("stage", "fields"),
    [
        ("{target: kubernetes}", ["namespace", "registry"]),
        ("{target: kubernetes, namespace: '', registry: r}", ["namespace"]),
        ("{target: azureml, registry: r}", ["subscription", "resource_group", "workspace"]),
        ("{target: huggingface}", ["repository"]),
        ("{target: huggingface, repository: me/x, space: me/y}", ["registry"]),
        ("{target: local}", []),
    ],
)
def test_what_a_target_needs_is_missed_when_the_file_is_read(tmp_path: Path, stage: str, fields: list[str]) -> None:
    found = said(tmp_path, f"name: x\nstages:\n  production: {stage}\n")
    assert [m.split("`")[1] for _, _, m in found] == fields
    assert {(row, column) for row, column, _ in found} <= {(3, 3)}


def test_everything_is_said_at_once_beside_what_is_wrong_with_the_fields(tmp_path: Path) -> None:
    found = said(tmp_path, STAGE.replace("registry: ghcr.io/me", "registri: x") + "    memory: 2 Gi\n    cpu: many\n")
    words = " ".join(m for _, _, m in found)
    assert all(w in words for w in ("registri", "`registry` is missing", "`2 Gi`", "`many`"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("resources: {requests: {memory: 2 Gi}}", "no amount of memory"),
        ("resources: {limits: {cpu: two}}", "no number of processors"),
        ("resources: {limits: {nvidia.com/gpu: 0.5}}", "whole numbers"),
        ("resources: {limits: {gpu: 1}}", "knows no resource `gpu`"),
        ("resources: {more: {cpu: 1}}", "no `more`"),
        ("resources: {requests: {cpu: 2}, limits: {cpu: 1}}", "more `cpu` is asked for"),
        ("environment_variables: {'1 BAD': x}", "cannot name"),
        ("environment_variables: {A: __B__}", "__B__"),
    ],
)
def test_a_deployment_no_cluster_would_take_is_said_in_its_own_file(tmp_path: Path, line: str, words: str) -> None:
    ((row, _, message),) = said(tmp_path, f"{DEPLOYMENT}{line}\n", "deployment.yml")
    assert words in message
    assert row == 5


@pytest.mark.parametrize(
    ("text", "number"),
    [("250m", 0.25), ("2", 2), ("1e3", 1000), ("1Ki", 1024), ("1.5Gi", 1.5 * 2**30), ("1G", 1e9), ("2 Gi", None), ("Gi", None), ("-1", None)],
)  # fmt: skip
def test_a_quantity_is_read_as_kubernetes_reads_it(text: str, number: float | None) -> None:
    assert read_quantity(text) == number
