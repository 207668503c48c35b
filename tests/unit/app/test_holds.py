"""What was rolled back stays to be seen until it is lifted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.app.releases import hold, holds, lift
from tidemill.app.settings import Settings
from tidemill.app.wiring import open_app
from tidemill.cli.main import run_command_line


def test_history_ends_with_what_is_held_back_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidemill.yaml").write_text("name: digits\n")
    with open_app(Settings(tmp_path, tmp_path / ".tidemill")) as app:
        hold(app, "production", {"digest": "d", "version": "4"}, "error rate <= 0.01: 31 of 31 requests failed")
        hold(app, "staging", {"digest": "e", "version": "5"}, "asked for")
        assert run_command_line(["history", "--stage", "production"]) == 0
        words = capsys.readouterr().out
        assert "production: version 4 is held back" in words
        assert "31 of 31 requests failed" in words
        assert "version 5" not in words
        lift(app, "production")
        assert [r["version"] for r in holds(app)] == ["5"]
