"""Runs command lines in this process, in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tidemill.cli.main import run_command_line


@dataclass(frozen=True, slots=True)
class Said:
    stdout: str
    stderr: str


Run = Callable[..., Said]


@pytest.fixture
def tidemill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*words: str, code: int = 0) -> Said:
        found = run_command_line(list(words))
        said = Said(*capsys.readouterr())
        assert found == code, f"exit {found}\n{said.stdout}\n{said.stderr}"
        return said

    return run
