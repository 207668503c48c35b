"""Models on a real MLflow server, and their versions between two."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.waiting import PATIENCE_S
from tidemill.backends.registries.mlflow import MlflowRegistry, digest_model, open_registry
from tidemill.base import proc
from tidemill.cli.main import run_command_line
from tidemill.record.ports import ModelRequest

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
Sync = Callable[..., list[dict[str, Any]]]


@contextmanager
def started_server(folder: Path) -> Iterator[str]:
    """Its address, perhaps before it answers; gone with all its processes when the body ends."""
    port = free_port()
    argv = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    argv += ["--backend-store-uri", f"sqlite:///{folder}/s.db", "--artifacts-destination", str(folder / "artifacts")]
    # jobs of the server itself would be eight more processes, which no test asks anything of
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = proc.start_child(argv, cwd=folder, env=env, log=folder / "log")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        proc.stop_group(process.pid, grace_s=0.1)  # it would wait for connections, and nothing of it is needed again
        process.wait(PATIENCE_S)


def wait_for(url: str) -> str:
    """The address, once the server answers."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return url
    return pytest.fail("the MLflow server did not start")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    with (
        started_server(tmp_path_factory.mktemp("source")) as source,
        started_server(tmp_path_factory.mktemp("target")) as target,
    ):
        yield wait_for(source), wait_for(target)


def register(registry: MlflowRegistry, folder: Path, name: str, words: str, **more: Any) -> None:
    path = folder / words / "m"
    path.mkdir(parents=True)
    (path / "w.txt").write_text(words)
    registry.register(ModelRequest(name, path, job=words, metrics={"accuracy": 0.5}, **more))


@pytest.fixture
def sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sync:
    """`tidemill model sync` in this process: what it says of each version."""
    monkeypatch.chdir(tmp_path)

    def run(*argv: str, code: int = 0) -> list[dict[str, Any]]:
        capsys.readouterr()
        found = run_command_line(["model", "sync", *argv, "-o", "json"])
        said = capsys.readouterr()
        assert found == code, said.err
        rows: list[dict[str, Any]] = json.loads(said.out) if said.out.strip() else []
        return rows

    return run


def test_versions_arrive_with_everything_and_a_second_time_copies_nothing(
    servers: tuple[str, str], tmp_path: Path, sync: Sync
) -> None:
    source, target = (open_registry(tmp_path / side, url) for side, url in zip(("a", "b"), servers, strict=True))
    only = (*servers, "--name", "flowers")  # the servers are shared by tests in any order
    register(source, tmp_path, "flowers", "one", tags={"team": "blue"}, description="first")
    register(source, tmp_path, "flowers", "two")
    source.set_label("flowers", "production", "1")
    assert [r["action"] for r in sync(*only, "--dry-run")] == ["would be copied"] * 2
    assert target.list("flowers") == ()
    assert [r["action"] for r in sync(*only)] == ["copied", "copied", "points at 1"]
    first = target.get("flowers", "production")
    assert (first.version, first.description, first.tags["team"]) == ("1", "first", "blue")
    assert first.metrics == {"accuracy": 0.5}
    assert digest_model(first.path) == source.get("flowers", "1").digest
    client = target.client()
    made = client.get_model_version("flowers", "1")
    assert client.get_run(made.run_id).data.metrics == {"accuracy": 0.5}
    assert made.tags["tidemill.sync.run_id"] == source.client().get_model_version("flowers", "1").run_id
    assert [r["action"] for r in sync(*only)] == ["up to date", "up to date"]
    assert sync(*servers, "--name", "flowrs", code=1) == []


@pytest.mark.parametrize("where", ["sync-uploaded", "sync-copied"])
def test_killed_half_way_it_carries_on_and_leaves_one_of_each(
    servers: tuple[str, str], tmp_path: Path, sync: Sync, where: str
) -> None:
    name = f"killed-{where}"
    source, target = (open_registry(tmp_path / side, url) for side, url in zip(("a", "b"), servers, strict=True))
    register(source, tmp_path, name, f"{where}1")
    register(source, tmp_path, name, f"{where}2")
    argv = [sys.executable, "-m", "tidemill", "model", "sync", *servers, "--name", name]
    killed = proc.run(argv, cwd=tmp_path, env={**os.environ, "TIDEMILL_FAILPOINT": f"{where}:2"}, timeout_s=120)
    assert killed.returncode == -9, killed.stderr
    rows = sync(*servers, "--name", name)
    assert rows[0]["action"] == "up to date"
    assert rows[1]["action"] in {"copied", "finished"}
    assert sorted(v.version for v in target.list(name)) == ["1", "2"]
    assert target.get(name, "2").digest == source.get(name, "2").digest


def test_other_bytes_under_the_same_version_are_met_as_the_policy_says(
    servers: tuple[str, str], tmp_path: Path, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = (open_registry(tmp_path / side, url) for side, url in zip(("a", "b"), servers, strict=True))
    register(source, tmp_path, "clash", "theirs")
    register(target, tmp_path, "clash", "ours")
    only = (*servers, "--name", "clash")
    sync(*only, code=1)
    assert [r["action"] for r in sync(*only, "--policy", "skip")] == ["skipped"]
    assert target.get("clash", "1").job == "ours"
    assert [r["action"] for r in sync(*only, "--policy", "replace")] == ["replaced"]
    fresh = open_registry(tmp_path / "c", servers[1])
    assert (fresh.get("clash", "1").path / "w.txt").read_text() == "theirs"
    sync(servers[0], servers[0], code=2)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    sync("http://127.0.0.1:9", servers[1], code=4)


def test_models_go_to_the_server_and_come_back_with_their_names_and_bytes(
    servers: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "INPUT_model_path"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "w.txt").write_text("weights")
    registry = open_registry(tmp_path / "home", servers[0])
    made = registry.register(ModelRequest("m", folder, job="j", step="s", metrics={"accuracy": 0.5}))
    assert registry.register(ModelRequest("m", folder, job="j", step="s")).version == made.version == "1"
    assert made.path.name == "INPUT_model_path"
    assert (made.path / "deep" / "w.txt").read_text() == "weights"
    single = registry.register(ModelRequest("f", folder / "deep" / "w.txt"))
    assert (single.path.name, single.path.read_text()) == ("w.txt", "weights")
    registry.set_label("m", "production", "1")
    elsewhere = open_registry(tmp_path / "elsewhere", servers[0])
    assert elsewhere.get("m", "production").metrics == {"accuracy": 0.5}
    assert capsys.readouterr().out == ""
