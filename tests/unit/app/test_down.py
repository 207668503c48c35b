"""`tidemill down` takes what `up` made out of clusters, after asking, and nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.unit.app.fake_cluster import FakeCluster
from tidemill.app.releases import record_release
from tidemill.app.settings import Settings
from tidemill.app.wiring import App, open_app
from tidemill.cli.main import run_command_line
from tidemill.release.objects import Workload

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


@pytest.mark.parametrize("words", [["--stage", "staging"], ["other"]])
def test_another_stage_or_name_leaves_it(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run_command_line(["down", "--yes", *words]) == 0
    assert list(cluster.there) == ["blue-1"]
    assert "Nothing was running" in capsys.readouterr().out


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
