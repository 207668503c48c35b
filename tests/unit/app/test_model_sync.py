"""The ends of a sync are looked at before anything is copied."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tidemill.cli.main import run_command_line


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    return tmp_path


def test_a_word_that_is_no_address_makes_no_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["model", "sync", ".", "notauri"]) == 2
    assert "no tracking URI and no folder" in capsys.readouterr().err
    assert not (here / "notauri").exists()


def test_a_server_that_is_not_there_is_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # held, and nobody listens
        assert run_command_line(["model", "sync", ".", f"http://127.0.0.1:{port}"]) == 4
    assert f"http://127.0.0.1:{port} does not answer" in capsys.readouterr().err
