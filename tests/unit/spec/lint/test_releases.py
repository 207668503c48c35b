"""Which model is taken and registered, in the shape of the seeds' scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.base.findings import Severity
from tidemill.spec.lint.repository import lint_repository

WORKFLOW = ".github/workflows/ml.yaml"
POLLER = """import requests
release = requests.get("https://api.github.com/repos/me/ml/releases/{0}", timeout=9).json()
asset = next((a for a in release["assets"] if {1}), None)
"""
ALL = 'ALL=$(az ml model list --query "[].{name:name, version:version}" -o json 2>/dev/null)\n'
PICK = 'R=$(echo "$ALL" | python3 -c "import sys, json; m=json.load(sys.stdin); print(m[-1][\'name\'])")\n'
SDK = "from azure.ai.ml import MLClient\nmodels = list(client.models.list({0}))\nnewest = models[-1].name\n"
GUARD = """if az ml environment show --name train --version {0} &>/dev/null; then
  echo "exists"
else
  az ml {1} -f environment/train.yaml
fi
"""
ENVIRONMENT = "$schema: x\nname: train\n{0}image: mcr.microsoft.com/a:1\n"
REGISTER = "type: command\ninputs:\n  {0}:\n    type: uri_folder\noutputs:\n  registration_details_folder:\n    type: uri_folder\n"
PATH = "MODEL = '/app/model/digits/INPUT_model_path/cnn'\n"


def found(folder: Path, files: dict[str, str]) -> list[tuple[str, int, int, Severity]]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ours = {"TM-X06", "TM-X09", "TM-X12", "TM-X17"}
    findings = [f for _, f in lint_repository(folder, [folder]) if f.code in ours]
    return [(f.code, f.at.line, f.at.column, f.severity) for f in findings]


def workflow(script: str) -> str:
    lines = "".join(f"          {line}\n" for line in script.splitlines())
    return f"on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: |\n{lines}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (POLLER.format("latest", 'a["name"] == "mnist-model-2.zip"'), [("TM-X06", 3, 61, Severity.WARNING)]),
        (POLLER.format("latest", 'a.get("name") == "weights_v1.2.onnx"'), [("TM-X06", 3, 65, Severity.WARNING)]),
        (POLLER.format("latest", 'a["name"] == "model.zip"'), []),
        (POLLER.format("latest", 'a["name"].startswith("mnist-model-")'), []),
        (POLLER.format("tags/model-v2", 'a["name"] == "mnist-model-2.zip"'), []),
        (POLLER.format("latest", 'a["name"] == "tool-linux-64.zip"'), []),
    ],
)
def test_a_file_of_one_version_is_not_asked_of_the_newest_release(
    tmp_path: Path, text: str, expected: list[tuple[str, int, int, Severity]]
) -> None:
    assert found(tmp_path, {"poll.py": text}) == expected


def test_a_download_by_curl_is_seen_too(tmp_path: Path) -> None:
    url = "https://github.com/me/ml/releases/{0}/mnist-model-2.zip"
    files = {"a.sh": f"curl -fLO {url.format('latest/download')}\n", "b.sh": f"curl -fLO {url.format('download/v2')}\n"}
    assert [f[:2] for f in found(tmp_path, files)] == [("TM-X06", 1)]


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        (ALL + PICK, [2]),
        ('V=$(az ml model list --query "[0].name" -o tsv)\n', [1]),
        ('V=$(az ml model list \\\n  --resource-group g --query "[-1].name" -o tsv)\n', [2]),
        ('V=$(az ml model list --name digits --query "[0].name" -o tsv)\n', []),
        ("V=$(az ml model list --query \"[?name=='digits'] | [0].version\" -o tsv)\n", []),
        (ALL + 'echo "$ALL"\n', []),
        ("az ml model list -o table\nJ=$(curl x)\n" + PICK.replace("$ALL", "$J"), []),
        ('V=$(az ml component list --query "[0].name" -o tsv)\n', []),
    ],
)
def test_a_model_is_asked_for_by_name(tmp_path: Path, script: str, lines: list[int]) -> None:
    assert [f[:2] for f in found(tmp_path, {"get.sh": script})] == [("TM-X09", line) for line in lines]


def test_a_model_is_asked_for_by_name_in_workflows_and_python_too(tmp_path: Path) -> None:
    assert found(tmp_path / "w", {WORKFLOW: workflow(ALL + PICK)})[0][:2] == ("TM-X09", 8)
    assert found(tmp_path / "p", {"get.py": SDK.format("")})[0][:2] == ("TM-X09", 3)
    assert found(tmp_path / "n", {"get.py": SDK.format("name='digits'")}) == []
    assert found(tmp_path / "o", {"get.py": SDK.format("").replace("azure.ai.ml", "openai")}) == []


@pytest.mark.parametrize(
    ("script", "version", "expected"),
    [
        (GUARD.format("0.1.0", "environment create"), "version: 0.1.0\n", [(1, Severity.WARNING)]),
        (GUARD.format('"$VERSION"', "environment create"), "", []),
        (GUARD.format("0.1.0", "job create"), "version: 0.1.0\n", []),
        ('az ml environment create --file "$f" || echo "May already exist"\n', "", [(1, Severity.WARNING)]),
        (
            "az ml environment create -f environment/train.yaml || echo exists\n",
            "version: 1\n",
            [(1, Severity.WARNING)],
        ),
        ("az ml environment create -f environment/train.yaml || echo exists\n", "", []),
        ('az ml environment create -f environment/train.yaml --set version="$N"\n', "version: 1\n", []),
        ("az ml environment create -f ./environment/train.yaml\n", "version: 1\n", [(1, Severity.INFO)]),
        ("az ml environment create -f ./environment/train.yaml\n", "", []),
    ],
)
def test_a_changed_environment_is_not_kept_as_it_was(
    tmp_path: Path, script: str, version: str, expected: list[tuple[int, Severity]]
) -> None:
    files = {"setup.sh": script, "environment/train.yaml": ENVIRONMENT.format(version)}
    findings = found(tmp_path, files)
    assert [(f[1], f[3]) for f in findings] == expected
    assert {f[0] for f in findings} <= {"TM-X12"}


def test_a_script_that_skips_its_environment_is_seen(tmp_path: Path) -> None:
    script = 'if not run(["az", "ml", "{0}", "create", "--file", "e.yml"]):\n    print("{1} x:1 already exists. Skipping.")\n'
    assert found(tmp_path, {"a.py": script.format("environment", "Environment")})[0][:2] == ("TM-X12", 2)
    assert found(tmp_path, {"a.py": script.format("compute", "Compute")}) == []
    assert found(tmp_path, {"a.py": script.format("compute", "Conda environment")}) == []


def test_a_path_with_an_inputs_name_is_worth_a_word_and_a_warning_when_the_input_is_gone(tmp_path: Path) -> None:
    assert found(tmp_path / "a", {"api.py": PATH}) == [("TM-X17", 1, 28, Severity.INFO)]
    named = {"api.py": PATH, "register.yaml": REGISTER.format("model_path")}
    assert found(tmp_path / "b", named) == [("TM-X17", 1, 28, Severity.INFO)]
    renamed = {"api.py": PATH, "register.yaml": REGISTER.format("model")}
    assert found(tmp_path / "c", renamed) == [("TM-X17", 1, 28, Severity.WARNING)]
    assert found(tmp_path / "d", {"a.py": "t = os.environ['INPUT_TOKEN']\nINPUT_shape = (1, 2)\n"}) == []
