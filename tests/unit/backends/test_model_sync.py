"""Model versions between two real MLflow servers."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.backends.registries.mlflow import MlflowRegistry, digest_model, open_registry
from tidemill.base import proc
from tidemill.record.ports import ModelRequest

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    started, urls = [], []
    try:
        for name in ("source", "target"):
            folder = tmp_path_factory.mktemp(name)
            with socket.socket() as found:
                found.bind(("127.0.0.1", 0))
                port = found.getsockname()[1]
            argv = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
            argv += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/s.db"]
            argv += ["--artifacts-destination", str(folder / "artifacts")]
            started.append(proc.start(argv, cwd=folder, stdout=proc.DEVNULL))
            urls.append(f"http://127.0.0.1:{port}")
        for url in urls:
            wait(url, time.monotonic() + 90)
        yield urls[0], urls[1]
    finally:
        for process in started:
            proc.stop_group(process.pid)
            process.wait(10)


def wait(url: str, deadline: float) -> None:
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the MLflow server did not start")


def register(registry: MlflowRegistry, folder: Path, name: str, words: str, **more: Any) -> None:
    path = folder / words / "m"
    path.mkdir(parents=True)
    (path / "w.txt").write_text(words)
    registry.register(ModelRequest(name, path, job=words, metrics={"accuracy": 0.5}, **more))


def sync(folder: Path, *argv: str, code: int = 0, **environment: str) -> list[dict[str, Any]]:
    done = proc.run(
        [sys.executable, "-m", "tidemill", "model", "sync", *argv, "-o", "json"],
        cwd=folder,
        env={**os.environ, "TIDEMILL_HOME": str(folder / ".tidemill"), **environment},
        timeout_s=120,
    )
    assert done.returncode == code, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout) if done.stdout.strip() else []
    return rows


def test_versions_arrive_with_everything_and_a_second_time_copies_nothing(
    servers: tuple[str, str], tmp_path: Path
) -> None:
    source, target = (open_registry(tmp_path / side, url) for side, url in zip(("a", "b"), servers, strict=True))
    only = (*servers, "--name", "flowers")  # the servers are shared by tests in any order
    register(source, tmp_path, "flowers", "one", tags={"team": "blue"}, description="first")
    register(source, tmp_path, "flowers", "two")
    source.set_label("flowers", "production", "1")
    assert [r["action"] for r in sync(tmp_path, *only, "--dry-run")] == ["would be copied"] * 2
    assert target.list("flowers") == ()
    assert [r["action"] for r in sync(tmp_path, *only)] == ["copied", "copied", "points at 1"]
    first = target.get("flowers", "production")
    assert (first.version, first.description, first.tags["team"]) == ("1", "first", "blue")
    assert first.metrics == {"accuracy": 0.5}
    assert digest_model(first.path) == source.get("flowers", "1").digest
    client = target.client()
    made = client.get_model_version("flowers", "1")
    assert client.get_run(made.run_id).data.metrics == {"accuracy": 0.5}
    assert made.tags["tidemill.sync.run_id"] == source.client().get_model_version("flowers", "1").run_id
    assert [r["action"] for r in sync(tmp_path, *only)] == ["up to date", "up to date"]
    assert sync(tmp_path, *servers, "--name", "flowrs", code=1) == []


@pytest.mark.parametrize("where", ["sync-uploaded", "sync-copied"])
def test_killed_half_way_it_carries_on_and_leaves_one_of_each(
    servers: tuple[str, str], tmp_path: Path, where: str
) -> None:
    name = f"killed-{where}"
    source, target = (open_registry(tmp_path / side, url) for side, url in zip(("a", "b"), servers, strict=True))
    register(source, tmp_path, name, f"{where}1")
    register(source, tmp_path, name, f"{where}2")
    sync(tmp_path, *servers, "--name", name, code=-9, TIDEMILL_FAILPOINT=f"{where}:2")
    rows = sync(tmp_path, *servers, "--name", name)
    assert rows[0]["action"] == "up to date"
    assert rows[1]["action"] in {"copied", "finished"}
    assert sorted(v.version for v in target.list(name)) == ["1", "2"]
    assert target.get(name, "2").digest == source.get(name, "2").digest


def test_other_bytes_under_the_same_version_are_met_as_the_policy_says(
    servers: tuple[str, str], tmp_path: Path
) -> None:
    source, target = (open_registry(tmp_path / side, url) for side, url in zip(("a", "b"), servers, strict=True))
    register(source, tmp_path, "clash", "theirs")
    register(target, tmp_path, "clash", "ours")
    only = (*servers, "--name", "clash")
    sync(tmp_path, *only, code=1)
    assert [r["action"] for r in sync(tmp_path, *only, "--policy", "skip")] == ["skipped"]
    assert target.get("clash", "1").job == "ours"
    assert [r["action"] for r in sync(tmp_path, *only, "--policy", "replace")] == ["replaced"]
    fresh = open_registry(tmp_path / "c", servers[1])
    assert (fresh.get("clash", "1").path / "w.txt").read_text() == "theirs"
    sync(tmp_path, servers[0], servers[0], code=2)
    sync(tmp_path, "http://127.0.0.1:9", servers[1], code=4, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
