"""A promotion killed in its last bake is watched on for the time it had left, or undone, by the next command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.app.fake_cluster import FakeCluster
from tests.unit.app.test_deploy_azureml import Cloud, cloud
from tidemill.app.bakes import BAKES, find_bake
from tidemill.app.candidate import Candidate
from tidemill.app.images import Images
from tidemill.app.releases import history, holds
from tidemill.app.rollback import rollback
from tidemill.app.settings import Settings
from tidemill.app.up import UpResult, require_project, up
from tidemill.app.wiring import App, open_app
from tidemill.base.errors import FailedError
from tidemill.plan.graph import HOST_ENVIRONMENT
from tidemill.record.ports import ModelRequest
from tidemill.release.pod_counts import PodCounts
from tidemill.release.workload import Workload

__all__ = ["cloud"]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
PROJECT = """
name: digits
stages:
  production: {target: kubernetes, namespace: ns, registry: "127.0.0.1:5000", bake_s: 0.05}
"""


class Killed(BaseException):
    """As `kill -9` where nothing is cleaned up any more."""


def kill_at(monkeypatch: pytest.MonkeyPatch, module: str, name: str, count: int = 1) -> None:
    left = [count]

    def die(passed: str) -> None:
        left[0] -= passed == name
        if left[0] == 0 and passed == name:
            raise Killed(name)

    monkeypatch.setattr(f"tidemill.app.{module}.failpoint", die)


class Counting(FakeCluster):
    """A cluster whose versions count requests: those of `bad` ones fail once they have the traffic."""

    bad: str = ""

    def counts(self, workload: Workload) -> dict[str, Any]:
        taken = self.selected == workload.deployment
        return {"pod": PodCounts(answered=30 * taken, errors=30 * (taken and self.bad == workload.deployment))}


class Stage:
    """`up` of either of two versions onto a cluster in memory."""

    def __init__(self, app: App, folder: Path, cluster: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
        self.app, self.cluster, self.patch = app, cluster, monkeypatch
        self.said: list[str] = []
        self.candidates = []
        for words in ("1", "2", "3"):
            (folder / words).mkdir()
            (folder / words / "w.txt").write_text(words)
            version = app.registry.register(ModelRequest("digits", folder / words))
            job: Any = SimpleNamespace(name="job")
            self.candidates.append(Candidate(version, job, ran=False, environment=HOST_ENVIRONMENT))

    def up(self, version: int) -> UpResult:
        self.patch.setattr("tidemill.app.up.make_candidate", lambda *_, **__: self.candidates[version - 1])
        images = Images(f"r/digits@sha256:{str(version) * 64}")
        self.patch.setattr("tidemill.app.deploy_kubernetes.build_images", lambda *_: images)
        return up(self.app, until=None, observers=[], say=self.said.append)

    def killed(self, version: int, module: str = "shift_kubernetes", at: str = "traffic-shared") -> None:
        with self.patch.context() as patch:
            kill_at(patch, module, at)
            with pytest.raises(Killed):
                self.up(version)

    def rollback(self) -> str:
        project = require_project(self.app)
        stage = project.document.stages["production"]
        return str(rollback(self.app, project, "production", stage, reason="bad", say=self.said.append)["version"])

    def stands(self) -> tuple[str, list[str]]:
        return self.cluster.selected, sorted(self.cluster.there)

    def held(self) -> list[str]:
        return [str(r["version"]) for r in holds(self.app)]

    def begun_ago(self, seconds: float) -> None:
        from datetime import timedelta

        from tidemill.base.clock import SystemClock, iso

        found = dict(find_bake(self.app, "production") or {})
        at = iso(SystemClock().now() - timedelta(seconds=seconds))
        self.app.store.put(BAKES, "production", {**found, "bake_s": 1000.0, "at": at})


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    (tmp_path / "tidemill.yaml").write_text(PROJECT)
    cluster = Counting()
    monkeypatch.setattr(App, "kubernetes", lambda _self, _context="": cluster)
    monkeypatch.setattr("tidemill.app.shift_kubernetes.LOOK_S", 0.01)
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as app:
        found = Stage(app, tmp_path, cluster, monkeypatch)
        found.up(1)
        yield found


def test_a_good_version_is_watched_on_and_then_done(stage: Stage) -> None:
    stage.killed(2)
    assert stage.stands() == ("blue-2", ["blue-1", "blue-2"])
    stage.up(2)
    assert stage.stands() == ("blue-2", ["blue-2"])
    assert any("30" in w or "0 of 30 requests failed" in w for w in stage.said if "watched for" in w)
    assert find_bake(stage.app, "production") is None
    newest = history(stage.app, "production")[0]
    assert (newest["version"], "watched for" in newest["evidence"]) == ("2", True)
    assert not stage.up(2).changed


def test_a_bad_version_is_put_back_and_held_though_nobody_watched_while_it_failed(stage: Stage) -> None:
    stage.cluster.bad = "blue-2"
    stage.killed(2)
    with pytest.raises(FailedError, match="30 of 30 requests failed") as failed:
        stage.up(2)
    assert "--lift" in failed.value.hint
    assert stage.stands() == ("blue-1", ["blue-1"])
    assert stage.held() == ["2"]
    assert "held back" in stage.up(2).notes[0]


@pytest.mark.parametrize(("ago", "words"), [(990.0, "watching the 10 s that are left"), (5000.0, "watching the 0 s")])
def test_only_the_time_that_was_left_is_watched(stage: Stage, ago: float, words: str) -> None:
    stage.cluster.bad = "blue-2"
    stage.killed(2)
    stage.begun_ago(ago)
    with pytest.raises(FailedError):
        stage.up(2)
    assert any(words in said for said in stage.said)


def test_another_version_comes_only_when_the_open_bake_is_over(stage: Stage) -> None:
    stage.cluster.bad = "blue-2"
    stage.killed(2)
    stage.up(3)
    assert stage.stands() == ("blue-3", ["blue-3"])
    assert stage.held() == ["2"]


def test_killed_while_the_bad_version_was_put_back_the_next_command_goes_on_with_that(stage: Stage) -> None:
    stage.cluster.bad = "blue-2"
    stage.killed(2, at="bake-failed")
    stage.cluster.bad = ""
    assert stage.held() == []
    with pytest.raises(FailedError, match="30 of 30"):
        stage.up(2)
    assert stage.stands() == ("blue-1", ["blue-1"])
    assert stage.held() == ["2"]


@pytest.mark.parametrize("at", ["traffic-shared", "bake-failed"])
def test_a_rollback_undoes_what_was_not_watched_to_its_end(stage: Stage, at: str) -> None:
    stage.cluster.bad = "blue-2" if at == "bake-failed" else ""
    stage.killed(2, at=at)
    assert stage.rollback() == "1"
    assert stage.stands() == ("blue-1", ["blue-1"])
    assert stage.held() == ["2"]
    assert find_bake(stage.app, "production") is None


def test_killed_before_the_switch_the_promotion_begins_anew(stage: Stage) -> None:
    with stage.patch.context() as patch:
        patch.setattr(stage.cluster, "switch", lambda _: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            stage.up(2)
    assert stage.stands() == ("blue-1", ["blue-1", "blue-2"])
    assert stage.up(2).changed
    assert stage.stands() == ("blue-2", ["blue-2"])


def killed_on_azure(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, at: str, count: int) -> None:
    cloud.up(1, monkeypatch)
    module = "deploy_azureml" if at == "bake-failed" else "shift_azureml"
    with monkeypatch.context() as patch:
        kill_at(patch, module, at, count)
        with pytest.raises(Killed):
            cloud.up(2, patch)


def test_on_azure_a_good_version_is_asked_on_and_then_done(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_on_azure(cloud, monkeypatch, "traffic-shared", 2)
    assert cloud.served() == ({"blue-2": 100}, ["blue-1", "blue-2"])
    cloud.up(2, monkeypatch)
    assert cloud.served() == ({"blue-2": 100}, ["blue-2"])
    assert any("that are left" in words for words in cloud.said)


def spoil_late(cloud: Cloud) -> None:
    cloud.azure.bad = "blue-2"


@pytest.mark.parametrize(("at", "count", "spoil"), [("traffic-shared", 2, None), ("bake-failed", 1, spoil_late)])
def test_on_azure_a_bad_version_loses_the_traffic_and_is_held(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, at: str, count: int, spoil: Callable[[Cloud], None] | None
) -> None:
    if spoil:
        spoil(cloud)
    killed_on_azure(cloud, monkeypatch, at, count)
    cloud.azure.bad = "blue-2"
    with pytest.raises(FailedError, match="did badly under traffic"):
        cloud.up(2, monkeypatch)
    assert cloud.served() == ({"blue-1": 100}, ["blue-1"])
    assert [r["version"] for r in holds(cloud.app)] == ["2"]
