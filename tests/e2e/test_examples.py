"""The three example projects: clean documents, component code that passes its own tests, and data anyone can exchange."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Run
from tidemill.cli.main import run_command_line

ROOT = Path(__file__).parents[2]
EXAMPLES = ("digits", "damage", "animals")
MNIST = ROOT.parent / "shared" / "data" / "digits" / "all10"


def copied(name: str, folder: Path) -> Path:
    """An example as it is committed, without data or state."""
    skipped = shutil.ignore_patterns(".tidemill", "__pycache__", "scan_*.png", "*.csv", "pandas", "cats", "dogs")
    return shutil.copytree(ROOT / "examples" / name, folder / name, ignore=skipped)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_free_of_findings_before_its_data_is_made(tidemill: Run, tmp_path: Path, name: str) -> None:
    copied(name, tmp_path)
    done = tidemill("check", name, "-o", "json")
    assert [f for file in json.loads(done.stdout)["files"] for f in file["findings"]] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_components_of_an_example_pass_their_own_tests(tmp_path: Path, name: str) -> None:
    folder = copied(name, tmp_path)
    words = ["-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stdout


def test_data_create_warns_when_the_project_maps_that_name(tidemill: Run, tmp_path: Path) -> None:
    (tmp_path / "tidemill.yaml").write_text("name: p\ndata: {cats: data/cats}\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("a")
    done = tidemill("data", "create", "-n", "cats", "-v", "1", "-p", "other")
    assert json.loads(done.stdout)["name"] == "cats"
    assert "maps `cats` to data/cats, and a mapping goes first" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.exists(), reason="the MNIST pictures are not beside this repository")
def test_real_mnist_registered_as_data_reaches_93_percent(
    tidemill: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied("digits", tmp_path)
    monkeypatch.chdir(folder)
    for digit in range(10):
        asked = ["data", "create", "-n", f"digit-{digit}", "-v", "1", "-p", str(MNIST / str(digit))]
        assert run_command_line(asked) == 0
    done = json.loads(tidemill("-C", "digits", "run", "pipeline.yml", "-o", "json").stdout)
    assert done["status"] == "Completed"
    log = Path(done["steps"]["train"]["log"]).read_text()
    assert json.loads(log[log.index("\n{") :])["accuracy"] >= 0.93
    assert folder.exists()
