"""A scoring script that turned out bad is rolled back like a model, and its model is let in with a better one."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.conftest import Run
from tests.e2e.test_up import FIT, PIPELINE, UNGATED

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
DEPLOYMENT = """
name: blue
endpoint_name: iris
model: azureml:iris@latest
code_configuration: {code: scoring, scoring_script: score.py}
instance_type: Standard_DS2_v2
instance_count: 1
"""
SCORE = """
def init(): ...
def run(raw): return {"word": "%s"}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder, file, text in (("src", "train.py", FIT), ("scoring", "score.py", SCORE % "one")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text(text)
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    (tmp_path / "deployment.yml").write_text(DEPLOYMENT)
    (tmp_path / "sample.json").write_text("{}")
    (tmp_path / "tidemill.yaml").write_text(f"{UNGATED}deployment: deployment.yml\nsample_request: sample.json\n")
    return tmp_path


def test_the_code_of_before_serves_again_and_only_the_bad_code_is_kept_out(project: Path, tidemill: Run) -> None:
    def up(word: str) -> str:
        (project / "scoring" / "score.py").write_text(SCORE % word)
        done = tidemill("up")
        return done.stdout + done.stderr

    def word() -> str:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/score", b"{}"), timeout=30) as answer:
            return str(json.load(answer)["word"])

    up("one")
    url = json.loads(tidemill("status", "-o", "json").stdout)["endpoints"][0]["url"]
    up("bad")
    assert word() == "bad"
    said = tidemill("rollback", "--reason", "wrong word").stderr
    assert "putting back iris:1 with the scoring code it had" in said
    assert word() == "one"

    said = up("bad")
    assert "version 1 with this scoring code is held back" in said
    assert "wrong word" in said
    assert word() == "one"
    up("better")
    assert word() == "better"
    released = json.loads(tidemill("history", "-o", "json").stdout)
    assert [r["event"] for r in released] == ["release", "rollback", "release", "release"]
