"""The main job: from a folder of YAML to a gated, served model, and back again when it turns bad."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Run
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow

TRAIN = """
import json, pickle, sys
from pathlib import Path
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
out = Path(sys.argv[1]); out.mkdir(parents=True, exist_ok=True)
strength = float(sys.argv[2])
data = load_iris()
model = LogisticRegression(C=strength, max_iter=500).fit(data.data, data.target)
accuracy = model.score(data.data, data.target)
(out / "model.pkl").write_bytes(pickle.dumps(model))
names = [str(n) for n in data.target_names]
columns = [{"name": n.replace(" (cm)", "").replace(" ", "_"), "type": "number"} for n in data.feature_names]
(out / "serving.json").write_text(json.dumps({"flavor": "sklearn", "classes": names, "columns": columns, "metrics": {"accuracy": accuracy}}))
row = data.data[0]
golden = {"inputs": [dict(zip([c["name"] for c in columns], map(float, row)))], "predictions": [names[int(model.predict([row])[0])]]}
(out / "golden.json").write_text(json.dumps(golden))
import mlflow
mlflow.log_metric("accuracy", accuracy)
mlflow.log_metric("fairness/accuracy_gap", 0.02)
"""
PIPELINE = """
type: pipeline
inputs: {strength: 1.0}
outputs: {details: {type: uri_folder}}
jobs:
  train:
    command: python train.py ${{outputs.model}} ${{inputs.strength}}
    code: ./src
    environment: azureml:any@latest
    inputs: {strength: "${{parent.inputs.strength}}"}
    outputs: {model: {type: uri_folder}}
  register:
    component: azureml://registries/azureml/components/register_model/versions/0.0.21
    inputs: {model_name: iris, model_type: custom_model, model_path: "${{parent.jobs.train.outputs.model}}"}
    outputs: {registration_details_folder: "${{parent.outputs.details}}"}
"""
PROJECT = """
name: iris
pipeline: pipeline.yml
model: iris
gates: ["metrics.accuracy >= 0.9"]
stages: {staging: {target: local, auth: none}}
"""
FIT = TRAIN.partition("import mlflow")[0]
UNGATED = PROJECT.replace('gates: ["metrics.accuracy >= 0.9"]\n', "")
FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text(TRAIN)
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    (tmp_path / "tidemill.yaml").write_text(PROJECT)
    return tmp_path


@pytest.fixture
def ungated(project: Path) -> Path:
    """Nothing is asked of its metrics, so it logs none: that is most of the time a training takes here."""
    (project / "src" / "train.py").write_text(FIT)
    (project / "tidemill.yaml").write_text(UNGATED)
    return project


def endpoint(tidemill: Run) -> dict[str, Any]:
    (found,) = json.loads(tidemill("status", "-o", "json").stdout)["endpoints"]
    return dict(found)


def ask(url: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{url}/predict", json.dumps(FLOWER).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return dict(json.load(answer))


def test_up_serves_then_changes_nothing_then_moves_on_fails_closed_and_rolls_back(tidemill: Run, project: Path) -> None:
    tidemill("up")
    first = endpoint(tidemill)
    assert set(first) >= {"name", "url", "stage", "state", "model", "version", "deployments"}
    assert (first["state"], first["version"]) == ("Healthy", "1")
    assert ask(first["url"])["prediction"] == "setosa"

    again = json.loads(tidemill("up", "-o", "json").stdout)
    assert again["changed"] is False
    assert endpoint(tidemill)["deployments"][0]["pid"] == first["deployments"][0]["pid"]

    (project / "pipeline.yml").write_text(PIPELINE.replace("strength: 1.0", "strength: 10.0"))
    tidemill("up")
    second = endpoint(tidemill)
    assert (second["version"], second["url"]) == ("2", first["url"])

    (project / "pipeline.yml").write_text(PIPELINE.replace("strength: 1.0", "strength: 0.00001"))
    failed = tidemill("up", code=1)
    assert "not passed: metrics.accuracy >= 0.9 (metrics.accuracy = " in failed.stderr
    assert ask(first["url"])["version"] == "2"

    (project / "pipeline.yml").write_text(PIPELINE.replace("strength: 1.0", "strength: 10.0"))
    tidemill("rollback")
    assert ask(first["url"])["version"] == "1"
    assert "held back" in tidemill("up").stdout
    assert ask(first["url"])["version"] == "1"
    tidemill("rollback", "--lift")
    tidemill("up")
    assert ask(first["url"])["version"] == "2"
    assert [r["version"] for r in json.loads(tidemill("history", "-o", "json").stdout)] == ["2", "1", "2", "1"]

    tidemill("down")
    assert json.loads(tidemill("status", "-o", "json").stdout) == {"endpoints": []}


def test_a_new_version_with_the_old_weights_is_called_that(tidemill: Run, ungated: Path) -> None:
    tidemill("up")
    again = FIT + '(out / "released.txt").write_text("model-v17")\n'
    (ungated / "src" / "train.py").write_text(again)
    said = tidemill("up").stdout
    assert "note: staging: version 2 has the weights of version 1: only INPUT_model_path/" in said
    assert "released.txt differ" in said
    assert endpoint(tidemill)["version"] == "2"
    assert "has the weights of" not in tidemill("up").stdout


def test_a_gate_on_a_metric_nobody_logged_does_not_pass(tidemill: Run, project: Path) -> None:
    (project / "tidemill.yaml").write_text(PROJECT.replace("metrics.accuracy", "metrics.acuracy"))
    failed = tidemill("up", code=1)
    assert "metrics.acuracy is missing" in failed.stderr
    assert "`accuracy`" in failed.stderr
    assert json.loads(tidemill("status", "-o", "json").stdout) == {"endpoints": []}


def test_what_was_killed_half_way_is_finished_by_the_next_up(tidemill: Run, ungated: Path) -> None:
    tidemill("up")
    url = endpoint(tidemill)["url"]
    (ungated / "pipeline.yml").write_text(PIPELINE.replace("strength: 1.0", "strength: 10.0"))
    tidemill("up", code=-9, TIDEMILL_FAILPOINT="version-started")
    assert ask(url)["version"] == "1"
    tidemill("up", code=-9, TIDEMILL_FAILPOINT="traffic-switched")
    assert ask(url)["version"] == "2"
    tidemill("up")
    assert [d["name"] for d in endpoint(tidemill)["deployments"]] == ["blue-2"]
    assert [r["version"] for r in json.loads(tidemill("history", "-o", "json").stdout)] == ["2", "1"]
    tidemill("rollback", code=-9, TIDEMILL_FAILPOINT="release-held")
    assert ask(url)["version"] == "2"
    assert "held back" in tidemill("up").stdout
    assert ask(url)["version"] == "1"
    assert [r["version"] for r in json.loads(tidemill("history", "-o", "json").stdout)] == ["1", "2", "1"]
    tidemill("rollback", code=1)
    assert ask(url)["version"] == "1"


def test_the_same_model_with_other_settings_is_deployed_too(tidemill: Run, ungated: Path) -> None:
    def up(mode: str, stage: str = "target: local, auth: none") -> bool:
        (ungated / "deployment.yml").write_text(
            f"name: blue\nendpoint_name: iris\nenvironment_variables: {{MODE: {mode}}}\n"
        )
        (ungated / "tidemill.yaml").write_text(
            UNGATED.replace("target: local, auth: none", stage) + "deployment: deployment.yml\n"
        )
        return bool(json.loads(tidemill("up", "-o", "json").stdout)["changed"])

    assert [up("fast"), up("fast"), up("slow"), up("slow")] == [True, False, True, False]
    port = int(endpoint(tidemill)["url"].rpartition(":")[2])
    elsewhere = f"target: local, auth: none, host: localhost, port: {port}"
    assert [up("slow", elsewhere), up("slow", elsewhere)] == [True, False]
    assert ask(f"http://localhost:{port}")["version"] == "1"


def test_a_stage_waits_for_somebody_other_than_the_author(tidemill: Run, ungated: Path) -> None:
    (ungated / "tidemill.yaml").write_text(UNGATED.replace("auth: none", "auth: none, approvals: 1"))
    ann, bob = {"TIDEMILL_USER": "ann"}, {"TIDEMILL_USER": "bob"}
    assert "0 of 1: nobody" in tidemill("up", code=1, **ann).stderr
    assert (
        "an author's approval does not count"
        in tidemill("promote", "--stage", "staging", "--approve", code=1, **ann).stderr
    )
    assert "0 of 1: nobody" in tidemill("up", code=1, **ann).stderr
    assert "1 of 1: bob" in tidemill("promote", "--stage", "staging", "--approve", **bob).stdout
    tidemill("up", **ann)
    (release,) = json.loads(tidemill("history", "-o", "json").stdout)
    assert (release["by"], release["approved_by"]) == ("ann", ["bob"])


def test_a_gate_may_ask_how_fast_and_how_fair_a_version_is(tidemill: Run, project: Path) -> None:
    gates = ["latency.p95_ms < 60000", "fairness.accuracy_gap < 0.05", "latency.p50_ms < 0.0001", "fairness.other < 1"]
    (project / "tidemill.yaml").write_text(PROJECT.replace('["metrics.accuracy >= 0.9"]', json.dumps(gates)))
    done = tidemill("gate", "-o", "json", code=1)
    verdicts = json.loads(done.stdout)
    assert [v["passed"] for v in verdicts] == [True, True, False, False]
    assert 0 < verdicts[0]["values"]["latency.p95_ms"] < 60_000
    assert "fairness.other is missing" in verdicts[3]["evidence"]
    assert "not passed: fairness.other < 1" in tidemill("gate", "--history").stdout


def test_history_answers_for_a_day_and_the_champion_is_compared_with_others_only(tidemill: Run, project: Path) -> None:
    rule = "metrics.accuracy > champion.metrics.accuracy"
    (project / "tidemill.yaml").write_text(PROJECT.replace("metrics.accuracy >= 0.9", rule))
    try:
        tidemill("up")
        assert "the version is the champion itself" in tidemill("up").stdout
        rows = json.loads(tidemill("history", "--at", "2999-01-01", "-o", "json").stdout)
        assert [(r["stage"], r["version"]) for r in rows] == [("staging", "1")]
        assert json.loads(tidemill("history", "--at", "2020-01-01", "-o", "json").stdout) == []
        assert "`yesterday` is no time" in tidemill("history", "--at", "yesterday", code=2).stderr
    finally:
        tidemill("down")
