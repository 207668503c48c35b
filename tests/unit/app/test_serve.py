"""`serve` before there is a server: what it was asked to serve."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.cli.main import run_command_line


def test_a_folder_that_is_not_there_is_called_that_and_no_unregistered_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMILL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["serve", "./models/churn"]) == 1
    assert f"There is no file or folder `{tmp_path}/models/churn`" in capsys.readouterr().err
