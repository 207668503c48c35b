"""What of the embedded MLflow's files nothing needs, with a real MLflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tidemill.backends.registries.mlflow import MlflowRegistry
from tidemill.backends.registries.mlflow_files import find_unused
from tidemill.backends.trackers.mlflow import open_tracker
from tidemill.record.ports import ModelRequest

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def registry(home: Path) -> MlflowRegistry:
    return MlflowRegistry(home)


def log(registry: MlflowRegistry, **tags: str) -> tuple[str, Path]:
    """A run that logged a file, and its folder."""
    client = registry.client()
    run = client.create_run(registry.experiment(), tags={k.replace("__", "."): v for k, v in tags.items()}).info
    client.log_text(run.run_id, "words", "m/words.txt")
    return run.run_id, Path(run.artifact_uri.removeprefix("file://")).parent


def test_files_that_runs_of_gone_jobs_logged_go_but_for_those_of_versions(registry: MlflowRegistry, home: Path) -> None:
    outer, first = log(registry, tidemill__job="gone")
    inner, second = log(registry, mlflow__parentRunId=outer)
    _, third = log(registry, mlflow__parentRunId=inner)
    log(registry, tidemill__job="stays")
    log(registry)
    used, fourth = log(registry, tidemill__job="gone")
    client = registry.client()
    client.create_registered_model("m")
    client.create_model_version("m", f"{fourth.as_uri()}/artifacts/m", used)
    _, fifth = log(registry, tidemill__job="gone")
    client.create_model_version("m", f"{fifth.as_uri()}/artifacts/m")
    assert set(find_unused(home / "mlflow", {"gone"})) == {first, second, third}
    assert find_unused(home / "mlflow", ()) == ()
    client.delete_model_version("m", "2")
    assert fifth in find_unused(home / "mlflow", {"gone"})


def test_the_files_of_a_deleted_version_go_unless_another_one_has_the_same(
    registry: MlflowRegistry, home: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("1")
    for name in ("a", "b"):
        registry.register(ModelRequest(name=name, type="custom_model", path=model))
    (kept,) = (home / "mlflow" / "models").iterdir()
    registry.delete("a", "1")
    with registry.unused_files(()) as found:
        assert found == ()
    registry.delete("b", "1")
    with registry.unused_files(()) as found:
        assert found == (kept,)


def test_of_a_server_or_of_tables_that_are_not_known_nothing_is_said_to_be_unused(tmp_path: Path) -> None:
    with MlflowRegistry(tmp_path, "http://127.0.0.1:9").unused_files({"gone"}) as found:
        assert found == ()
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").touch()
    (tmp_path / "mlflow" / "models" / "x").mkdir(parents=True)
    with MlflowRegistry(tmp_path).unused_files({"gone"}) as found:
        assert found == ()


def test_the_run_of_a_step_that_was_killed_ends_with_the_runs_inside_it(
    registry: MlflowRegistry, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer, _ = log(registry, tidemill__job="killed")
    inner, _ = log(registry, mlflow__parentRunId=outer)
    innermost, _ = log(registry, mlflow__parentRunId=inner)
    other, _ = log(registry)
    done, _ = log(registry, mlflow__parentRunId=outer)
    registry.client().set_terminated(done)
    tracker = open_tracker(home, "")
    tracker.end_abandoned(tmp_path)
    (tmp_path / "mlflow-run.json").write_text(json.dumps({"run_id": outer, "experiment_id": "1"}))
    tracker.end_abandoned(tmp_path)
    found = {run: registry.client().get_run(run).info for run in (outer, inner, innermost, other, done)}
    assert [found[run].status for run in (outer, inner, innermost)] == ["KILLED"] * 3
    assert [found[run].status for run in (other, done)] == ["RUNNING", "FINISHED"]
    assert found[outer].end_time >= found[outer].start_time
    away = open_tracker(home, "http://127.0.0.1:9")
    assert "does not answer" in away.end_abandoned(tmp_path)
    assert away.end_abandoned(tmp_path) == ""
    monkeypatch.setattr("tidemill.backends.trackers.mlflow.AWAY_S", 0.0)
    again = open_tracker(home, "http://127.0.0.1:9")
    assert again.end_abandoned(tmp_path) == again.end_abandoned(tmp_path) != ""
