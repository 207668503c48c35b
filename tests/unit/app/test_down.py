"""`tidemill down` takes what `up` made out of clusters, after asking, and nothing else."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.unit.app.fake_cluster import FakeCluster
from tidemill.app.releases import last_release, record_release, serving_release
from tidemill.app.settings import Settings
from tidemill.app.wiring import App, open_app
from tidemill.cli.main import run_command_line
from tidemill.release.workload import Workload

PROJECT = """
name: digits
stages:
  staging: {target: local}
  production: {target: kubernetes, namespace: ns, registry: 127.0.0.1:5000}
  hub: {target: huggingface, repository: me/digits}
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidemill.yaml").write_text(PROJECT)
    made = FakeCluster()
    made.apply(Workload("digits", "blue-1", "ns", f"r/digits@sha256:{'1' * 64}"))
    monkeypatch.setattr(App, "kubernetes", lambda _self, _context="": made)
    return made


@pytest.mark.parametrize("words", [["down", "--yes"], ["--yes", "down"], ["down", "digits", "-y"]])
def test_yes_takes_it_down_and_says_what(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run_command_line(words) == 0
    assert cluster.did[-1] == "take down digits of ns"
    found = capsys.readouterr().out
    assert "took down digits of stage production in namespace ns (" in found
    assert "1 Deployment" in found


def test_without_a_person_to_ask_nothing_is_taken_down(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run_command_line(["down"]) == 2
    assert list(cluster.there) == ["blue-1"]
    assert "tidemill down --yes" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, []), ("\n", 130, ["blue-1"])])
def test_a_person_is_asked_and_has_the_last_word(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: list[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert run_command_line(["down"]) == code
    assert list(cluster.there) == left


def test_another_stage_leaves_it(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["down", "--yes", "--stage", "staging"]) == 0
    assert list(cluster.there) == ["blue-1"]
    assert "Nothing was running" in capsys.readouterr().out


def test_a_name_no_endpoint_has_is_refused_with_those_there_are(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["down", "--yes", "digit"]) == 1
    assert list(cluster.there) == ["blue-1"]
    said = capsys.readouterr().err
    assert "There is no endpoint `digit`" in said
    assert "Did you mean `digits`?" in said


def test_what_it_cannot_reach_is_said(cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release = {"stage": "hub", "endpoint": "me/digits", "url": "https://hub.example.org", "version": "3", "digest": "d"}
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as app:
        record_release(app, release)
    assert run_command_line(["down", "--yes"]) == 0
    assert "me/digits of stage hub (huggingface) stays" in capsys.readouterr().out
    assert not cluster.there


def test_an_unknown_stage_is_named(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["down", "--stage", "producton"]) == 2
    assert "production" in capsys.readouterr().err
    assert cluster.there


def test_the_history_says_who_took_a_stage_down_and_that_nothing_serves_since(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    del cluster
    release = {
        "stage": "production",
        "endpoint": "digits",
        "url": "http://digits.ns.svc",
        "model": "digits",
        "version": "3",
    }
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as app:
        record_release(app, {**release, "digest": "d", "evidence": "", "job": "j"})
    monkeypatch.setenv("TIDEMILL_USER", "max")
    assert run_command_line(["history", "--at", "2999-01-01"]) == 0
    assert "production: digits:3 from" in capsys.readouterr().out
    for _ in range(2):  # the second finds nothing, and writes nothing
        assert run_command_line(["down", "--yes", "--stage", "production"]) == 0
    capsys.readouterr()
    assert run_command_line(["history", "--at", "2999-01-01"]) == 0
    found = capsys.readouterr().out
    assert "production: nothing served 2999-01-01" in found
    assert "until now: taken down by max" in found
    assert run_command_line(["history", "--at", "2999-01-01", "-o", "json"]) == 0
    assert capsys.readouterr().out.strip() == "[]"
    assert run_command_line(["history", "-o", "json"]) == 0
    assert [r["event"] for r in json.loads(capsys.readouterr().out)] == ["down", "release"]


def test_what_went_without_down_is_written_into_the_history_by_the_next_down(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.there.clear()
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as app:
        record_release(
            app,
            {"stage": "production", "endpoint": "digits", "url": "http://digits.ns.svc", "version": "3", "digest": "d"},
        )
        assert run_command_line(["down"]) == 0
        assert serving_release(app, "production") is None
        assert last_release(app, "production") is not None
    assert "Nothing was running" in capsys.readouterr().out


def test_a_stage_nobody_knows_is_said_with_the_ones_there_are(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    del cluster
    assert run_command_line(["history", "--stage", "prodction"]) == 2
    assert "production" in capsys.readouterr().err
