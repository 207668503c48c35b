"""What was released elsewhere is in `status`, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.app.releases import hold, record_release
from tidemill.app.settings import Settings
from tidemill.app.wiring import open_app
from tidemill.cli.main import run_command_line


def test_a_release_to_another_service_is_listed_without_asking_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidemill.yaml").write_text("name: d\nstages: {hub: {target: huggingface, repository: me/digits}}\n")
    url = "https://hub.example.org/me/digits"
    release = {"stage": "hub", "endpoint": "me/digits", "url": url, "model": "digits", "version": "3", "digest": "d"}
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as app:
        record_release(app, release)
    assert run_command_line(["status"]) == 0
    words = capsys.readouterr().out
    assert "Released" in words
    assert url in words


def test_what_is_held_back_is_said_with_the_way_to_lift_it_and_a_table_has_a_row_an_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidemill.yaml").write_text("name: d\nstages: {hub: {target: huggingface, repository: me/digits}}\n")
    release = {"stage": "hub", "endpoint": "me/digits", "url": "u", "model": "digits", "version": "3", "digest": "d"}
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as app:
        record_release(app, release)
        hold(app, "hub", {"digest": "e", "version": "4"}, "it was slow")
    assert run_command_line(["status"]) == 0
    words = capsys.readouterr().out
    assert "note: hub: version 4 is held back: it was slow. Lift it with: tidemill rollback --lift --stage hub" in words
    assert run_command_line(["status", "-o", "tsv"]) == 0
    assert capsys.readouterr().out.startswith("me/digits\t")
