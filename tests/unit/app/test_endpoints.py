"""Online endpoints in az's words: which deployment answers whom, and what is left of one that is deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.waiting import PATIENCE_S
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.cli.main import run_command_line

pytestmark = pytest.mark.filterwarnings("ignore")

ENDPOINT = """
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json
name: churn
auth_mode: key
properties: {sticky_header: x-user}
"""
DEPLOYMENT = """
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: churn
model: {path: model.txt}
code_configuration: {code: scoring, scoring_script: score.py}
environment: {image: mcr.microsoft.com/azureml/minimal}
instance_type: Standard_DS2_v2
instance_count: 1
"""


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An endpoint with the deployments blue and green."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scoring").mkdir()
    (tmp_path / "scoring" / "score.py").write_text("def init(): pass\ndef run(raw): return 'scored'\n")
    for name, text in (("model.txt", "any"), ("endpoint.yml", ENDPOINT), ("blue.yml", DEPLOYMENT)):
        (tmp_path / name).write_text(text)
    (tmp_path / "tidemill.yaml").write_text("name: churn\nstages: {here: {target: local, capture: {mask: salary}}}\n")
    assert run_command_line(["online-endpoint", "create", "-f", "endpoint.yml", "-o", "none"]) == 0
    for name in ("blue", "green"):
        argv = ["online-deployment", "create", "-f", "blue.yml", "-n", name, "-o", "none"]
        assert run_command_line(argv) == 0
    yield tmp_path
    assert run_command_line(["online-endpoint", "delete", "-n", "churn", "-y"]) == 0


def update(*argv: str) -> int:
    return run_command_line(["online-endpoint", "update", "-n", "churn", "-o", "none", *argv])


def desired() -> dict[str, Any]:
    with open_app(read_settings()) as app:
        return dict(app.target.desired("churn"))


def answerers(key: str, header: str) -> set[str]:
    """Who answered twelve requests of one key."""
    with open_app(read_settings()) as app:
        url, token = (
            app.target.observe("churn")["url"],
            Path(app.target.desired("churn")["tokens"]).read_text().split()[0],
        )
    headers = {"authorization": f"Bearer {token}", header: key}
    asked = (Request(f"{url}/score", b"{}", headers) for _ in range(12))
    return {urlopen(request, timeout=PATIENCE_S).headers["azureml-model-deployment"] for request in asked}


def test_keys_stick_a_name_nobody_has_is_said_and_what_is_deleted_gets_nothing(
    two: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (two / "row.json").write_text("{}")
    assert update("--traffic", "blue=50 green=50") == 0
    sticky = [answerers(f"user-{i}", "x-user") for i in range(6)]
    assert all(len(found) == 1 for found in sticky), "one key, one deployment"
    assert set().union(*sticky) == {"blue", "green"}
    assert len(answerers("user-1", "x-other")) == 2, "another header is no key"
    assert update("--set", "properties.sticky_header=x-other") == 0
    assert desired()["sticky_header"] == "x-other"

    capsys.readouterr()
    assert run_command_line(["online-endpoint", "invoke", "-n", "churn", "-r", "row.json", "-d", "green"]) == 0
    assert json.loads(capsys.readouterr().out) == "scored"
    assert run_command_line(["online-endpoint", "invoke", "-n", "churn", "-r", "row.json", "-d", "gren"]) != 0
    assert "Did you mean `green`?" in capsys.readouterr().err

    assert "--capture-mask" in desired()["deployments"]["green"]["argv"], "as the project's local stage says"
    assert update("--traffic", "blue=100 green=0", "--mirror-traffic", "green=10") == 0
    assert run_command_line(["online-deployment", "delete", "-e", "churn", "-n", "green", "-y"]) == 0
    assert (desired()["traffic"], desired()["mirror_traffic"]) == ({"blue": 100}, {})
