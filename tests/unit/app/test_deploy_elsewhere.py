"""Stages on other people's services, from the project's side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.backends.fake_rest import Fake, served
from tests.unit.backends.test_azureml_target import IMAGE, Workspace
from tests.unit.backends.test_huggingface_target import Repository
from tidemill.app.candidate import Candidate
from tidemill.app.deploy_azureml import put_back_azureml
from tidemill.app.deploy_huggingface import deploy_huggingface, put_back_huggingface
from tidemill.app.project import Project
from tidemill.app.settings import Settings
from tidemill.app.wiring import App, open_app
from tidemill.base.errors import UsageError
from tidemill.plan.graph import EnvironmentRef
from tidemill.record.ports import ModelRequest
from tidemill.spec.project import Project as Document
from tidemill.spec.project import Stage

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as opened:
        yield opened


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Fake, Repository]]:
    repository = Repository()
    with served(repository) as found:
        repository.url = found.url
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        monkeypatch.setenv("HF_TOKEN", "hf_x")
        yield found, repository


def candidate(app: App, folder: Path, words: str) -> Candidate:
    (folder / words).mkdir()
    (folder / words / "w.txt").write_text(words)
    version = app.registry.register(ModelRequest("digits", folder / words))
    job: Any = SimpleNamespace(name="job")
    return Candidate(version, job, ran=True, environment=cast("EnvironmentRef", None), metrics={"accuracy": 0.9})


def test_a_version_is_committed_once_and_the_previous_one_comes_back_on_top(
    app: App, tmp_path: Path, hub: tuple[Fake, Repository]
) -> None:
    _, repository = hub
    stage, project = Stage(target="huggingface", repository="me/digits"), Project(Document(name="p"), tmp_path, None)
    first, second = (candidate(app, tmp_path, w) for w in ("one", "two"))
    said: list[str] = []
    assert deploy_huggingface(app, project, first, "hub", stage, said.append).evidence == "revision commit1"
    assert not deploy_huggingface(app, project, first, "hub", stage, said.append).changed
    assert deploy_huggingface(app, project, second, "hub", stage, said.append).changed
    put_back_huggingface(app, "hub", stage, {"model": "digits", "version": "1", "metrics": {}})
    assert [c["w.txt"] for c in repository.commits] == [b"one", b"two", b"one"]
    assert json.loads(repository.commits[-1]["tidemill.json"])["digest"] == first.version.digest


def test_a_rollback_on_azure_brings_the_image_back_and_takes_the_other_away(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace()
    workspace.polls = 1  # its operations are done at once
    with served(workspace) as found:
        workspace.url = found.url
        monkeypatch.setenv("TIDEMILL_AZURE_MANAGEMENT", found.url)
        monkeypatch.setenv("TIDEMILL_AZURE_TOKEN", "t")
        monkeypatch.setattr("tidemill.backends.azure.workspace.POLL_S", 0.01)
        stage = Stage(target="azureml", registry="me.azurecr.io", subscription="s", resource_group="g", workspace="w")
        release = {"endpoint": "digits", "image": IMAGE, "model": "digits", "version": "1", "digest": "d" * 64}
        for name in ("blue-2", "blue-1"):
            workspace.polls = 1
            put_back_azureml(app, "production", stage, {**release, "deployment": name})
        assert workspace.kept["onlineEndpoints/digits"]["properties"]["traffic"] == {"blue-1": 100}
        assert [k for k in workspace.kept if "/deployments/" in k] == ["onlineEndpoints/digits/deployments/blue-1"]


def test_a_stage_that_lacks_settings_names_all_of_them(app: App) -> None:
    with pytest.raises(UsageError, match="registry, subscription, resource_group, workspace"):
        put_back_azureml(app, "production", Stage(target="azureml"), {"endpoint": "e", "deployment": "d"})
    with pytest.raises(UsageError, match="repository"):
        put_back_huggingface(app, "hub", Stage(target="huggingface"), {"model": "m", "version": "1"})
