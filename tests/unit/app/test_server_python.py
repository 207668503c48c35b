"""The Python a deployment's server runs in: the one its environment names, with the packages it pins."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.waiting import PATIENCE_S
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.backends.environments.venv import find_python
from tidemill.cli.main import run_command_line

pytestmark = pytest.mark.filterwarnings("ignore")

SCORE = """
import json, sys, numpy
def init(): pass
def run(raw):
    return {"python": list(sys.version_info[:2]), "numpy": numpy.__version__, "sum": float(numpy.array(json.loads(raw)["data"]).sum())}
"""
DEPLOYMENT = """
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: old
model: {path: model.txt}
code_configuration: {code: scoring, scoring_script: score.py}
environment: {image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04, conda_file: conda.yaml}
instance_type: Standard_DS2_v2
instance_count: 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10"])
def test_a_deployment_of_an_older_python_serves_with_the_very_packages_it_pins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    if find_python(version) == version:
        pytest.skip(f"there is no Python {version} here")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scoring").mkdir()
    (tmp_path / "scoring" / "score.py").write_text(SCORE)
    (tmp_path / "model.txt").write_text("any")
    (tmp_path / "blue.yml").write_text(DEPLOYMENT)
    (tmp_path / "conda.yaml").write_text(f"name: m\ndependencies: [python={version}, numpy=1.23.5]\n")
    assert run_command_line(["online-endpoint", "create", "-n", "old", "--auth-mode", "none", "-o", "none"]) == 0
    try:
        assert run_command_line(["online-deployment", "create", "-f", "blue.yml", "-o", "none"]) == 0
        with open_app(read_settings()) as app:
            url = app.target.observe("old")["url"]

        def ask(number: int) -> object:
            body = json.dumps({"data": [number, 1]}).encode()
            return json.load(
                urlopen(Request(f"{url}/score", body, {"content-type": "application/json"}), timeout=PATIENCE_S)
            )

        with ThreadPoolExecutor(12) as pool:
            said = list(pool.map(ask, range(60)))
    finally:
        assert run_command_line(["online-endpoint", "delete", "-n", "old", "-y"]) == 0
    python = [int(n) for n in version.split(".")]
    assert said == [{"python": python, "numpy": "1.23.5", "sum": n + 1.0} for n in range(60)]
