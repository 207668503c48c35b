"""What happens to an endpoint and its deployments when commands meet, fail or come after a crash."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.waiting import PATIENCE_S
from tidemill.app.settings import read_settings
from tidemill.app.wiring import open_app
from tidemill.base import proc
from tidemill.base.clock import SystemClock
from tidemill.cli.main import run_command_line

pytestmark = pytest.mark.filterwarnings("ignore")

SCORE = """
import os
def init():
    assert os.environ["COLOUR"] != "broken", "cannot be"
def run(raw):
    return os.environ["COLOUR"]
"""
DEPLOYMENT = """
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: colours
model: {name: m, version: 7, path: model.txt}
code_configuration: {code: scoring, scoring_script: score.py}
environment: {image: mcr.microsoft.com/azureml/minimal}
environment_variables: {COLOUR: blue}
instance_type: Standard_DS2_v2
instance_count: 1
"""
OWN_SERVER = """
name: blue
endpoint_name: colours
model: {path: model.txt}
environment: {image: tensorflow/serving, inference_config: {scoring_route: {port: 8501, path: /v1}}}
instance_type: Standard_DS2_v2
instance_count: 1
"""


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An endpoint without deployments, asking for no key."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scoring").mkdir()
    (tmp_path / "scoring" / "score.py").write_text(SCORE)
    for name, text in (("model.txt", "any"), ("blue.yml", DEPLOYMENT), ("own.yml", OWN_SERVER)):
        (tmp_path / name).write_text(text)
    assert run("create", "-n", "colours", "--auth-mode", "none") == 0
    yield tmp_path
    run("delete", "-n", "colours", "-y")


def run(verb: str, *argv: str) -> int:
    return run_command_line(["online-endpoint", verb, *argv, "-o", "none"])


def deploy(colour: str, *argv: str, verb: str = "create") -> int:
    words = ["-f", "blue.yml", "-n", colour, "--set", f"environment_variables.COLOUR={colour}", "-o", "none"]
    return run_command_line(["online-deployment", verb, *words, *argv])


def observed() -> dict[str, Any]:
    with open_app(read_settings()) as app:
        return dict(app.target.observe("colours"))


def desired() -> dict[str, Any]:
    with open_app(read_settings()) as app:
        return dict(app.target.desired("colours"))


def ask(**headers: str) -> str:
    request = Request(f"{observed()['url']}/score", b"{}", {k.replace("_", "-"): v for k, v in headers.items()})
    return str(json.load(urlopen(request, timeout=PATIENCE_S)))


def refused(**headers: str) -> tuple[int, str]:
    with pytest.raises(HTTPError) as caught:
        ask(**headers)
    return caught.value.code, json.loads(caught.value.read())["detail"]


def test_what_cannot_be_is_refused_before_anything_is_started(
    endpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("../evil", "bad name", "a", "9abc", "x" * 33, "end-"):
        assert run("create", "-n", name) == 2, name
        assert deploy("blue", "-n", name) == 2, name
    assert not (endpoint / ".tidemill" / "evil").exists()
    assert deploy("blue", "-e", "colour") == 1
    assert "There is no online endpoint `colour`" in capsys.readouterr().err
    assert deploy("blue", verb="update") == 1
    (endpoint / "other.yml").write_text("name: other\nauth_mode: key\n")
    assert run("update", "-f", "other.yml") == 1, "what was never created cannot be updated"
    assert run("update", "-n", "colours", "--traffic", "") == 2
    capsys.readouterr()
    assert run_command_line(["online-deployment", "create", "-f", "own.yml"]) == 2
    assert "`tensorflow/serving`; here there are no containers" in capsys.readouterr().err
    assert run("get-credentials", "-n", "colours") == 2, "it asks for none"
    assert deploy("blue", "--set", "instance_count=0") == 2
    assert desired()["deployments"] == {}


def test_an_endpoint_listens_from_the_start_and_says_who_would_answer(
    endpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert observed()["state"] == "NoDeployment"
    url = observed()["url"]
    assert refused()[0] == 404
    assert deploy("blue") == 0
    assert (observed()["url"], ask()) == (url, "blue")
    argv = ["online-deployment", "show", "-e", "colours", "-n", "blue"]
    capsys.readouterr()
    assert run_command_line(argv) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["environment"] == {"image": "mcr.microsoft.com/azureml/minimal"}
    assert shown["instance_type"] == "Standard_DS2_v2"
    assert deploy("blue", "--set", "environment=azureml:unknown:1", verb="update") == 0
    assert "`azureml:unknown:1` is not registered here; the deployment runs in this Python" in capsys.readouterr().err
    assert desired()["deployments"]["blue"]["version"] == "7"
    assert refused(azureml_model_deployment="green") == (404, "There is no deployment `green` behind this endpoint")
    assert run("update", "-n", "colours", "--traffic", "blue=0") == 0
    assert "No deployment gets traffic" in refused()[1]
    assert ask(azureml_model_deployment="blue") == "blue"
    assert observed()["state"] == "NoTraffic"


def test_deployments_made_at_the_same_time_are_both_there(endpoint: Path) -> None:
    argv = [sys.executable, "-m", "tidemill", "online-deployment", "create", "-f", "blue.yml", "-o", "none"]
    started = [proc.start([*argv, "-n", n], cwd=endpoint, env=dict(os.environ)) for n in ("one", "two", "three")]
    assert [p.wait(PATIENCE_S) for p in started] == [0, 0, 0]
    assert sorted(desired()["deployments"]) == ["one", "three", "two"]
    assert sorted(desired()["traffic"].values()) == [100], "the first alone has it all"
    assert ask() == "blue"


def test_a_start_that_fails_takes_back_itself_alone(endpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy("broken") == 1
    said = capsys.readouterr().err
    assert "did not start: score.py could not start: " in said
    assert "cannot be" in said
    assert "All it said is in" in said
    assert "previous" not in said
    assert deploy("blue") == 0
    assert deploy("blue", "--set", "environment_variables.COLOUR=broken", verb="update") == 1
    assert "The previous version is still serving." in capsys.readouterr().err
    assert ask() == "blue"
    assert list(desired()["deployments"]) == ["blue"]


def test_a_deployment_that_is_broken_gets_no_traffic_and_its_last_words_say_why(
    endpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy("blue") == 0
    broken = {"argv": [sys.executable, "-c", "raise SystemExit('it cannot be')"], "cwd": str(endpoint)}
    with open_app(read_settings()) as app:
        asked = app.target.desired("colours")
        app.target.put("colours", {**asked, "deployments": {**asked["deployments"], "green": broken}})
    while not observed()["deployments"]["green"]["last_error"]:
        SystemClock().sleep(0.05)
    capsys.readouterr()
    assert run("update", "-n", "colours", "--traffic", "blue=50 green=50") == 1
    assert "`green` is not ready, and would lose 50 % of the requests: it cannot be" in capsys.readouterr().err
    assert (desired()["traffic"], ask()) == ({"blue": 100}, "blue")
    assert run("update", "-n", "colours", "--traffic", "blue=100 green=0") == 0


@contextlib.contextmanager
def listening(port: int) -> Iterator[None]:
    """Hold a port; another program of this machine may have it for a moment as its own end of a connection."""
    while True:
        try:
            other = socket.create_server(("127.0.0.1", port))
        except OSError:
            SystemClock().sleep(0.05)
        else:
            break
    with other:
        yield


def test_after_the_machine_went_down_the_next_command_brings_the_endpoint_back(
    endpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy("blue") == 0
    before = observed()
    for pid in (before["pid"], before["deployments"]["blue"]["pid"]):
        os.kill(pid, signal.SIGKILL)
    clock = SystemClock()
    while observed()["state"] != "Stopped":
        clock.sleep(0.05)
    capsys.readouterr()
    assert run_command_line(["online-endpoint", "invoke", "-n", "colours"]) == 0
    assert capsys.readouterr().out == '"blue"\n'
    assert observed()["url"] == before["url"]

    os.kill(observed()["pid"], signal.SIGKILL)
    while observed()["state"] != "Stopped":
        clock.sleep(0.05)
    port = int(before["url"].rpartition(":")[2])
    with listening(port):
        assert run("show", "-n", "colours") == 0, "another program has its port: it takes a new one"
        assert observed()["url"] != before["url"]
        assert run("invoke", "-n", "colours") == 0


def test_keys_are_renewed_one_by_one_and_end_with_their_endpoint(endpoint: Path) -> None:
    def keys() -> list[str]:
        return (endpoint / ".tidemill" / "endpoints" / "locked" / "tokens").read_text().split()

    assert run("create", "-n", "locked") == 0
    first, second = keys()
    assert run("regenerate-keys", "-n", "locked", "--key-type", "secondary") == 0
    assert (keys()[0], keys()[1] != second) == (first, True)
    second = keys()[1]
    assert run("regenerate-keys", "-n", "locked", "--key-type", "primary") == 0
    assert (keys()[1], keys()[0] != first) == (second, True)
    first = keys()[0]
    assert run("regenerate-keys", "-n", "locked") == 0
    assert keys()[1] == first, "unless one is named, the old first key stays valid"
    old = keys()
    assert run("delete", "-n", "locked", "-y") == 0
    assert run("create", "-n", "locked") == 0
    assert not set(old) & set(keys())
    assert run("delete", "-n", "locked", "-y") == 0
