"""A version that does badly under traffic on Azure is taken away and stays out, as it does everywhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.backends.fake_rest import Asked, Fake, Reply, served
from tests.unit.backends.test_azureml_target import IMAGE, Workspace
from tidemill.app.candidate import Candidate
from tidemill.app.releases import history, holds, lift
from tidemill.app.rollback import rollback
from tidemill.app.settings import Settings
from tidemill.app.up import UpResult, require_project, up
from tidemill.app.wiring import App, open_app
from tidemill.base.errors import FailedError
from tidemill.plan.graph import HOST_ENVIRONMENT
from tidemill.record.ports import ModelRequest

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
PROJECT = """
name: digits
stages:
  production: {target: azureml, registry: me.azurecr.io, subscription: s, resource_group: g, workspace: w, strategy: canary, steps: [20], bake_s: 0.02}
"""
ENDPOINT = "onlineEndpoints/digits"


class Busy(Workspace):
    """A workspace in which a version may be good when it is tried and bad once it has traffic."""

    def __init__(self) -> None:
        super().__init__()
        self.bad = ""

    def __call__(self, asked: Asked) -> Reply:
        self.polls = 1  # its operations are done at once
        named = asked.headers.get("azureml-model-deployment", "")
        if asked.path == "/score" and named and named == self.bad and self.traffic().get(named):
            return 500, {}, {"error": "out of memory"}
        if asked.method == "PUT" and asked.path.partition("?")[0].endswith(ENDPOINT):
            shares = asked.json()["properties"].get("traffic", {})
            if sum(shares.values()) not in {0, 100}:
                return 400, {}, {"error": {"message": "traffic must sum to 0 or 100"}}
        return super().__call__(asked)

    def traffic(self) -> dict[str, int]:
        return dict(self.kept.get(ENDPOINT, {}).get("properties", {}).get("traffic", {}))

    def standing(self) -> list[str]:
        return sorted(k.rpartition("/")[2] for k in self.kept if "/deployments/" in k)


class Cloud:
    def __init__(self, app: App, folder: Path, azure: Busy, fake: Fake) -> None:
        self.app, self.folder, self.azure, self.fake = app, folder, azure, fake
        self.said: list[str] = []
        self.candidates: list[Candidate] = []
        for words in ("one", "two"):
            (folder / words).mkdir()
            (folder / words / "w.txt").write_text(words)
            (folder / words / "golden.json").write_text(json.dumps({"inputs": [[1]], "predictions": [1]}))
            version = app.registry.register(ModelRequest("digits", folder / words))
            job: Any = SimpleNamespace(name="job")
            self.candidates.append(Candidate(version, job, ran=False, environment=HOST_ENVIRONMENT))

    def up(self, version: int, monkeypatch: pytest.MonkeyPatch) -> UpResult:
        monkeypatch.setattr("tidemill.app.up.make_candidate", lambda *_, **__: self.candidates[version - 1])
        return up(self.app, until=None, observers=[], say=self.said.append)

    def served(self) -> tuple[dict[str, int], list[str]]:
        return self.azure.traffic(), self.azure.standing()


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    told = "deployment: deployment.yml\n" if (tmp_path / "deployment.yml").exists() else ""
    (tmp_path / "tidemill.yaml").write_text(PROJECT + told)
    azure = Busy()
    with served(azure) as fake, open_app(Settings(tmp_path, tmp_path / ".tidemill")) as app:
        azure.url = fake.url
        monkeypatch.setenv("TIDEMILL_AZURE_MANAGEMENT", fake.url)
        monkeypatch.setenv("TIDEMILL_AZURE_TOKEN", "t")
        monkeypatch.setattr("tidemill.backends.azure.workspace.POLL_S", 0.01)
        image = SimpleNamespace(reference=IMAGE)
        monkeypatch.setattr("tidemill.app.deploy_azureml.build_image", lambda *_: image)
        yield Cloud(app, tmp_path, azure, fake)


def test_what_fails_under_traffic_is_held_back_and_no_up_brings_it_in_until_it_is_lifted(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.up(1, monkeypatch)
    assert cloud.served() == ({"blue-1": 100}, ["blue-1"])
    cloud.azure.bad = "blue-2"
    with pytest.raises(FailedError, match="did badly under traffic") as failed:
        cloud.up(2, monkeypatch)
    assert "tidemill rollback --lift --stage production" in failed.value.hint
    assert cloud.served() == ({"blue-1": 100}, ["blue-1"])
    assert [r["version"] for r in holds(cloud.app)] == ["2"]
    cloud.azure.bad = ""
    for _ in range(3):
        cloud.fake.asked.clear()
        assert "held back" in cloud.up(2, monkeypatch).notes[0]
        assert not [a for a in cloud.fake.asked if a.method in {"PUT", "DELETE"}]
    assert cloud.served() == ({"blue-1": 100}, ["blue-1"])
    assert lift(cloud.app, "production")
    cloud.up(2, monkeypatch)
    assert cloud.served() == ({"blue-2": 100}, ["blue-2"])


def test_a_canary_that_was_killed_is_put_back_whole_when_its_version_then_fails(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.up(1, monkeypatch)
    cloud.azure.kept[ENDPOINT]["properties"]["traffic"] = {"blue-1": 80, "blue-2": 20}
    cloud.azure.bad = "blue-2"
    with pytest.raises(FailedError):
        cloud.up(2, monkeypatch)
    assert cloud.served() == ({"blue-1": 100}, ["blue-1"])


def test_what_a_killed_up_left_standing_is_taken_away_by_the_next(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.up(1, monkeypatch)
    cloud.azure.kept[f"{ENDPOINT}/deployments/blue-0"] = cloud.azure.kept[f"{ENDPOINT}/deployments/blue-1"]
    assert not cloud.up(1, monkeypatch).changed
    assert cloud.served() == ({"blue-1": 100}, ["blue-1"])


def test_a_rollback_is_away_from_what_serves_in_fact_and_holds(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.up(1, monkeypatch)
    with monkeypatch.context() as killed:
        killed.setattr("tidemill.app.up._record", lambda *_: None)
        cloud.up(2, monkeypatch)
    stage = require_project(cloud.app).document.stages["production"]
    back = rollback(cloud.app, require_project(cloud.app), "production", stage, reason="bad", say=cloud.said.append)
    assert back["version"] == "1"
    assert cloud.served() == ({"blue-1": 100}, ["blue-1"])
    assert history(cloud.app, "production")[0]["version"] == "1"
    assert "held back" in cloud.up(2, monkeypatch).notes[0]


def test_what_a_killed_up_did_not_write_down_is_written_down_with_the_image_it_runs(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr("tidemill.app.up._record", lambda *_: None)
        cloud.up(1, monkeypatch)
    cloud.up(1, monkeypatch)
    (release,) = history(cloud.app, "production")
    assert (release["version"], release["image"]) == ("1", IMAGE)


DOCUMENT = """
name: blue
endpoint_name: digits
code_configuration: {code: ./src, scoring_script: score.py}
environment: ./environment.yml
environment_variables: {MODE: fast}
instance_type: Standard_F4s_v2
instance_count: 2
request_settings: {request_timeout_ms: 2500}
readiness_probe: {initial_delay: 5, period: 10}
"""


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path
    (folder / "src").mkdir()
    (folder / "src" / "score.py").write_text("def init(): ...\n")
    (folder / "deployment.yml").write_text(DOCUMENT)
    (folder / "environment.yml").write_text("name: e\nimage: i\nconda_file: conda.yaml\n")
    (folder / "conda.yaml").write_text("dependencies: [python=3.11, pip: [numpy==2.0.0]]\n")
    return folder


def test_the_document_says_how_a_deployment_is_made_there(
    documents: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    del documents
    cloud.up(1, monkeypatch)
    made = cloud.azure.kept[f"{ENDPOINT}/deployments/blue-1"]
    asked = made["properties"]
    assert (made["sku"]["capacity"], asked["instanceType"]) == (2, "Standard_F4s_v2")
    assert asked["environmentVariables"] == {"MODE": "fast"}
    assert asked["requestSettings"] == {"requestTimeout": "PT2.5S"}
    assert asked["readinessProbe"] == {"initialDelay": "PT5S", "period": "PT10S"}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("src/score.py", "...", "print()"),
        ("conda.yaml", "2.0.0", "2.0.1"),
        ("deployment.yml", "fast", "slow"),
        ("deployment.yml", "F4s", "F8s"),
        ("deployment.yml", "period: 10", "period: 20"),
    ],
)
def test_the_same_model_otherwise_served_comes_beside_the_old_once(
    documents: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str
) -> None:
    cloud.up(1, monkeypatch)
    assert not cloud.up(1, monkeypatch).changed
    text = (documents / file).read_text()
    (documents / file).write_text(text.replace(old, new))
    assert cloud.up(1, monkeypatch).changed
    (name,) = cloud.azure.standing()
    assert name.startswith("blue-1-")
    assert cloud.azure.traffic() == {name: 100}
    assert any(f"{name} takes 20 %" in words for words in cloud.said), "in the stage's steps"
    assert not cloud.up(1, monkeypatch).changed
    (documents / file).write_text(text)
    assert cloud.up(1, monkeypatch).deployed[0].deployment == "blue-1", "back to the first settings"


def test_another_number_of_instances_changes_what_serves_where_it_is(
    documents: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.up(1, monkeypatch)
    (documents / "deployment.yml").write_text(DOCUMENT.replace("count: 2", "count: 3"))
    assert cloud.up(1, monkeypatch).changed
    assert cloud.served() == ({"blue-1": 100}, ["blue-1"])
    assert cloud.azure.kept[f"{ENDPOINT}/deployments/blue-1"]["sku"]["capacity"] == 3
    assert not cloud.up(1, monkeypatch).changed


def test_other_settings_that_fail_leave_what_served(
    documents: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.up(1, monkeypatch)
    (documents / "deployment.yml").write_text(DOCUMENT.replace("fast", "slow"))
    cloud.azure.fails = "the container ended"
    with pytest.raises(FailedError, match="the container ended"):
        cloud.up(1, monkeypatch)
    assert cloud.served() == ({"blue-1": 100}, ["blue-1"])


def test_a_rollback_brings_the_settings_back_with_the_version(
    documents: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.up(1, monkeypatch)
    (documents / "deployment.yml").write_text(DOCUMENT.replace("fast", "slow").replace("count: 2", "count: 1"))
    cloud.up(2, monkeypatch)
    project = require_project(cloud.app)
    rollback(cloud.app, project, "production", project.document.stages["production"], reason="bad", say=print)
    made = cloud.azure.kept[f"{ENDPOINT}/deployments/blue-1"]
    assert (made["sku"]["capacity"], made["properties"]["environmentVariables"]) == (2, {"MODE": "fast"})
