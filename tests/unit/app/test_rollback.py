"""A rollback goes on from wherever a promotion or a rollback was killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.app.fake_cluster import FakeCluster
from tidemill.app.project import Project
from tidemill.app.releases import history, hold, holds, record_release
from tidemill.app.rollback import put_back
from tidemill.app.settings import Settings
from tidemill.app.wiring import App, open_app
from tidemill.app.workloads import describe_version, workload_record
from tidemill.base.errors import FailedError, NotFoundError
from tidemill.record.ports import ModelRequest
from tidemill.release.workload import Workload
from tidemill.spec.project import Project as Document
from tidemill.spec.project import Stage

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
STAGE = Stage(target="kubernetes", registry="127.0.0.1:5000", namespace="ns")


class Production:
    """A stage in a cluster in memory, with versions of one model."""

    def __init__(self, app: App, folder: Path, cluster: FakeCluster) -> None:
        self.app, self.folder, self.cluster = app, folder, cluster
        self.digests: dict[str, str] = {}
        self.said: list[str] = []

    def workload(self, version: str) -> Workload:
        if version not in self.digests:
            (self.folder / version).mkdir()
            (self.folder / version / "w.txt").write_text(version)
            self.digests[version] = self.app.registry.register(ModelRequest("digits", self.folder / version)).digest
        about = describe_version("digits", version, self.digests[version], "job")
        return Workload("digits", f"blue-{version}", "ns", f"r/digits@sha256:{version * 64}", annotations=about)

    def record(self, version: str) -> None:
        workload = self.workload(version)
        release = {
            "stage": "production", "endpoint": "digits", "deployment": workload.deployment, "model": "digits", "job": "job",
            "version": version, "digest": self.digests[version], "url": "http://digits.ns.svc",
            "image": workload.image, "workload": workload_record(workload),
        }  # fmt: skip
        record_release(self.app, release)

    def serve(self, version: str) -> None:
        self.cluster.there.clear()
        self.cluster.apply(self.workload(version))

    def rollback(self, stage: Stage = STAGE) -> str:
        document = Project(Document(name="digits"), self.folder, None)
        return str(put_back(self.app, document, "production", stage, reason="bad", say=self.said.append)["version"])

    def held(self) -> list[str]:
        return [str(r["version"]) for r in holds(self.app)]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Production]:
    cluster = FakeCluster()
    monkeypatch.setattr(App, "kubernetes", lambda _self, _context="": cluster)
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as app:
        yield Production(app, tmp_path, cluster)


@pytest.fixture
def production(empty: Production) -> Production:
    for version in ("1", "2"):
        empty.record(version)
    empty.serve("2")
    return empty


def test_the_previous_version_serves_alone_and_the_other_is_held(production: Production) -> None:
    assert production.rollback() == "1"
    assert list(production.cluster.there) == ["blue-1"]
    assert production.held() == ["2"]
    assert history(production.app, "production")[0]["version"] == "1"


def test_what_an_up_switched_to_and_did_not_write_down_is_what_is_taken_away(production: Production) -> None:
    production.serve("3")
    assert production.rollback() == "2"
    assert production.held() == ["3"]
    assert production.cluster.selected == "blue-2"


def test_a_rollback_killed_before_it_wrote_down_what_it_put_back_is_finished_not_repeated(
    production: Production,
) -> None:
    hold(production.app, "production", {"digest": production.digests["2"], "version": "2"}, "bad")
    production.serve("1")
    production.cluster.did.clear()
    assert production.rollback() == "1"
    assert production.held() == ["2"]
    assert production.cluster.selected == "blue-1"
    assert history(production.app, "production")[0]["version"] == "1"


def test_a_version_released_before_there_were_keys_asks_for_them_when_it_is_put_back(production: Production) -> None:
    production.rollback()
    assert production.cluster.there["blue-1"].token_secret
    assert any("it asks for them now" in words for words in production.said)
    assert history(production.app, "production")[0]["workload"]["token_secret"]


def test_one_whose_image_knows_no_keys_is_refused_and_what_serves_stays(production: Production) -> None:
    production.cluster.knows_no_keys = True
    with pytest.raises(FailedError, match="Version 1 answers requests without the endpoint's key"):
        production.rollback()
    assert (list(production.cluster.there), production.cluster.selected) == (["blue-2"], "blue-2")
    assert production.held() == []


def test_a_stage_that_asks_for_no_key_gets_it_back_as_it_was(production: Production) -> None:
    production.cluster.knows_no_keys = True
    assert production.rollback(STAGE.model_copy(update={"auth": "none"})) == "1"
    assert not production.cluster.there["blue-1"].token_secret


def test_a_previous_version_that_does_not_start_is_not_left_beside_what_serves(production: Production) -> None:
    production.cluster.broken = {production.workload("1").image}
    with pytest.raises(FailedError, match="did not become ready"):
        production.rollback()
    assert (list(production.cluster.there), production.cluster.selected) == (["blue-2"], "blue-2")


def test_a_first_version_cannot_be_rolled_back_and_nothing_is_said_of_holds(empty: Production) -> None:
    empty.record("1")
    empty.serve("1")
    with pytest.raises(NotFoundError, match="No other version served production") as caught:
        empty.rollback()
    assert "--lift" not in caught.value.hint
