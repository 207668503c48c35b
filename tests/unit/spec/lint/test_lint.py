"""Each mistake of the real projects is found at its line; its right form is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.spec.lint.repository import lint_repository

WORKFLOW = ".github/workflows/ci.yml"
HEAD = "on: push\njobs:\n  train:\n    runs-on: ubuntu-24.04\n    steps:\n"
DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {{name: api}}
spec:
  template:
    metadata: {{labels: {{app: api}}}}
    spec:
      containers:
        - name: api
          image: {image}
          ports: [{{containerPort: 8000}}]
          readinessProbe: {{httpGet: {{path: /readyz, port: 8000}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: api}}
spec:
  selector: {{app: api}}
  ports: [{{port: 80, targetPort: {port}}}]
"""
GOOD_IMAGE = "ghcr.io/me/api@sha256:" + "a" * 64


def codes(folder: Path) -> list[tuple[str, int]]:
    taste = {"TM-X60", "TM-X61"}  # test_safety
    return sorted((f.code, f.at.line) for _, f in lint_repository(folder, [folder]) if f.code not in taste)


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("name", "wrong", "right", "expected"),
    [
        (WORKFLOW, HEAD + "      - uses: actions/checkout@v4\n", HEAD + f"      - uses: actions/checkout@{'a' * 40}\n", ("TM-X35", 6)),
        (WORKFLOW, HEAD + "      - run: az ml components create -f c.yml\n", HEAD + "      - run: az ml component create -f c.yml\n", ("TM-X14", 6)),
        (WORKFLOW, HEAD + "      - run: make\n        continue-on-error: true\n", HEAD + "      - run: make\n", ("TM-X34", 7)),
        (WORKFLOW, HEAD + "      - run: az ml compute start -n c || echo OK\n", HEAD + "      - run: az ml compute start -n c || az ml compute show -n c\n", ("TM-X34", 6)),
        (WORKFLOW, HEAD + "      - run: |\n          C='${{ secrets.CREDS }}'\n", HEAD + "      - run: echo hi\n        env: {C: '${{ secrets.CREDS }}'}\n", ("TM-X32", 7)),
        (WORKFLOW, HEAD + "      - run: make\n        if: inputs.skip_training\n", HEAD + "      - run: make\n        if: ${{ !inputs.skip_training }}\n", ("TM-X28", 7)),
        ("get.sh", 'V=$(az ml model list -n a --query "[0].version" -o tsv)\n', "V=$(az ml model show -n a --label latest --query version -o tsv)\n", ("TM-X08", 1)),
        ("get.sh", "az ml model download -n a --version latest\n", "az ml model download -n a --label latest\n", ("TM-X10", 1)),
        ("run.sh", "az ml job create -f j.yml\naz ml job download -n x\n", "az ml job create -f j.yml --stream\naz ml job download -n x\n", ("TM-X01", 1)),
        ("Dockerfile", "FROM python:latest\n", "FROM python:3.11.9-slim\n", ("TM-X35", 1)),
        ("Dockerfile", "FROM python:3.11.9\nCOPY model/ /app\n", "FROM python:3.11.9\nCOPY . /app\n", ("TM-X04", 2)),
        ("k8s/d.yml", DEPLOYMENT.format(image="ghcr.io/me/api:main", port=8000), DEPLOYMENT.format(image=GOOD_IMAGE, port=8000), ("TM-X05", 10)),
        ("k8s/d.yml", DEPLOYMENT.format(image="ghcr.io/${OWNER}/api", port=8000), DEPLOYMENT.format(image=GOOD_IMAGE, port=8000), ("TM-X21", 10)),
        ("k8s/d.yml", DEPLOYMENT.format(image=GOOD_IMAGE, port=8080), DEPLOYMENT.format(image=GOOD_IMAGE, port=8000), ("TM-X36", 19)),
        ("k8s/d.yml", DEPLOYMENT.format(image=GOOD_IMAGE, port=8000).replace("readinessProbe", "startupProbe"), DEPLOYMENT.format(image=GOOD_IMAGE, port=8000), ("TM-X42", 9)),
        ("t.py", "from azureml.core import Run\n", "import mlflow\n", ("TM-X45", 1)),
        ("m.py", "uvicorn.run('m:app', reload=True)\n", "uvicorn.run('m:app')\n", ("TM-X46", 1)),
        ("p.py", "try:\n    load()\nexcept Exception:\n    pass\n", "try:\n    load()\nexcept OSError:\n    pass\n", ("TM-X34", 3)),
        ("z.py", "archive.extractall(target)\n", "archive.extractall(target, filter='data')\n", ("TM-X39", 1)),
        ("a.py", "add(CORS, allow_origins=['*'], allow_credentials=True)\n", "add(CORS, allow_origins=['*'])\n", ("TM-X47", 1)),
        ("c.sh", "az x --id /subscriptions/01234567-89ab-cdef-0123-456789abcdef\n", "az x --id /subscriptions/$SUB\n", ("TM-X44", 1)),
    ],
)  # fmt: skip
def test_the_mistake_is_found_and_its_right_form_is_not(
    tmp_path: Path, name: str, wrong: str, right: str, expected: tuple[str, int]
) -> None:
    write(tmp_path, name, wrong)
    assert codes(tmp_path) == [expected]
    write(tmp_path, name, right)
    assert codes(tmp_path) == []


@pytest.mark.parametrize("text", ["\x00\x01", "jobs: [", "def broken(:\n", "apiVersion: v1\nkind: [\n"])
def test_broken_files_are_left_to_their_own_tools(tmp_path: Path, text: str) -> None:
    for name in ("a.py", "b.yml", ".github/workflows/c.yml", "Dockerfile", "d.sh"):
        write(tmp_path, name, text)
    assert codes(tmp_path) == []
