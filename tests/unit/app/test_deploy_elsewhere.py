"""Stages on other people's services, from the project's side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.backends.fake_rest import Asked, Fake, Reply, served
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


DOCUMENT = """
name: blue
endpoint_name: digits
code_configuration: {code: ./src, scoring_script: score.py}
environment: ./environment.yml
environment_variables: {MODE: fast}
"""


class TwoRepositories:
    """A Hub with a model repository and a Space."""

    def __init__(self) -> None:
        self.model, self.space = Repository(), Repository()
        self.space.stored = self.model.stored

    def __call__(self, asked: Asked) -> Reply:
        space = "/spaces/" in asked.path or b'"space"' in asked.body
        return (self.space if space else self.model)(asked)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoRepositories]:
    both = TwoRepositories()
    with served(both) as found:
        both.model.url = both.space.url = found.url
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        monkeypatch.setenv("HF_TOKEN", "hf_x")
        yield both


def write_documents(folder: Path) -> None:
    (folder / "src").mkdir()
    (folder / "src" / "score.py").write_text("def init(): ...\n")
    (folder / "deployment.yml").write_text(DOCUMENT)
    (folder / "environment.yml").write_text("name: e\nimage: i\nconda_file: conda.yaml\n")
    (folder / "conda.yaml").write_text("dependencies: [python=3.11, pip: [numpy==2.0.0]]\n")


def test_a_space_gets_changed_code_packages_and_variables_of_the_same_model_once(
    app: App, tmp_path: Path, two: TwoRepositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []

    def build(*_: object) -> SimpleNamespace:
        built.append(f"r/digits@sha256:{len(built) + 1}")
        return SimpleNamespace(reference=built[-1])

    monkeypatch.setattr("tidemill.app.deploy_huggingface.build_image", build)
    write_documents(tmp_path)
    stage = Stage(target="huggingface", repository="me/digits", space="me/demo", registry="r")
    project = Project(Document(name="p", deployment="deployment.yml"), tmp_path, None)
    first = candidate(app, tmp_path, "one")

    def changed() -> list[bool]:
        return [deploy_huggingface(app, project, first, "hub", stage, lambda _: None).changed for _ in range(2)]

    assert changed() == [True, False]
    assert two.space.commits[-1]["Dockerfile"] == b'FROM r/digits@sha256:1\nENV MODE="fast"\n'
    (tmp_path / "src" / "score.py").write_text("def init(): print()\n")
    assert changed() == [True, False]
    (tmp_path / "conda.yaml").write_text("dependencies: [python=3.11, pip: [numpy==2.0.1]]\n")
    assert changed() == [True, False]
    (tmp_path / "deployment.yml").write_text(DOCUMENT.replace("fast", "$slow"))
    assert changed() == [True, False]
    assert two.space.commits[-1]["Dockerfile"].endswith(b'ENV MODE="\\$slow"\n')
    assert len(two.space.commits) == len(built) == 4
    assert len(two.model.commits) == 1, "the model's files did not change"


def test_a_rollback_gives_the_space_its_image_and_variables_back(
    app: App, tmp_path: Path, two: TwoRepositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.app.deploy_huggingface.build_image", lambda *_: SimpleNamespace(reference="i@2"))
    project = Project(Document(name="p"), tmp_path, None)
    stage = Stage(target="huggingface", repository="me/digits", space="me/demo", registry="r")
    first = candidate(app, tmp_path, "one")
    release = {
        "model": "digits",
        "version": "1",
        "image": "i@1",
        "workload": {"settings": "s", "variables": {"A": "1"}},
    }
    deploy_huggingface(app, project, first, "hub", stage, lambda _: None)
    put_back_huggingface(app, "hub", stage, release)
    assert two.space.commits[-1]["Dockerfile"] == b'FROM i@1\nENV A="1"\n'
