"""A run whose steps have not changed imports nothing that only other runs need: each of these takes 10 ms or more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SHOW = """
import sys
from tidemill.cli import main as door
door.spare_plugins()
code = door.run_command_line(["run", "job.yml"])
print("imported:", *sorted(set(sys.argv[1:]) & set(sys.modules)))
raise SystemExit(code)
"""
LATE = (
    "asyncio", "email.message", "http.client", "importlib.metadata", "mlflow", "numpy", "ssl", "urllib.request",
    "tidemill.run.automl", "tidemill.run.parallel", "tidemill.run.sweep", "tidemill.serve.server",
)  # fmt: skip


def test_a_run_that_reuses_everything_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text("type: command\ncommand: echo hi\nenvironment: azureml:none:1\n")
    (tmp_path / "tidemill.yaml").write_text("name: lean\nenvironments: {none: {python: host}}\n")
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", SHOW, *LATE], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert "(0 ran, 1 reused)" in done.stdout + done.stderr
    assert "imported:\n" in done.stdout
