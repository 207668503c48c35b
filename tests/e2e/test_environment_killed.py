"""A run that ends while an environment is built, or waited for: at once, and the build with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S, until
from tidemill.backends.stores.sqlite import SqliteStore
from tidemill.base import proc

JOB = """
type: command
command: "true"
environment: {image: x, conda_file: {name: e, dependencies: [python=3, pip, {pip: [six]}]}}
"""
# stands where uv would be found first: a build that takes for ever, and does not listen to Ctrl-C
UV = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
open(os.environ["BUILDS"], "a").write(" ".join(sys.argv[1:]) + "\\n")
time.sleep(300)
"""


def start(folder: Path, name: str) -> subprocess.Popen[str]:
    (folder / "fake" / "uv").mkdir(parents=True, exist_ok=True)
    (folder / "fake" / "uv" / "__init__.py").touch()
    (folder / "fake" / "uv" / "__main__.py").write_text(UV)
    (folder / "job.yml").write_text(JOB)
    env = {**os.environ, "PYTHONPATH": str(folder / "fake"), "BUILDS": str(folder / "builds")}
    return subprocess.Popen(
        [sys.executable, "-m", "tidemill", "run", "job.yml", "-n", name],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_what_builds_an_environment_ends_with_the_run(tmp_path: Path, number: int, code: int) -> None:
    process = start(tmp_path, "j")
    until((tmp_path / "builds").exists)
    begun = time.monotonic()
    process.send_signal(number)
    said = process.communicate(timeout=PATIENCE_S)[0]
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert time.monotonic() - begun < PATIENCE_S / 4
    until(lambda: not proc.find_marked("BUILDS", str(tmp_path / "builds")), "a process is left")


def test_who_waits_for_another_runs_build_can_be_canceled(tmp_path: Path) -> None:
    builder = start(tmp_path, "builder")
    until((tmp_path / "builds").exists)
    waiter = start(tmp_path, "waiter")
    try:
        with closing(SqliteStore(tmp_path / ".tidemill" / "tidemill.db")) as store:
            until(lambda: store.job("waiter"))
        waiter.send_signal(signal.SIGINT)
        said = waiter.communicate(timeout=PATIENCE_S)[0]
        assert waiter.returncode == 130, said
    finally:
        builder.send_signal(signal.SIGINT)
        waiter.kill()
        builder.communicate(timeout=PATIENCE_S)
