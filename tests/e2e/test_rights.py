"""A step that takes the right to write or look from its own folders, run by somebody whom the system refuses that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

JOB = """
type: command
command: |
  mkdir "${{outputs.o}}/d" kept; echo x > "${{outputs.o}}/d/x"; echo y > kept/y
  chmod 555 "${{outputs.o}}/d"; chmod 000 kept
  [ -e "$HERE/ok" ]
environment: {image: x}
outputs: {o: {type: uri_folder}}
"""
PLAIN = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def ask(folder: Path, *words: str, code: int = 0) -> str:
    argv = [*PLAIN, sys.executable, "-m", "tidemill", *words]
    env = {**os.environ, "HERE": str(folder)}
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=240, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.skipif(bool(PLAIN) and shutil.which("setpriv") is None, reason="root is refused nothing")
def test_folders_a_step_made_unwritable_are_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(JOB)
    assert "exit code 1" in ask(tmp_path, "run", "job.yml", "-n", "j", code=1)
    (tmp_path / "ok").touch()
    assert "Completed" in ask(tmp_path, "job", "resume", "j")
    assert "Completed" in ask(tmp_path, "run", "job.yml", "--force"), "what is kept already is not swapped in"
    ask(tmp_path, "gc", "--older-than", "0h", "--keep", "1")
    assert not (tmp_path / ".tidemill" / "jobs" / "j").exists()
    assert not list((tmp_path / ".tidemill").glob(".gone/*"))


@pytest.mark.skipif(bool(PLAIN) and shutil.which("setpriv") is None, reason="root is refused nothing")
def test_an_output_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(
        JOB.replace('[ -e "$HERE/ok" ]', 'chmod 555 kept; chmod 000 "${{outputs.o}}/d/x"')
    )
    said = ask(tmp_path, "run", "job.yml", code=1)
    assert "Permission denied" in said
    assert "outputs/o/d/x" in said
