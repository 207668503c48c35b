"""Space is given back: what goes is named first, what is needed stays."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Run
from tidemill.base.files import locked

PIPELINE = """
type: pipeline
inputs: {n: 1}
jobs:
  make:
    command: head -c 3000000 /dev/urandom > ${{outputs.o}}/big; echo ${{inputs.n}}
    environment: {image: x}
    inputs: {n: "${{parent.inputs.n}}"}
    outputs: {o: {type: uri_folder}}
  use:
    command: ls -l ${{inputs.i}}
    environment: {image: x}
    inputs: {i: "${{parent.jobs.make.outputs.o}}"}
"""


def answer(tidemill: Run, *words: str) -> Any:
    return json.loads(tidemill("gc", *words, "-o", "json").stdout)


def size(home: Path) -> int:
    found = {(s.st_ino): s.st_size for p in home.rglob("*") if p.is_file() and (s := p.lstat())}
    return sum(found.values())


@pytest.fixture
def three(tmp_path: Path, tidemill: Run) -> Path:
    (tmp_path / "tidemill.yaml").write_text("name: p\n")
    (tmp_path / "w.yml").write_text(PIPELINE)
    for number in (1, 2, 3):
        tidemill("run", "w.yml", "--name", f"j{number}", "--set", f"inputs.n={number}")
    for tree in (tmp_path / ".tidemill" / "store" / "trees").glob("*/*"):
        os.utime(tree, (1e9, 1e9))  # what was touched within the last second is spared, whoever touched it
    return tmp_path / ".tidemill"


def test_old_results_go_as_foretold_and_the_newest_stays(three: Path, tidemill: Run) -> None:
    assert answer(tidemill)["bytes"] == 0
    foretold = answer(tidemill, "--keep", "1", "--dry-run")
    assert foretold["gone"]["jobs"] == ["j1", "j2"]
    assert 6_000_000 <= foretold["bytes"] < 6_300_000
    assert 9_000_000 <= foretold["kinds"]["outputs"] < 9_300_000
    before = size(three)
    done = answer(tidemill, "--keep", "1")
    assert (done["gone"], done["bytes"]) == (foretold["gone"], foretold["bytes"])
    assert before - size(three) >= 6_000_000
    assert sorted(p.name for p in (three / "jobs").iterdir()) == ["j3"]
    assert "0 ran, 2 reused" in tidemill("run", "w.yml", "--set", "inputs.n=3").stdout
    assert "2 ran, 0 reused" in tidemill("run", "w.yml", "--set", "inputs.n=1").stdout
    assert answer(tidemill, "--keep", "9")["bytes"] == 0


def test_by_age_nothing_young_goes_and_environments_and_downloads_do(three: Path, tidemill: Run) -> None:
    for place, mark in (
        ("envs/used", "tidemill-ready.json"),
        ("envs/old", "tidemill-ready.json"),
        ("downloads/x", "f"),
    ):
        (three / place).mkdir(parents=True)
        (three / place / mark).write_text("{}")
    for old in ("envs/old/tidemill-ready.json", "downloads/x"):
        os.utime(three / old, (1e9, 1e9))
    found = answer(tidemill, "--older-than", "30d")
    assert found["gone"] == {"environments": ["old"], "downloads": ["x"]}
    assert (three / "envs" / "used").exists()
    assert not (three / "envs" / "old").exists()
    assert len(list((three / "jobs").iterdir())) == 3


def test_environments_a_killed_run_left_half_built_go_unless_somebody_builds_them(three: Path, tidemill: Run) -> None:
    old = time.time() - 30 * 86400
    for name in ("left", "building", "container"):
        (three / "envs" / name / "bin").mkdir(parents=True)
    (three / "envs" / "container" / "tidemill-ready").touch()
    for name in ("left", "building", "container"):
        os.utime(three / "envs" / name, (old, old))
    with locked(three / "envs" / "building.lock"):
        tidemill("gc", "--older-than", "14d")
    assert sorted(p.name for p in (three / "envs").iterdir() if p.is_dir()) == ["building", "container"]


def test_what_serves_or_is_registered_stays(three: Path, tidemill: Run) -> None:
    (three / "endpoints" / "e").mkdir(parents=True)
    (three / "endpoints" / "e" / "desired.json").write_text(json.dumps({"model": f"{three}/jobs/j1/make/outputs/o"}))
    tidemill("data", "create", "--name", "d", "--path", str(three / "jobs" / "j2" / "make" / "outputs" / "o"))
    found = answer(tidemill, "--keep", "1")
    assert found["gone"]["jobs"] == ["j2"]
    kept = three / "assets" / "data" / "d" / "1"
    assert sum(p.stat().st_size for p in kept.rglob("*") if p.is_file()) == 3_000_000


def test_an_age_that_is_none_is_refused(tmp_path: Path, tidemill: Run) -> None:
    assert "`soon` is no age" in tidemill("gc", "--older-than", "soon", code=2).stderr


def test_a_completed_job_is_taken_up_without_running_anything_after_a_collection(tmp_path: Path, tidemill: Run) -> None:
    text = PIPELINE.replace(
        "    environment: {image: x}\n", "    environment: {image: x}\n    is_deterministic: false\n", 1
    )
    (tmp_path / "w.yml").write_text(text)
    tidemill("run", "w.yml", "--name", "j")
    for tree in (tmp_path / ".tidemill" / "store" / "trees").glob("*/*"):
        os.utime(tree, (1e9, 1e9))
    assert answer(tidemill)["files"] == 0, "the job's folder links to it"
    assert "started" not in tidemill("job", "resume", "j").stderr


def test_conversions_and_parts_of_images_go_by_the_time_of_their_last_use(tmp_path: Path, tidemill: Run) -> None:
    home = tmp_path / ".tidemill"
    (tmp_path / "tidemill.yaml").write_text("name: p\n")
    for path in ("converted/a.json", "converted/a.onnx", "images/sha256-1", "images/sha256-2"):
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text('{"model": "m"}')
        os.utime(home / path, (1e9, 1e9))
    os.utime(home / "images/sha256-2")
    assert answer(tidemill)["gone"] == {}
    wanted = {"converted models": ["a.json", "a.onnx"], "images": ["sha256-1"]}
    assert answer(tidemill, "--older-than", "30d", "--dry-run")["gone"] == wanted
    found = answer(tidemill, "--older-than", "0h")
    assert (found["gone"], found["bytes"]) == (wanted, 3 * len('{"model": "m"}')), "what was used within the hour stays"
    assert [p.name for p in home.rglob("*") if p.is_file() and p.parent.name in {"converted", "images"}] == ["sha256-2"]


def test_what_a_collection_that_was_killed_left_goes_with_the_next_one(three: Path, tidemill: Run) -> None:
    (three / ".gone" / "j0-1").mkdir(parents=True)
    (three / ".gone" / "j0-1" / "f").write_bytes(b"x" * 1000)
    assert answer(tidemill)["bytes"] == 1000
    assert not (three / ".gone").exists()
