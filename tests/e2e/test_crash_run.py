"""`kill -9` anywhere in `run` and `job resume`, as a user sees it: nothing runs twice, nothing is lost, nothing is left.

`TIDEMILL_CRASH_ROUNDS` says how often it is killed at random moments; the whole form is 300.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.crashing import (
    JOB,
    Project,
    check_assets,
    check_nothing_left,
    check_store,
    heavy_steps,
    quick_steps,
    word_of,
    write,
)
from tests.waiting import PATIENCE_S
from tidemill.base.failpoint import NAMES

ROUNDS = int(os.environ.get("TIDEMILL_CRASH_ROUNDS", "2"))
SEED = int(os.environ.get("TIDEMILL_SEED", "0")) or random.randrange(10**6)
AT_ONCE = 2
HEAVY_S = 6.0


def make(folder: Path, *, heavy: bool = False) -> Project:
    write(folder, heavy_steps() if heavy else quick_steps())
    return Project(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], float]:
    """The outputs of a run nobody disturbed, and how long it took."""
    make(tmp_path_factory.mktemp("first") / "p").ask("run", "pipeline.yml", "-n", JOB)  # compiles what the others find
    project = make(tmp_path_factory.mktemp("whole") / "p")
    begun = time.monotonic()
    project.ask("run", "pipeline.yml", "-n", JOB)
    return project.outputs(), time.monotonic() - begun


def kill(process: subprocess.Popen[str], project: Project, *, everything: bool) -> None:
    """The driver alone, or all it started too, as when the machine goes."""
    victims = project.processes() if everything else [process.pid]
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.kill()
    process.communicate(timeout=PATIENCE_S)


def take_up(project: Project) -> None:
    """Resume; what was completed must not begin again."""
    done, before = project.completed(), len(project.log())
    known = project.rows(f"SELECT 1 FROM jobs WHERE name = '{JOB}'")
    project.ask(*(("job", "resume", JOB) if known else ("run", "pipeline.yml", "-n", JOB)))
    again = set(project.log()[before:])
    assert not again & {word_of(step) for step in done}


def check(project: Project, outputs: dict[str, str], kills: int) -> None:
    """What is promised, from outside."""
    assert not (project.trace / "twice").exists(), (project.trace / "twice").read_text()
    begun = Counter(project.log())
    assert sum(begun.values()) - len(begun) <= kills * AT_ONCE, begun
    if outputs:
        assert project.outputs() == outputs
    check_assets(project)
    check_store(project.home)
    check_nothing_left(project)


def kill_at_random(project: Project, chance: random.Random, takes_s: float) -> int:
    """Start the run, and kill it; then, perhaps, resume and kill it again. How often that came in time."""
    words: tuple[str, ...] = ("run", "pipeline.yml", "-n", JOB)
    kills = 0
    while True:
        process = project.start(*words)
        time.sleep(chance.uniform(0.2, takes_s))
        kill(process, project, everything=chance.random() < 0.3)
        kills += process.returncode == -signal.SIGKILL
        if not project.rows("SELECT 1 FROM jobs") or chance.random() < 0.6:
            return kills
        words = ("job", "resume", JOB)


POINTS = [n for n in NAMES if n not in {"model-registered", "job-ended"}]


@pytest.mark.parametrize("name", POINTS)
def test_killed_at_a_failpoint_a_run_is_taken_up(
    name: str, tmp_path: Path, whole: tuple[dict[str, str], float]
) -> None:
    project = make(tmp_path / "p")
    count = 1 if name in {"job-created", "asset-registered"} else 9
    process = project.start("run", "pipeline.yml", "-n", JOB, TIDEMILL_FAILPOINT=f"{name}:{count}")
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGKILL
    take_up(project)
    check(project, whole[0], kills=1)


def test_killed_once_its_model_was_registered_a_run_makes_no_second_version(tmp_path: Path) -> None:
    project = make(tmp_path / "p", heavy=True)
    process = project.start("run", "pipeline.yml", "-n", JOB, TIDEMILL_FAILPOINT="asset-registered:1")
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGKILL
    take_up(project)
    check(project, {}, kills=1)


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_a_disk_that_fails_while_an_asset_is_registered_fails_the_step_with_words(error: str, tmp_path: Path) -> None:
    project = make(tmp_path / "p")
    said = project.ask("run", "pipeline.yml", "-n", JOB, code=1, TIDEMILL_FAILPOINT=f"asset-registered:1:{error}")
    assert os.strerror(getattr(errno, error)) in said
    take_up(project)
    check(project, {}, kills=1)


@pytest.mark.slow
@pytest.mark.timeout(14400)
@pytest.mark.parametrize("heavy", [False, True])
def test_killed_at_random_moments_a_run_is_taken_up(
    tmp_path: Path, whole: tuple[dict[str, str], float], heavy: bool
) -> None:
    outputs, takes_s = ({}, HEAVY_S) if heavy else whole
    chance = random.Random(SEED)
    hit = 0
    for turn in range(ROUNDS // (10 if heavy else 1)):
        project = make(tmp_path / str(turn), heavy=heavy)
        kills = kill_at_random(project, chance, takes_s)
        try:
            take_up(project)
            check(project, outputs, kills)
        except AssertionError as exc:
            raise AssertionError(f"seed {SEED}, round {turn}") from exc
        hit += kills > 0
        shutil.rmtree(project.folder)
    assert hit >= ROUNDS // 30, f"most runs had ended before they were killed: only {hit} were"
