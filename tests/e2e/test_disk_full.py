"""A disk that is really full: words, an exit code, and nothing lost."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Run

SIZE = 12 << 20
JOB = """
type: command
command: echo $SIZE bytes && head -c $SIZE /dev/zero > ${{outputs.o}}/x
environment: azureml:h:1
environment_variables: {SIZE: "50000000"}
outputs: {o: {type: uri_folder}}
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root may mount")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_is_said_and_what_was_there_remains(tidemill: Run, small_disk: Path) -> None:
    (small_disk / "job.yml").write_text(JOB)
    (small_disk / "tidemill.yaml").write_text("name: full\nenvironments: {h: {python: host}}\n")
    tidemill("-C", str(small_disk), "run", "job.yml", "--set", "environment_variables.SIZE=10")

    full = tidemill("-C", str(small_disk), "run", "job.yml", code=None)
    assert full.returncode in {1, 4}
    assert "No space left" in full.stderr or "disk is full" in full.stderr or "disk I/O" in full.stderr
    assert "Traceback" not in full.stderr
    first, *_ = reversed(json.loads(tidemill("-C", str(small_disk), "job", "list", "-o", "json").stdout))
    assert first["status"] == "Completed"
    for left in (small_disk / ".tidemill" / "jobs").glob("*/*/outputs/o/x"):
        if left.stat().st_size > 10:
            left.unlink()
    again = tidemill("-C", str(small_disk), "run", "job.yml", "--set", "environment_variables.SIZE=10")
    assert "reused" in again.stderr
