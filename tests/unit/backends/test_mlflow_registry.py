"""The embedded registry, on a real MLflow."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput

from tidemill.backends.registries.mlflow import MlflowRegistry, open_registry
from tidemill.base.errors import ConflictError, NotFoundError
from tidemill.record.ports import ModelRequest

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> MlflowRegistry:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return open_registry(tmp_path_factory.mktemp("home"))


def model(folder: Path, words: str) -> Path:
    path = folder / "INPUT_model_path"
    path.mkdir(exist_ok=True)
    (path / "weights.txt").write_text(words)
    return path


def test_versions_count_up_and_the_newest_stands_first(registry: MlflowRegistry, tmp_path: Path) -> None:
    first = registry.register(
        ModelRequest("counting", model(tmp_path, "one"), job="j1", step="register", metrics={"accuracy": 0.5})
    )
    second = registry.register(
        ModelRequest("counting", model(tmp_path, "two"), job="j2", step="register", tags={"commit": "abc"})
    )
    assert (first.version, second.version) == ("1", "2")
    assert [v.version for v in registry.list("counting")] == ["2", "1"]
    assert registry.get("counting", "latest").tags == {"commit": "abc"}
    assert registry.get("counting", "1").metrics == {"accuracy": 0.5}
    assert (registry.get("counting", "1").path / "weights.txt").read_text() == "one"


def test_the_same_job_and_step_registers_once_however_often_it_asks(registry: MlflowRegistry, tmp_path: Path) -> None:
    request = ModelRequest("once", model(tmp_path, "bytes"), job="j", step="register")
    assert registry.register(request).version == registry.register(request).version == "1"
    assert len(registry.list("once")) == 1


def test_a_version_never_gets_other_bytes(registry: MlflowRegistry, tmp_path: Path) -> None:
    registry.register(ModelRequest("fixed", model(tmp_path, "one"), version="7"))
    with pytest.raises(ConflictError, match="fixed:7"):
        registry.register(ModelRequest("fixed", model(tmp_path, "two"), version="7"))


def test_a_label_points_at_one_version_and_moves(registry: MlflowRegistry, tmp_path: Path) -> None:
    for words in ("one", "two"):
        registry.register(ModelRequest("labelled", model(tmp_path, words), job=words))
    registry.set_label("labelled", "production", "1")
    assert registry.get("labelled", "production").version == "1"
    registry.set_label("labelled", "production", "2")
    assert registry.get("labelled", "production").version == "2"
    assert registry.get("labelled", "1").labels == ()


def test_an_archived_version_is_out_of_the_lists_and_is_not_latest(registry: MlflowRegistry, tmp_path: Path) -> None:
    for words in ("one", "two"):
        registry.register(ModelRequest("archived", model(tmp_path, words), job=words))
    registry.archive("archived", "2")
    assert [v.version for v in registry.list("archived")] == ["1"]
    assert registry.get("archived", "latest").version == "1"


def test_an_unknown_model_is_named_with_what_there_is(registry: MlflowRegistry, tmp_path: Path) -> None:
    registry.register(ModelRequest("digits-classifier", model(tmp_path, "x")))
    with pytest.raises(NotFoundError) as caught:
        registry.get("digit-classifier", "1")
    assert "digits-classifier:1" in caught.value.hint


def test_what_a_run_logged_is_brought_with_its_models_and_no_other_store_is_made(
    registry: MlflowRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client = MlflowClient(registry.tracking_uri)
    run = client.create_run("0").info.run_id
    client.log_text(run, "words", "notes.txt")
    made = client.create_logged_model("0", name="model", source_run_id=run)
    client.log_model_artifacts(made.model_id, str(model(tmp_path, "weights")))
    client.log_outputs(run, [LoggedModelOutput(made.model_id, 0)])
    one = registry.download(f"runs:/{run}/model", tmp_path / "one")
    everything = registry.download(f"runs:/{run}/", tmp_path / "all")
    assert (one / "weights.txt").read_text() == "weights"
    assert [p.relative_to(everything).as_posix() for p in sorted(everything.rglob("*.txt"))] == [
        "model/weights.txt", "notes.txt",
    ]  # fmt: skip
    assert not (tmp_path / "mlflow.db").exists()
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_the_first_model_on_a_machine_is_registered_without_a_word_of_mlflow(tmp_path: Path) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-m", "tidemill", "model", "create", "-n", "tides", "-p", str(model(tmp_path, "one")), "-o", "none"],
        cwd=tmp_path, env={**env, "XDG_CACHE_HOME": str(tmp_path / "cache")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
