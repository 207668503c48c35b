"""What was released elsewhere is in `status`, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.app.releases import record_release
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
