"""What a killed `up` left of two versions on this machine is put right by the next one, proven or undone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tidemill.app.candidate import Candidate
from tidemill.app.deploy import Deployed, deploy_local
from tidemill.app.project import Project
from tidemill.app.releases import holds
from tidemill.app.settings import Settings
from tidemill.app.wiring import App, open_app
from tidemill.base.errors import FailedError
from tidemill.plan.graph import HOST_ENVIRONMENT
from tidemill.record.ports import ModelRequest
from tidemill.spec.project import Project as Document
from tidemill.spec.project import Stage

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
STAGE = Stage(auth="none", bake_s=0.01)


@dataclass
class FakeMachine:
    """One endpoint; every version is healthy, and answers with as many errors as `errors` says."""

    asked: dict[str, Any] = field(default_factory=dict)
    errors: int = 0
    looks: int = 0

    def desired(self, _endpoint: str) -> dict[str, Any]:
        return self.asked

    def put(self, _endpoint: str, desired: dict[str, Any]) -> None:
        self.asked = desired

    def delete(self, _endpoint: str) -> None:
        self.asked = {}

    def observe(self, _endpoint: str) -> dict[str, Any]:
        return {"state": "Healthy", "url": "http://127.0.0.1:5"}

    def wait_healthy(self, *_: object, **__: object) -> dict[str, Any]:
        return {}

    def numbers(self, _endpoint: str) -> dict[str, Any]:
        self.looks += 1
        return {
            name: {"answered": self.looks * 50, "errors": self.looks * self.errors} for name in ("blue-1", "blue-2")
        }


class Machine:
    def __init__(self, app: App, folder: Path, fake: FakeMachine) -> None:
        self.app, self.folder, self.fake = app, folder, fake
        self.versions = []
        for words in ("one", "two"):
            (folder / words).mkdir()
            (folder / words / "w.txt").write_text(words)
            self.versions.append(app.registry.register(ModelRequest("iris", folder / words)))

    def up(self, version: int) -> Deployed:
        job: Any = SimpleNamespace(name="job")
        candidate = Candidate(self.versions[version - 1], job, ran=True, environment=HOST_ENVIRONMENT)
        project = Project(Document(name="iris"), self.folder, None)
        return deploy_local(self.app, project, candidate, "staging", STAGE, lambda _: None)

    def leave_both(self, traffic: dict[str, int]) -> None:
        """As an `up` leaves it that is killed before it takes the old version away."""
        self.up(1)
        old = self.fake.asked["deployments"]
        self.up(2)
        both = {**old, **self.fake.asked["deployments"]}
        self.fake.asked = {**self.fake.asked, "deployments": both, "traffic": traffic}

    def stands(self) -> tuple[list[str], dict[str, int]]:
        return list(self.fake.asked["deployments"]), self.fake.asked["traffic"]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    fake = FakeMachine()
    monkeypatch.setattr(App, "target", property(lambda _: fake))
    monkeypatch.setattr("tidemill.app.deploy.smoke", lambda *_: "answered")
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as app:
        yield Machine(app, tmp_path, fake)


@pytest.mark.parametrize("traffic", [{"blue-1": 100}, {"blue-1": 50, "blue-2": 50}, {"blue-2": 100}])
def test_the_next_up_finishes_and_leaves_the_new_version_alone(machine: Machine, traffic: dict[str, int]) -> None:
    machine.leave_both(traffic)
    assert machine.up(2).changed
    assert machine.stands() == (["blue-2"], {"blue-2": 100})
    assert not machine.up(2).changed


@pytest.mark.parametrize("traffic", [{"blue-1": 100}, {"blue-1": 50, "blue-2": 50}, {"blue-2": 100}])
def test_a_version_that_does_badly_then_is_undone_whatever_traffic_it_had(
    machine: Machine, traffic: dict[str, int]
) -> None:
    machine.leave_both(traffic)
    machine.fake.errors = 40
    with pytest.raises(FailedError, match="did badly"):
        machine.up(2)
    assert machine.stands() == (["blue-1"], {"blue-1": 100})
    assert [r["version"] for r in holds(machine.app)] == ["2"]


def test_at_another_address_a_version_that_fails_stays_where_it_served(machine: Machine) -> None:
    machine.up(1)
    machine.fake.asked["host"] = "localhost"
    machine.fake.errors = 40
    with pytest.raises(FailedError, match="did badly"):
        machine.up(1)
    assert machine.stands() == (["blue-1"], {"blue-1": 100})
