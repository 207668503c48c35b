"""The scripts of parallel steps, in every Python a step may have."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tidemill.backends.trackers.mlflow import INSIDE
from tidemill.base import proc

PYTHONS = sorted(Path("~/.pyenv/versions").expanduser().glob("3.*/bin/python")) or [Path(sys.executable)]
OLDEST = (3, 8)
SCRIPT = "import os\ndef run(batch, context):\n    return ['%d %s' % (context.minibatch_index, os.path.basename(f)) for f in batch]\n"


@pytest.mark.parametrize("python", PYTHONS, ids=lambda p: p.parts[-3])
def test_mini_batches_of_files_need_the_standard_library_only(tmp_path: Path, python: Path) -> None:
    version = proc.run([str(python), "-c", "import sys; print(sys.version_info[:2])"]).stdout
    if tuple(int(n) for n in version.strip("()\n").split(",")) < OLDEST:
        pytest.skip("older than what is promised")
    (tmp_path / "entry.py").write_text(SCRIPT)
    (tmp_path / "data").mkdir()
    for name in "abc":
        (tmp_path / "data" / name).write_text(name)
    config = {
        "kind": "files", "paths": [str(tmp_path / "data")], "batch_files": 2, "partition_keys": [], "table": {}, "input": "data",
        "entry_script": str(tmp_path / "entry.py"), "arguments": [], "workers": 2, "max_retries": 0, "timeout_s": 20,
        "overhead_s": 20, "init_s": 20, "shutdown_s": 5, "mini_batch_error_threshold": 0, "error_threshold": 0,
        "allowed_failed_percent": 100, "logging_level": "INFO", "append_to": str(tmp_path / "out" / "rows"), "append_name": "x",
        "separator": " ", "work": str(tmp_path), "summary": str(tmp_path / "summary.json"),
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = proc.run([str(python), str(INSIDE / "tidemill_parallel.py"), str(tmp_path / "config.json")], env=env)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "rows").read_text() == "0 a\n0 b\n1 c\n"
    assert json.loads((tmp_path / "summary.json").read_text())["completed"] == 2
